package guide

import (
	"fmt"
	"time"

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

// RunsOf names the runs of the nodes: another text means that a node was started or lost.
func RunsOf(v cluster.View) string {
	out := ""
	for _, n := range v.Nodes {
		out += fmt.Sprintf("%s %s %v;", n.Name, n.ID, n.Online)
	}
	return out
}
