package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// RepeatedLine is a warning or an error that a node logs again and again.
type RepeatedLine struct {
	Level Level       `json:"level"` // of the finding
	Text  string      `json:"text"`
	Count int         `json:"count"`
	Since core.Millis `json:"since"`
	Last  core.Millis `json:"last,omitempty"` // when it came last; 0: an older node
}

// MaxRepeatedLines bounds how many of them a node reports.
const MaxRepeatedLines = 3

// judgeLogs is about what fails for so long that it does not end by itself. Why a
// route cannot be opened is said by judgeRoutes, where that is known.
func judgeLogs(v View, now time.Time) []Finding {
	var fs []Finding
	for _, n := range v.Nodes {
		if !n.Online || n.Info == nil {
			continue
		}
		for _, l := range n.Info.Repeated {
			if strings.Contains(l.Text, dialLine) && len(n.Info.Routes) > 0 || strings.Contains(l.Text, "route") && v.hasRouteFault(n, now) || v.causeIsOver(n, l) {
				continue
			}
			fs = append(fs, Finding{
				l.Level, "node." + n.Name,
				fmt.Sprintf("%s logs the same again and again, %d times since %s: %s", n.Name, l.Count, clock(l.Since, now), withPeriod(l.Text)),
				"find the cause in the log of " + n.Name + logCommand(n),
			})
		}
	}
	return fs
}

// causeEnds is how long after its cause a line may still come: routes and groups are looked
// at once a second.
const causeEnds = 2 * time.Second

// causeIsOver is true of a line that came last before its cause ended, where the cluster can
// be asked for that. Others are over once they have not come for a while.
func (v View) causeIsOver(n Node, l RepeatedLine) bool {
	ended := core.Millis(0)
	switch {
	case strings.Contains(l.Text, "route"):
		ended = v.routesOpenSince(n)
	case slices.ContainsFunc(leaderLines(), func(part string) bool { return strings.Contains(l.Text, part) }):
		ended = v.leadersSince()
	}
	return l.Last != 0 && ended != 0 && l.Last.Time().Before(ended.Time().Add(causeEnds+time.Duration(n.ClockMS)*time.Millisecond))
}

// leaderLines are parts of what the servers and nodes log for want of a leader.
func leaderLines() []string {
	return []string{"NO quorum", "meta leader", "JetStream system temporarily unavailable", "the audit is not ready yet", "routing to be established"}
}

// routesOpenSince is when the last route from a node or to it could be opened again, by the
// looking node's clock: 0 while one cannot be opened, or where none was tried.
func (v View) routesOpenSince(n Node) core.Millis {
	since := core.Millis(0)
	for _, other := range v.Nodes {
		if other.Info == nil || !other.Online {
			continue
		}
		for _, r := range other.Info.Routes {
			switch {
			case other.Name != n.Name && r.Node != n.Name:
			case r.Fault != "":
				return 0
			default:
				since = max(since, r.Since-core.Millis(other.ClockMS))
			}
		}
	}
	return since
}

// leadersSince is when the last group got its leader: 0 while one has none.
func (v View) leadersSince() core.Millis {
	since := v.Meta.Since
	if v.Meta.Leader == "" {
		return 0
	}
	for _, b := range v.AllBuckets() {
		if b.Leader == "" {
			return 0
		}
		since = max(since, b.Since)
	}
	return since
}

func withPeriod(text string) string { return strings.TrimSuffix(text, ".") + "." }

// logCommand shows a node's log, where a service manager keeps it.
func logCommand(n Node) string {
	if n.Info == nil || n.Info.Unit == "" {
		return ""
	}
	return ": journalctl -u " + n.Info.Unit
}

// hasRouteFault is true of a node that cannot open a route, or to which none can be opened,
// now or a moment ago: earlier lines are still reported.
func (v View) hasRouteFault(n Node, now time.Time) bool {
	for _, other := range v.Nodes {
		for _, u := range other.Unheard {
			if u.By == n.Name || other.Name == n.Name {
				return true
			}
		}
		if other.Info == nil || !other.Online {
			continue
		}
		for _, r := range other.Info.Routes {
			if (r.Fault != "" || Age(r.Since, now) < routeStays) && (other.Name == n.Name || r.Node == n.Name) {
				return true
			}
		}
	}
	return false
}
