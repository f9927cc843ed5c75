package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
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
			if c.Flags().Changed("limit") && r.Limit < 1 {
				return core.Errorf(core.KindInvalid, "--limit %d lists no user", r.Limit).WithNext("give 1 or more, or leave it out for all users")
			}
			if err := r.Check(); err != nil {
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

func userSorts() []string {
	var names []string
	for _, s := range core.UserSorts() {
		names = append(names, string(s))
	}
	return names
}

// printUsers prints each page when it comes, the head with the first one: a failed command must not pass for a
// cluster without users. The columns have fixed widths, because the rows of later pages are not known yet.
func printUsers(out io.Writer, pages iter.Seq2[core.UserPage, error]) error {
	w := bufio.NewWriter(out)
	widths := []int{56, 24, 6, 7, 19}
	print := func(cells ...string) { _, _ = fmt.Fprintln(w, cli.Row(out, widths, cells...)) } // Flush says what failed
	printed := false
	for page, err := range pages {
		if !printed && err == nil {
			print("USER", "NAME", "ROLE", "STATUS", "CREATED", "ENDS")
			printed = true
		}
		for _, u := range page.Users {
			print(string(u.ID), text(u.Name), string(u.Role), string(u.StatusAt(core.MillisOf(time.Now()))), u.Created.Time().Format(time.DateTime), endText(u.Expires))
		}
		if err := cmp.Or(err, w.Flush()); err != nil {
			return err
		}
	}
	return nil
}

// printUsersJSON prints one document, a page at a time. After an error it is not
// closed: half a list must not pass for a whole one.
func printUsersJSON(out io.Writer, pages iter.Seq2[core.UserPage, error]) error {
	w := bufio.NewWriter(out)
	separator := "{\n  \"users\": ["
	for page, err := range pages {
		if err != nil && separator[0] == '{' {
			return err // nothing was printed
		}
		for _, u := range page.Users {
			_, _ = fmt.Fprintf(w, "%s\n    %s", separator, indented(u))
			separator = ","
		}
		if err := cmp.Or(err, w.Flush()); err != nil {
			return err
		}
	}
	if separator[0] == '{' {
		_, _ = w.WriteString("{\n  \"users\": []\n}\n")
	} else {
		_, _ = w.WriteString("\n  ]\n}\n")
	}
	return w.Flush()
}

// indented is a user as cli.PrintJSON prints it inside of a list.
func indented(u core.User) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("    ", "  ")
	enc.SetEscapeHTML(false)
	_ = enc.Encode(u) // plain values
	return bytes.TrimSpace(b.Bytes())
}
