package cluster

import (
	"fmt"
	"time"
)

// judgeRescue is about a rescue under way, and about a node that needs one. A finding that
// it returns replaces the usual ones of the meta group.
func judgeRescue(v View, now time.Time) []Finding {
	m, fenced := v.Meta, v.Fenced()
	switch {
	case !v.hasQuorum() && len(fenced) > 0:
		return []Finding{{
			Critical, "meta",
			fmt.Sprintf("%s %s fenced and can never come back, but %s in the meta group, which needs %d of %d members and has %d: no user can connect.",
				join(fenced), plural(len(fenced), "is", "are"), plural(len(fenced), "still counts", "still count"), m.Needed, m.Size, m.Online),
			fmt.Sprintf("let %s go on without %s", join(v.Survivors()), join(fenced)) + guided("rescue"),
		}}
	case v.hasQuorum() && m.Leader == "" && m.NoRoute:
		return []Finding{{
			Critical, "meta",
			fmt.Sprintf("%s is alone in the meta group and has heard no other server since its start. Before that it elects no leader: no user can connect.", v.From),
			"connect a new node to " + v.From + guided("rescue"),
		}}
	case m.RescueUntil != 0:
		return append(orphanPeerFindings(v), Finding{
			Degraded, "meta",
			fmt.Sprintf("A rescue has lowered the quorum of the meta group to %d of %d members, until %s at the latest: two parts of a cut cluster could decide each for itself.", m.Needed, m.Size, clock(m.RescueUntil, now)),
			"wait, and restart no node" + guided("rescue"),
		})
	}
	return nil
}
