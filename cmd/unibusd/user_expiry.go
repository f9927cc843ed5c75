package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
)

func userExtendCommand() *cobra.Command {
	var t userTarget
	var expires string
	c := t.add(&cobra.Command{
		Use: "extend NKEY", Short: "Give a user another end, or none", Args: cli.Args("NKEY"),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := core.ParseUserID(args[0]); err != nil {
				return err
			}
			at, err := parseExpiry(expires, time.Now())
			if err != nil {
				return err
			}
			return t.one(c, false, func(ctx context.Context, us users) (core.User, error) { return us.UserExtend(ctx, args[0], at) })
		},
	})
	c.Flags().StringVar(&expires, "expires", "", "the new end: TIME is 90d, 12h, 2027-01-31 (the last day), a moment as RFC 3339 has it, or never")
	cli.Require(c, "expires")
	return c
}

// parseExpiry reads the end of a user: so long from now, a day at whose end in UTC it
// ends, or a moment. never is 0. KindInvalid.
func parseExpiry(text string, now time.Time) (core.Millis, error) {
	at, err := expiryTime(text, now)
	switch {
	case text == "never":
		return 0, nil
	case err != nil || at.UnixMilli() <= 0:
		return 0, core.Errorf(core.KindInvalid, "the value of --expires is no time").
			WithNext("give 90d, 12h, a day such as 2027-01-31, which is the last one, a moment such as 2027-01-31T17:00:00Z, or never")
	}
	return core.MillisOf(at), core.CheckNewExpiry(core.MillisOf(at), core.MillisOf(now))
}

func expiryTime(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return now.AddDate(0, 0, int(n)), err
	}
	if span, err := time.ParseDuration(text); err == nil {
		return now.Add(span), nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	return time.Parse(time.RFC3339, text)
}

// statusText is a user's status with its end.
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
