package main

import (
	"cmp"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
)

func userListCommand() *cobra.Command {
	var t userTarget
	var r core.UserPageRequest
	c := t.add(&cobra.Command{
		Use: "list", Short: "List all users, revoked ones included", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := cmp.Or(checkLimit(c, "user", r.Limit), r.Check()); err != nil {
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
			return printUsers(c.OutOrStdout(), pages)
		},
	})
	c.Flags().StringVar(&r.Filter, "filter", "", "list users whose name, id, role or status contains TEXT, in any case")
	c.Flags().StringVar((*string)(&r.Status), "status", "", "list users of one STATUS: active, revoked or expired")
	c.Flags().StringVar((*string)(&r.Role), "role", "", "list users of one role: member or admin")
	c.Flags().StringVar((*string)(&r.Sort), "sort", string(core.SortByID), "the ORDER: id, name, status, role, created or changed")
	c.Flags().BoolVar(&r.Descending, "descending", false, "list the last of the order first")
	c.Flags().IntVar(&r.Limit, "limit", 0, "list at most N users (default: all)")
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

func printUsersJSON(out io.Writer, pages iter.Seq2[core.UserPage, error]) error {
	return printPagesJSON(out, "users", pages, func(p core.UserPage) []core.User { return p.Users })
}
