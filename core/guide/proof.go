package guide

import (
	"fmt"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/doctor"
)

// Proof is a comparison of the replicas, and of which runs of the nodes it was made.
type Proof struct {
	Checks []doctor.Check
	Runs   string // RunsOf the view before the comparison
	At     time.Time
}

// proofHolds is how long a comparison is good for the same runs of the same nodes: while a
// step is waited for the replicas are not read all the time.
const proofHolds = 30 * time.Second

// Holds is true while the comparison proves something: it found no fault, no node was
// restarted or lost since, and it is not old.
func (p Proof) Holds(v cluster.View, now time.Time) bool {
	good := doctor.Report{Checks: p.Checks}.Worst() == doctor.OK
	return p.Checks != nil && good && p.Runs == RunsOf(v) && now.Sub(p.At) <= proofHolds
}

// OwnRun is the run of a node by its own view, which StatusOf requests. It is "" where the
// node does not answer, and the parameter known where the question failed in another way.
func OwnRun(name, known string, own cluster.View, err error) string {
	switch {
	case core.KindOf(err) == core.KindUnavailable:
		return ""
	case err != nil:
		return known
	}
	i := slices.IndexFunc(own.Nodes, func(n cluster.Node) bool { return n.Name == name && n.Online })
	if i < 0 {
		return ""
	}
	return own.Nodes[i].ID
}

// KnownRun is the run of a node that a View has; "" where it was never heard.
func KnownRun(name string, v cluster.View) string {
	for _, n := range v.Nodes {
		if n.Name == name {
			return n.ID
		}
	}
	return ""
}

// RunsOf names the runs of the nodes: another text means that a node was started or lost.
func RunsOf(v cluster.View) string {
	out := ""
	for _, n := range v.Nodes {
		out += fmt.Sprintf("%s %s %v;", n.Name, n.ID, n.Online)
	}
	return out
}
