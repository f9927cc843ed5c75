package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
)

func userExtendCommand() *cobra.Command {
	var t userTarget
	var expires string
	c := t.add(&cobra.Command{
		Use: "extend NKEY", Short: "Change when a user's access expires", Args: cli.Args("NKEY"),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := core.ParseUserID(args[0]); err != nil {
				return err
			}
			at, err := core.ParseExpiry(expires, time.Now())
			if err != nil {
				return err
			}
			return t.runForUser(c, false, func(ctx context.Context, us users) (core.User, error) { return us.UserExtend(ctx, args[0], at) })
		},
	})
	c.Flags().StringVar(&expires, "expires", "", "when it expires: TIME is 90d, 12h, 2027-01-31 (the last day), a moment as RFC 3339 has it, or never")
	cli.Require(c, "expires")
	return c
}

// statusText is a user's status with its expiry.
func statusText(u core.User, now time.Time) string {
	status := string(u.StatusAt(core.MillisOf(now)))
	switch at := u.Expires.Time().Format(time.DateTime); {
	case u.Expires == 0:
		return status
	case u.Expired(core.MillisOf(now)):
		return status + ", ended " + at
	default:
		return status + ", ends " + at
	}
}
