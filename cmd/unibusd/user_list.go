package main

import (
	"cmp"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
)

func userListCommand() *cobra.Command {
	var t userTarget
	var r core.UserPageRequest
	var inactive string
	c := t.add(&cobra.Command{
		Use: "list", Short: "List all users, revoked ones included", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			since, err := inactiveSince(inactive, time.Now())
			r.InactiveSince = since
			if err := cmp.Or(err, checkLimit(c, "user", r.Limit), r.Check()); err != nil {
				return err
			}
			us, end, err := t.open(c.Context(), false)
			if err != nil {
				return err
			}
			defer end()
			pages := admin.UserPages(c.Context(), us.UserPage, r)
			if t.json {
				return printUsersJSON(c.OutOrStdout(), pages)
			}
			if since != 0 {
				return printInactive(c, pages)
			}
			return printUsers(c.OutOrStdout(), pages)
		},
	})
	c.Flags().StringVar(&r.Filter, "filter", "", "list users whose name, id, role or status contains TEXT; !TEXT, ~TEXT, name:TEXT and r/REGEX as in the console")
	c.Flags().StringVar((*string)(&r.Status), "status", "", "list users of one STATUS: active, revoked or expired")
	c.Flags().StringVar((*string)(&r.Role), "role", "", "list users of one role: member or admin")
	c.Flags().StringVar((*string)(&r.Sort), "sort", string(core.SortByID), "the ORDER: id, name, status, role, created or changed")
	c.Flags().BoolVar(&r.Descending, "descending", false, "list the last of the order first")
	c.Flags().IntVar(&r.Limit, "limit", 0, "list at most N users (default: all)")
	c.Flags().StringVar(&inactive, "inactive", "", "list users without a session for so long: TIME is 90d or 12h")
	return c
}

// printUsers prints users as lines.
func printUsers(out io.Writer, pages iter.Seq2[core.UserPage, error]) error {
	list := pageList{widths: []int{56, 24, 6, 7, 19}, head: []string{"USER", "NAME", "ROLE", "STATUS", "CREATED", "ENDS"}}
	return printPages(out, list, pages, func(p core.UserPage, print func(...string)) {
		for _, u := range p.Users {
			print(string(u.ID), text(u.Name), string(u.Role), string(u.StatusAt(core.MillisOf(time.Now()))), u.Created.Time().Format(time.DateTime), endText(u.Expires))
		}
	})
}

// inactiveSince reads how long users have no session. 0 for nothing.
func inactiveSince(text string, now time.Time) (core.Millis, error) {
	if text == "" {
		return 0, nil
	}
	span, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 14)
		span = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || span < time.Hour {
		return 0, core.Errorf(core.KindInvalid, "--inactive %q is no time of an hour or more", text).WithNext("give days or hours: 90d, 12h")
	}
	return core.MillisOf(now.Add(-span)), nil
}

// printInactive prints users with when they had a session last.
func printInactive(c *cobra.Command, pages iter.Seq2[core.UserPage, error]) error {
	list := pageList{widths: []int{56, 24, 6, 7, 19}, head: []string{"USER", "NAME", "ROLE", "STATUS", "CREATED", "LAST SEEN"}}
	began := core.Millis(0)
	err := printPages(c.OutOrStdout(), list, pages, func(p core.UserPage, print func(...string)) {
		began = p.SeenSince
		for _, u := range p.Users {
			print(string(u.ID), text(u.Name), string(u.Role), string(u.StatusAt(core.MillisOf(time.Now()))), u.Created.Time().Format(time.DateTime), seenText(p.Seen[u.ID], p.SeenSince))
		}
	})
	if err == nil && began == 0 {
		c.PrintErrln("No session is recorded yet: the nodes record them from the first one on. Users who were not seen are listed once recording is as old as --inactive.")
	} else if err == nil {
		c.PrintErrln("Sessions are recorded since " + began.Time().UTC().Format(time.DateTime) + " UTC. Earlier ones are not known.")
	}
	return err
}

// seenText is the hour in which a user had a session last.
func seenText(seen, began core.Millis) string {
	switch {
	case seen > 0:
		return seen.Time().UTC().Format("2006-01-02 15h UTC")
	case began > 0:
		return "never since " + began.Time().UTC().Format(time.DateOnly)
	}
	return "nothing is recorded"
}

// printUsersJSON adds to each user when they had a session last, where a node has answered.
func printUsersJSON(out io.Writer, pages iter.Seq2[core.UserPage, error]) error {
	return printPagesJSON(out, "users", pages, func(p core.UserPage) []admin.UserSeen {
		rows := make([]admin.UserSeen, len(p.Users))
		for i, u := range p.Users {
			rows[i] = admin.UserSeen{User: u, Seen: p.Seen[u.ID], SeenSince: p.SeenSince}
		}
		return rows
	})
}
