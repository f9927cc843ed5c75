package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

func operatorCommand() *cobra.Command {
	return cli.Group("operator", "Compare the operators of all nodes, and remove one everywhere",
		operatorListCommand(), operatorRemoveCommand())
}

func operatorListCommand() *cobra.Command {
	var n network
	return n.command("list", "List the operators of each node, and say whether the nodes agree", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		st, err := cl.Status(ctx)
		if err != nil {
			return err
		}
		all := cluster.OperatorsOf(st.View)
		return n.print(c, all, func() { operatorsText(c, all) })
	})
}

func operatorsText(c *cobra.Command, all cluster.OperatorsSeen) {
	table(c, "KEY\tNAME\tROLE\tENDS (UTC)\tIN FORCE ON\tNOT ON", func(print func(string, ...any)) {
		for _, op := range all.Operators {
			print("%s\t%s\t%s\t%s\t%s\t%s", op.Key, text(&op.Name), op.Role, endText(op.NotAfter), dash(op.On), dash(op.NotOn))
		}
	})
	if len(all.Removed) > 0 {
		c.Println()
		table(c, "REMOVED\tNAME\tROLE\tBY\tTIME (UTC)\tREFUSED ON\tNOT YET ON", func(print func(string, ...any)) {
			for _, op := range all.Removed {
				print("%s\t%s\t%s\t%s\t%s\t%s\t%s", op.Key, text(&op.Name), op.Role, text(&op.By), op.At.Time().Format(time.DateTime), dash(op.On), dash(op.NotOn))
			}
		})
	}
	for _, node := range slices.Sorted(maps.Keys(all.Faults)) {
		c.Printf("\n%s cannot use its configuration file: %s\n", node, all.Faults[node])
	}
	if len(all.Silent) > 0 {
		c.Printf("\nNot known, because they do not say: %s\n", strings.Join(all.Silent, ", "))
	}
}

// endText is when a credential ends; one that has ended says so.
func endText(end core.Millis) string {
	switch {
	case end == 0:
		return "never"
	case end <= core.MillisOf(time.Now()):
		return end.Time().UTC().Format(time.DateTime) + ", ended"
	}
	return end.Time().UTC().Format(time.DateTime)
}

func dash(names []string) string {
	if len(names) == 0 {
		return "–"
	}
	return strings.Join(names, ", ")
}

func operatorRemoveCommand() *cobra.Command {
	var n network
	return n.command("remove NKEY", "Refuse an operator's key on every node, for good", []string{"NKEY"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		key, err := core.ParseUserID(args[0])
		if err != nil {
			return err
		}
		r, err := cl.OperatorRemove(ctx, string(key))
		if err != nil {
			return err
		}
		if err := n.print(c, r, func() { printRemoved(c, r) }); err != nil {
			return err
		}
		if unreached := r.Unreached(); len(unreached) > 0 {
			return cli.Silent{Err: core.Errorf(core.KindUnavailable, "%s did not say that the key is refused there", strings.Join(unreached, ", "))}
		}
		return nil
	})
}

func printRemoved(c *cobra.Command, r admin.OperatorRemoved) {
	c.Printf("%s  %s  %s  removed\n", r.Key, text(&r.Name), r.Role)
	for _, node := range slices.Sorted(maps.Keys(r.Nodes)) {
		switch e := r.Nodes[node]; {
		case e.Unknown:
			c.Printf("%s: not reached (%s); the key may still be admitted there\n", node, e.Reason)
		default:
			c.Printf("%s: refuses the key, %d sessions ended, %s\n", node, e.Ended, e.At.Time().Format("15:04:05.000"))
		}
	}
	if unreached := r.Unreached(); len(unreached) > 0 {
		c.Printf("A node that was not reached learns it from the others as soon as it is connected to one of them. `unibusd operator list` shows it.\n")
	}
	c.Printf("Take the key out of the configuration files, too. A removed key stays removed: the same person gets a new one.\n")
}
