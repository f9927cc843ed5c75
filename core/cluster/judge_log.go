package cluster

import (
	"fmt"
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
			if strings.Contains(l.Text, dialLine) && len(n.Info.Routes) > 0 || strings.Contains(l.Text, "route") && v.hasRouteFault(n, now) {
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

func withPeriod(text string) string { return strings.TrimSuffix(text, ".") + "." }

// logCommand shows a node's log, where a service manager keeps it.
func logCommand(n Node) string {
	if n.Info == nil || n.Info.Unit == "" {
		return ""
	}
	return ": journalctl -u " + n.Info.Unit
}

// hasRouteFault is true of a node that cannot open a route, or to which none can be opened,
// or where that was so a moment ago: lines of before are still reported.
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
