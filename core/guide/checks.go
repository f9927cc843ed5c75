package guide

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/doctor"
)

func (c *checklist) node(name string) (cluster.Node, bool) {
	i := slices.IndexFunc(c.Nodes, func(n cluster.Node) bool { return n.Name == name })
	if i < 0 {
		return cluster.Node{Name: name}, false
	}
	return c.Nodes[i], true
}

// silent are the nodes that do not answer.
func (c *checklist) silent() []cluster.Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n cluster.Node) bool { return n.Online })
}

// at names a node with its host.
func at(n cluster.Node) string {
	if n.Info != nil && n.Info.Host != "" && n.Info.Host != n.Name {
		return n.Name + " (" + n.Info.Host + ")"
	}
	return n.Name
}

// atService is a step that is done with a node's service manager, or in the way in which
// unibusd was started there. how says more about it.
func (c *checklist) atService(s Step, verb, how string, n cluster.Node) Step {
	s.node = n.Name
	if command := c.ServiceCommand(verb, n.Name); command != "" {
		s.Do, s.Type = how+"on "+at(n)+", as root:", []string{command}
		return s
	}
	s.Do = how + verb + " unibusd on " + at(n) + ", in the way in which it is run there"
	return s
}

// ungrouped says which group has no leader or a replica that is not current, by the word
// of the servers; "" if none.
func (c *checklist) ungrouped() string {
	switch {
	case c.Meta.Leader == "":
		return "the meta group has no leader"
	case len(c.Meta.Leaders) > 1:
		return "several nodes claim to lead the meta group: " + strings.Join(c.Meta.Leaders, ", ")
	}
	for _, b := range c.AllBuckets() {
		if b.Leader == "" {
			return b.Name + " has no leader"
		}
		for _, r := range b.Replicas {
			if r.State != cluster.ReplicaCurrent {
				return fmt.Sprintf("the replica of %s on %s is %s", b.Name, r.Node, r.State)
			}
		}
	}
	return ""
}

// groupsCurrent is a step that passes by itself.
func (c *checklist) groupsCurrent() {
	missing := c.ungrouped()
	seen := fmt.Sprintf("the meta group and %d buckets have a leader, and every replica is current", len(c.AllBuckets()))
	c.require(Step{
		Title: "Every group has a leader and current replicas", Why: "until then the loss of another node may stop the group",
		Seen: cmp.Or(missing, seen),
	}, missing == "", Waiting)
}

// replicasEqual is the step that does not rely on the servers' word: a replica that is
// empty or damaged may be called current.
func (c *checklist) replicasEqual() {
	s := Step{
		Title: "Every replica holds the same rows", Why: "a server calls a replica current that is empty or damaged; the rows themselves are compared",
		Type: []string{"unibusd doctor"},
	}
	if !c.open && c.Proof == nil {
		c.report.NeedsProof = true
		s.Seen = "the replicas were not compared yet"
	}
	found := Waiting
	if c.Proof != nil {
		found, s.Seen = proven(c.Proof)
	}
	c.add(s, found)
}

func proven(checks []doctor.Check) (State, string) {
	compared, state, seen := 0, Done, ""
	for _, k := range checks {
		switch k.State {
		case doctor.Wrong:
			return Unsafe, k.Text
		case doctor.Unknown:
			state, seen = Waiting, k.Text
		case doctor.OK:
			compared++
		}
	}
	switch compared {
	case 0:
		seen = cmp.Or(seen, "there are no buckets yet")
	case 1:
		seen = cmp.Or(seen, "one bucket was compared, row by row")
	default:
		seen = cmp.Or(seen, fmt.Sprintf("%d buckets were compared, row by row", compared))
	}
	return state, seen
}

// startGrace is how long after a start a finding may be about the start itself.
const startGrace = 2 * time.Minute

// requireNoFinding stops the guide at what status reports, a node that has just started excepted.
// How the nodes are configured keeps no restart: a changed setting differs between them
// until the last one was restarted, and all could only be restarted at once.
func (c *checklist) requireNoFinding() {
	s := Step{Title: "Status reports nothing", Why: "a cluster that is not whole may not bear that a node is away", Type: []string{"unibus-tui status"}, Seen: "status is healthy"}
	found := Done
	for _, f := range c.Findings {
		if f.About == "config" {
			s.Seen = "status reports nothing but how the nodes are configured"
			continue
		}
		if f.Level == cluster.Degraded || f.Level == cluster.Critical {
			found, s.Seen = Unsafe, strings.TrimSuffix(f.Text, ".")
			break
		}
	}
	if found == Unsafe {
		found = c.waitIfStarting(found)
	}
	c.add(s, found)
}

// waitIfStarting waits where a node has just started: it and the others have not all heard
// each other yet.
func (c *checklist) waitIfStarting(found State) State {
	if c.startedLately() {
		return Waiting
	}
	return found
}

func (c *checklist) startedLately() bool {
	return slices.ContainsFunc(c.Nodes, func(n cluster.Node) bool { return c.now().Sub(started(n).Time()) < startGrace })
}

// started is when a node's run began, by the clock of the node that looked.
func started(n cluster.Node) core.Millis { return n.Started - core.Millis(n.ClockMS) }

// emptySince is when a node was seen to come back with an empty data directory; 0: it was not.
func (c *checklist) emptySince(name string) core.Millis {
	latest := core.Millis(0)
	for _, n := range c.Nodes {
		if n.Info != nil {
			latest = max(latest, n.Info.Renewed[name])
		}
	}
	return latest
}

// ending is the end of every guide that brings nodes back.
func (c *checklist) ending() {
	c.groupsCurrent()
	c.replicasEqual()
	c.requireNoFinding()
}
