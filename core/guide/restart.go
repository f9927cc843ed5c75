package guide

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
)

// restart takes one node at a time. A node counts as restarted if its run began after
// Since. Before each node everything is checked again, so that the guide stops at the first doubt.
func restart(c *checklist) {
	var left []cluster.Node
	for _, n := range c.Nodes {
		if n.Online && started(n) >= c.Since {
			c.add(Step{Title: "Restart " + at(n), Why: "its run began before this round", Seen: "started " + startTime(n) + ", version " + cmp.Or(n.Version, "unknown")}, Done)
			continue
		}
		left = append(left, n)
	}
	slices.SortStableFunc(left, func(a, b cluster.Node) int {
		return cmp.Or(cmp.Compare(weight(a), weight(b)), strings.Compare(a.Name, b.Name))
	})
	c.report.Resume = "unibusd guide restart --since " + c.Since.Time().UTC().Format("2006-01-02T15:04:05Z")
	c.allAnswer()
	c.ending()
	for _, n := range left {
		if n.Online {
			c.restartNode(n)
		}
	}
	if !c.open {
		c.report.Text = "Every node was restarted since " + c.Since.Time().UTC().Format("15:04:05") + " UTC, and every replica holds the same rows."
	}
}

// weight puts nodes that lead behind those that follow, and the leader of the meta group last.
func weight(n cluster.Node) int {
	if n.Meta == "leader" {
		return 1000
	}
	return len(n.Leads)
}

func startTime(n cluster.Node) string { return started(n).Time().UTC().Format("15:04:05") + " UTC" }

// allAnswer waits for one node, which may be starting, and stops at two.
func (c *checklist) allAnswer() {
	silent := c.silent()
	s := Step{Title: "Every node answers", Why: "the next node stops only while all others are there", Seen: fmt.Sprintf("%d nodes answer", len(c.Nodes))}
	switch missing := c.Expected - len(c.Nodes); {
	case len(silent) > 1 || missing > 0:
		away := len(silent) + max(0, missing)
		s.Seen = fmt.Sprintf("%d of %d nodes %s not answer", away, max(c.Expected, len(c.Nodes)), map[bool]string{true: "does", false: "do"}[away == 1])
		s.Type = []string{"unibusd guide quorum-lost"}
		c.add(s, c.waitIfStarting(Unsafe))
	case len(silent) == 1:
		s.Seen = silent[0].Name + " does not answer"
		c.add(c.atService(s, "start", "only if it does not start by itself; ", silent[0]), Waiting)
	default:
		c.add(s, Done)
	}
}

func (c *checklist) restartNode(n cluster.Node) {
	plan, err := cluster.PlanStop(c.View, n.Name)
	safe := err == nil && plan.Safe
	may := Step{
		Title: n.Name + " may stop", Why: "without it the others must agree, and serve", Type: []string{"unibusd node plan stop " + n.Name},
		Seen: strings.TrimSuffix(plan.Text, "."),
	}
	if servesFile(n) {
		may.Do = "migrate first: in replicated buckets every node can stop. Or restart " + n.Name + " by yourself at a quiet time, and ask for this guide again"
		may.Type = []string{"unibusd migrate-to-kv --node " + n.Name + " --db " + core.ShellQuote(n.Info.Serving.File)}
	}
	c.require(may, safe, Unsafe)
	groups := c.ledGroups(n)
	lead := Step{Title: n.Name + " leads nothing", Why: "a leader that stops without handing over costs an election", Seen: n.Name + " leads nothing"}
	if len(groups) > 0 {
		lead.Title, lead.Seen = "Hand over what "+n.Name+" leads", n.Name+" leads "+strings.Join(groups, ", ")
	}
	for _, g := range groups {
		lead.Type = append(lead.Type, "unibusd step-down "+g)
	}
	c.require(lead, len(groups) == 0, Next)
	c.add(c.atService(Step{
		Title: "Restart " + at(n), Why: "its run began before this round", Seen: "started " + startTime(n) + ", version " + cmp.Or(n.Version, "unknown"),
	}, "restart", "", n), Next)
}

// servesFile is true of the node that has the control plane in a SQLite file.
func servesFile(n cluster.Node) bool {
	return n.Info != nil && n.Info.Serving.Backend == core.BackendSQLite && n.Info.Serving.File != ""
}

// ledGroups are the groups that a node leads, as step-down names them.
func (c *checklist) ledGroups(n cluster.Node) []string {
	var out []string
	if n.Meta == "leader" {
		out = append(out, "meta")
	}
	for _, b := range c.AllBuckets() {
		if b.Leader == n.Name {
			out = append(out, b.Name)
		}
	}
	return out
}
