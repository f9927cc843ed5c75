package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/doctor"
)

func nodeCommand() *cobra.Command {
	return cli.Group("node", "List the nodes; add, remove, replace, drain, fence and rescue",
		nodeListCommand(), nodePlanCommand(), nodeAddCommand(), nodeRemoveCommand(), nodeReplaceCommand(), nodeDrainCommand(), nodeResumeCommand(), nodeFenceCommand(), nodeRescueCommand())
}

// nodeList is what `node list --json` prints.
type nodeList struct {
	Nodes   []cluster.Node          `json:"nodes"`
	Removed []core.NodeChange       `json:"removed,omitempty"`
	Unknown []cluster.UnknownServer `json:"unknown_servers,omitempty"`
	Meta    cluster.Meta            `json:"meta"`
	Drained []core.Maintenance      `json:"maintenance,omitempty"`
}

func nodeListCommand() *cobra.Command {
	var n network
	return n.command("list", "List the nodes with their state, and those that were removed", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		st, err := cl.Status(ctx)
		if err != nil {
			return err
		}
		return n.print(c, nodeList{st.Nodes, st.Removed, st.Unknown, st.Meta, st.Maintenance}, func() { nodesText(c, st) })
	})
}

func nodesText(c *cobra.Command, st admin.Status) {
	table(c, "NODE\tSTATE\tMETA GROUP\tLEADS\tADDRESS\tVERSION", func(print func(string, ...any)) {
		for _, node := range st.Nodes {
			listen := "–"
			if node.Info != nil {
				listen = node.Info.Listen
			}
			print("%s\t%s\t%s\t%s\t%s\t%s", node.Name, nodeState(node), orDash(node.Meta), dash(node.Leads), listen, orDash(node.Version))
		}
		for _, peer := range st.Meta.OrphanPeers {
			print("%s\tno node, counts in the quorum\tmember\t–\t–\t–", peer)
		}
	})
	for _, m := range st.Maintenance {
		c.Printf("\n%s", cluster.MaintenanceText(m, time.Now()))
	}
	for _, r := range st.Removed {
		c.Printf("\n%s was removed by %s on %s", r.Name, text(&r.By), r.At.Time().UTC().Format(time.DateTime+" UTC"))
	}
	if len(st.Removed)+len(st.Maintenance) > 0 {
		c.Println()
	}
	if st.Clustered { // a single node has no meta group
		c.Printf("\nThe meta group has %d members, and needs %d of them.\n", st.Meta.Size, st.Meta.Needed)
	}
}

func nodePlanCommand() *cobra.Command {
	var n network
	stop := n.command("stop NAME", "Say what ends and what moves if a node stops", []string{"NAME"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		st, err := cl.Status(ctx)
		if err != nil {
			return err
		}
		p, err := cluster.PlanStop(st.View, args[0])
		if err != nil {
			return err
		}
		return n.print(c, p, func() {
			c.Println(p.Text)
			c.Printf("no quorum then:      %s\nanother node leads:  %s\nsessions that end:   %d\n", dash(p.Lost), dash(p.Moves), p.Sessions)
		})
	})
	return cli.Group("plan", "Say what a change would mean, without making it", stop)
}

func nodeState(n cluster.Node) string {
	switch {
	case n.Online && n.Off:
		return "up, JetStream is off"
	case n.Online:
		return "up"
	case n.HeardMS < 0:
		return "never heard"
	}
	return "silent for " + (time.Duration(n.HeardMS) * time.Millisecond).Round(time.Second).String()
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func nodeAddCommand() *cobra.Command {
	var n network
	return n.command("add NAME", "Have every node accept a node of a new name", []string{"NAME"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		out, err := cl.NodeAdd(ctx, args[0])
		if err != nil {
			return err
		}
		return n.print(c, out, func() {
			c.Printf("%s is accepted by %s.\n", out.Name, strings.Join(out.Told, ", "))
			printNotTold(c, out)
			c.Printf("Start unibusd on its machine with --name %s. Its --routes list the nodes that run, and itself.\n", out.Name)
		})
	})
}

func nodeRemoveCommand() *cobra.Command {
	var n network
	return n.command("remove NAME", "Take a node that is down or drained out of every group, for good", []string{"NAME"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		out, err := cl.NodeRemove(ctx, args[0])
		if err != nil {
			return err
		}
		return n.print(c, out, func() { printNodeRemoved(c, out) })
	})
}

func printNodeRemoved(c *cobra.Command, out admin.NodeChanged) {
	c.Printf("%s was removed. It has no replica and no vote any more, and its name is refused from now on.\n", out.Name)
	printNotTold(c, out)
	c.Printf("The meta group has %d members, and needs %d of them.\n", out.Meta.Size, out.Meta.Needed)
	c.Printf("Take %s out of the configuration files of the other nodes when you next change them.\n", out.Name)
}

func printNotTold(c *cobra.Command, out admin.NodeChanged) {
	if len(out.NotTold) > 0 {
		c.Printf("%s did not answer. A node learns it from the others as soon as it is connected to one of them.\n", strings.Join(out.NotTold, ", "))
	}
}

func nodeReplaceCommand() *cobra.Command {
	var n network
	var within time.Duration
	c := n.command("replace OLD NEW", "Let a node of a new name take the place of one that is lost", []string{"OLD", "NEW"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		out, err := replaceNode(ctx, cl, args[0], args[1], c.PrintErrln)
		if err != nil {
			return err
		}
		return n.print(c, out, func() {
			printNodeRemoved(c, out)
			c.Printf("%s is a node of the cluster, and every replica holds the same rows. unibusd bucket list shows its replicas.\n", args[1])
		})
	})
	c.Flags().DurationVar(&within, "timeout", 15*time.Minute, "how long to wait for NEW to be started, and for its replicas to be complete")
	return c
}

// replaceNode adds a node, waits until it is a member and holds the replicas of the lost
// one, and removes the lost one last: until then the new node may fail without harm. Each
// step that was done before is left out, so that the same call completes an interrupted one.
func replaceNode(ctx context.Context, cl *admin.Client, old, next string, say func(...any)) (admin.NodeChanged, error) {
	out := admin.NodeChanged{}
	status := func(pending func(cluster.View) error) func() error {
		return func() error {
			st, err := cl.Status(ctx)
			if err != nil {
				return err
			}
			return pending(st.View)
		}
	}
	for _, step := range []struct {
		text string
		do   func() error
	}{
		{"", status(func(v cluster.View) error { return replaceable(v, old, next) })},
		{"", func() error { return addIfNew(ctx, cl, next) }},
		{"", status(func(v cluster.View) error { return joinPending(v, next) })},
		{next + " takes the replicas of " + old, func() error { _, err := cl.NodeEvacuate(ctx, old); return err }},
		{"", status(func(v cluster.View) error { return unavailable(cluster.EvacuationPending(v, old)) })},
		{"comparing the replicas", func() error { return replicasDiffer(ctx, cl) }},
		{"removing " + old, func() (err error) { out, err = cl.NodeRemove(ctx, old); return err }},
	} {
		if step.text != "" {
			say(step.text)
		}
		if err := awaitStep(ctx, say, step.do); err != nil {
			if ctx.Err() != nil && core.KindOf(err) == core.KindUnavailable {
				err = core.Errorf(core.KindUnavailable, "the replacement is not complete: %w", err).WithNext("to go on: unibusd node replace %s %s", old, next)
			}
			return admin.NodeChanged{}, err
		}
	}
	return out, nil
}

func addIfNew(ctx context.Context, cl *admin.Client, name string) error {
	_, err := cl.NodeAdd(ctx, name)
	if core.KindOf(err) == core.KindExists {
		return nil
	}
	return err
}

// unavailable makes an error of what is left to wait for; nil for "".
func unavailable(left string) error {
	if left == "" {
		return nil
	}
	return core.Errorf(core.KindUnavailable, "%s", left)
}

// replicasDiffer is nil once the replicas of all nodes that answer hold the same rows.
func replicasDiffer(ctx context.Context, cl *admin.Client) error {
	report, err := cl.Doctor(ctx, admin.DoctorRequest{ReplicasOnly: true, OnlineOnly: true})
	if err != nil {
		return err
	}
	for _, c := range report.Checks {
		switch c.State {
		case doctor.Wrong:
			return core.Errorf(core.KindRefused, "no node was removed: %s", c.Text).WithNext("%s", c.Next)
		case doctor.Unknown:
			err = unavailable(c.Text)
		}
	}
	return err
}

// replaceable refuses a node that cannot be removed, and a successor that was there
// before: it would take no place, and the cluster would be one node short.
func replaceable(v cluster.View, old, next string) error {
	added := func(c core.NodeChange) bool { return c.Name == next }
	switch {
	case old == next:
		return core.Errorf(core.KindInvalid, "%s cannot take its own place", old).WithNext("a lost machine is replaced under a new name: unibusd node replace %s NEW", old)
	case !cluster.IsKnown(v, old):
		return core.Errorf(core.KindNotFound, "no node is named %s", old).WithNext("unibusd node list")
	case joinPending(v, next) == nil && !slices.ContainsFunc(v.Added, added):
		return core.Errorf(core.KindRefused, "%s was a node of this cluster before, so that it cannot take the place of another", next).
			WithNext("to go on with one node less: unibusd node remove %s", old)
	}
	return cluster.RemovalUnsafe(v, old)
}

// joinPending says what is left until a node is a member of the cluster; nil if nothing
// is. KindUnavailable.
func joinPending(v cluster.View, name string) error {
	left := "has never answered. Start unibusd on its machine with --name " + name + ", and --routes to the nodes that run"
	for _, n := range v.Nodes {
		switch {
		case n.Name != name, n.HeardMS < 0:
		case !n.Online:
			left = "does not answer. Start unibusd on its machine"
		case n.Off || n.Meta == "" || v.Meta.Leader == "":
			left = "answers, and is not in the meta group yet"
		default:
			return nil
		}
	}
	return core.Errorf(core.KindUnavailable, "%s %s", name, left)
}

// awaitStep tries until do returns nil or an error that time does not change, or ctx ends.
// It says what it waits for whenever that changes.
func awaitStep(ctx context.Context, say func(...any), do func() error) error {
	said := ""
	for {
		err := do()
		if core.KindOf(err) != core.KindUnavailable {
			return err
		}
		if left := core.AsError(err).Text; left != said && ctx.Err() == nil {
			said = left
			say("waiting: " + left)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}
