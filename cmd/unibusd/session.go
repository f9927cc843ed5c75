package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
)

func sessionCommand() *cobra.Command {
	return cli.Group("session", "List the open sessions of users, and end them", sessionListCommand(), sessionEndCommand())
}

func sessionListCommand() *cobra.Command {
	var n network
	var r admin.SessionPageRequest
	user := ""
	c := n.command("list", "List who is connected, since when, from where and with what", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		unknown := map[string]bool{}
		pages := noteUnknown(admin.SessionPages(ctx, cl.SessionPage, r), unknown)
		if n.json {
			return printSessionsJSON(c.OutOrStdout(), pages, unknown)
		}
		return cmp.Or(printSessions(c.OutOrStdout(), pages), unreachedSessions(unknown))
	})
	c.PreRunE = func(c *cobra.Command, _ []string) (err error) {
		if user != "" {
			if r.User, err = core.ParseUserID(user); err != nil {
				return err
			}
		}
		return cmp.Or(checkLimit(c, "session", r.Limit), r.Check())
	}
	c.Flags().StringVar(&user, "user", "", "list the sessions of one user, an NKEY")
	c.Flags().StringVar(&r.Node, "node", "", "list the sessions of one NODE")
	c.Flags().IntVar(&r.Limit, "limit", 0, "list at most N sessions (default: all)")
	return c
}

// noteUnknown notes which nodes did not answer for any of the pages.
func noteUnknown(pages iter.Seq2[admin.SessionPage, error], unknown map[string]bool) iter.Seq2[admin.SessionPage, error] {
	return func(yield func(admin.SessionPage, error) bool) {
		for p, err := range pages {
			for _, name := range p.Unknown {
				unknown[name] = true
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// unreachedSessions is an error, so that a list without a node's sessions does not pass for a whole one.
func unreachedSessions(unknown map[string]bool) error {
	if len(unknown) == 0 {
		return nil
	}
	return core.Errorf(core.KindUnavailable, "the sessions of %s are missing: no answer in time", strings.Join(slices.Sorted(maps.Keys(unknown)), ", ")).
		WithOutcome(core.OutcomeNone).WithNext("see which nodes are down: unibus-tui status")
}

// printSessionsJSON names the nodes that did not answer in the document. The exit code says so too.
func printSessionsJSON(out io.Writer, pages iter.Seq2[admin.SessionPage, error], unknown map[string]bool) error {
	err := printPagesJSONAnd(out, "sessions", pages, func(p admin.SessionPage) []admin.Session { return p.Sessions }, func() any {
		if len(unknown) == 0 {
			return nil
		}
		return slices.Sorted(maps.Keys(unknown))
	})
	if missing := unreachedSessions(unknown); err == nil && missing != nil {
		return cli.Silent{Err: missing}
	}
	return err
}

func printSessions(out io.Writer, pages iter.Seq2[admin.SessionPage, error]) error {
	list := pageList{widths: []int{56, 20, 14, 19, 21, 5, 24}, head: []string{"USER", "NAME", "SESSION", "SINCE", "ADDRESS", "ROOMS", "CLIENT", "CALLS ITSELF"}}
	return printPages(out, list, pages, func(p admin.SessionPage, print func(...string)) {
		for _, s := range p.Sessions {
			print(cmp.Or(string(s.User), "(no identity)"), text(s.Name), s.ID, s.Since.Time().Format(time.DateTime), s.Address, fmt.Sprint(s.Rooms), sessionLibrary(s), clientText(s.Client))
		}
	})
}

// sessionLibrary is a client's library as it calls itself.
func sessionLibrary(s admin.Session) string {
	return cmp.Or(strings.TrimSpace(clientText(s.Lang)+" "+clientText(s.Version)), "–")
}

// clientText makes a text that a client chose safe for a terminal; "" for none.
func clientText(s string) string {
	if s == "" {
		return ""
	}
	return text(&s)
}

func sessionEndCommand() *cobra.Command {
	var n network
	c := n.command("end USER|SESSION", "End a session by its id, or all sessions of a user by the NKEY; the client connects again", []string{"USER|SESSION"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		ended, err := endSessions(ctx, cl, args[0])
		if err != nil {
			return err
		}
		if err := n.print(c, ended, func() { printEnded(c, ended) }); err != nil {
			return err
		}
		if missing := ended.Unreached(); len(missing) > 0 {
			return cli.Silent{Err: core.Errorf(core.KindUnavailable, "%s did not answer in time", strings.Join(missing, ", "))}
		}
		return nil
	})
	return c
}

func endSessions(ctx context.Context, cl *admin.Client, what string) (admin.SessionsEnded, error) {
	if id, err := core.ParseUserID(what); err == nil {
		return cl.SessionEndAll(ctx, string(id))
	}
	id, err := admin.ParseSessionID(what)
	if err != nil {
		return admin.SessionsEnded{}, err
	}
	return cl.SessionEnd(ctx, id.String())
}

func printEnded(c *cobra.Command, e admin.SessionsEnded) {
	for _, node := range slices.Sorted(maps.Keys(e.Nodes)) {
		if one := e.Nodes[node]; one.Unknown {
			c.Printf("%s: unknown (%s); sessions there may go on\n", node, one.Reason)
		} else {
			c.Printf("%s: %d %s ended\n", node, one.Ended, cmp.Or(map[int]string{1: "session"}[one.Ended], "sessions"))
		}
	}
	if e.User == "" {
		c.Println("Clients without an identity connect again at once.")
		return
	}
	c.Printf("The client of %s connects again at once. To keep the user out, revoke it: unibusd user revoke %s\n", e.User.Short(), e.User)
}
