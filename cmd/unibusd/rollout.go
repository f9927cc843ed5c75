package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"unibus/core"
	"unibus/core/admin"
)

func rolloutCommand() *cobra.Command {
	var n network
	return n.command("rollout", "Show the clients that --bus-auth enforce would deny, as recorded by nodes in soft", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		r, err := cl.Rollout(ctx)
		if err != nil {
			return err
		}
		return n.print(c, r, func() { rolloutText(c, r) })
	})
}

func rolloutText(c *cobra.Command, r admin.Rollout) {
	c.Printf("%s\n\n", verdictWithRecord(r))
	nodes := slices.Sorted(maps.Keys(r.Nodes))
	table(c, "NODE\tBUS-AUTH\tRECORDS SINCE (UTC)\tWOULD BE DENIED", func(print func(string, ...any)) {
		for _, name := range nodes {
			n := r.Nodes[name]
			if n.Unknown {
				print("%s\tno answer\t–\t–", name)
				continue
			}
			print("%s\t%s\t%s\t%s", name, n.Active[admin.FlagBusAuth], recordsSince(n), deniedCount(n))
		}
	})
	for _, name := range nodes {
		deniedText(c, name, r.Nodes[name])
	}
}

// recordsSince is when a node began to record. Only soft records.
func recordsSince(n admin.RolloutNode) string {
	if n.Active[admin.FlagBusAuth] != string(core.BusAuthSoft) || n.Since == 0 {
		return "–"
	}
	return n.Since.Time().Format(time.DateTime)
}

// deniedCount is how many clients enforce would deny, as far as the node recorded them.
func deniedCount(n admin.RolloutNode) string {
	switch total, mode := len(n.WouldDeny)+n.More, n.Active[admin.FlagBusAuth]; {
	case mode == string(core.BusAuthOff):
		return "not recorded"
	case n.Overflow > 0:
		return fmt.Sprintf("%d and more", total)
	case total == 0 && mode != string(core.BusAuthSoft):
		return "–"
	default:
		return fmt.Sprint(total)
	}
}

// verdictWithRecord adds to a good verdict from when on it holds: a node that was restarted
// into soft a moment ago has seen nobody yet.
func verdictWithRecord(r admin.Rollout) string {
	var since core.Millis
	for _, n := range r.Nodes {
		if n.Active[admin.FlagBusAuth] == string(core.BusAuthSoft) {
			since = max(since, n.Since)
		}
	}
	if !r.Safe || since == 0 {
		return r.Verdict
	}
	return r.Verdict + " for the clients that connected since " + since.Time().UTC().Format(time.DateTime) +
		" UTC; others are not in the records: wait until these cover a full cycle of your programs"
}

func deniedText(c *cobra.Command, node string, n admin.RolloutNode) {
	if len(n.WouldDeny) == 0 {
		return
	}
	c.Printf("\n%s, the latest first; %d more\n", node, n.More)
	table(c, "KEY\tADDRESS\tTIMES\tLAST (UTC)\tWHY", func(print func(string, ...any)) {
		for _, d := range n.WouldDeny {
			key := d.Key
			if key == "" {
				key = "–"
			}
			print("%s\t%s\t%d\t%s\t%s", key, d.Addr, d.Count, d.Last.Time().Format(time.DateTime), d.Reason)
		}
	})
}
