package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// Incident is one thing that went wrong: it begins when a subject is not healthy any more, and
// ends when that is over. The consequences of one cause are one Incident.
type Incident struct {
	ID        string      `json:"id"`       // when it began, and the node that saw it
	Subjects  []string    `json:"subjects"` // its causes, as findings name them: node.n3, meta, bucket.UNIBUS_users
	Lost      []string    `json:"lost"`     // the nodes among them that did not answer
	Level     Level       `json:"level"`    // the worst so far
	Cause     string      `json:"cause"`    // one sentence
	Begin     core.Millis `json:"begin"`
	End       core.Millis `json:"end,omitempty"` // 0 while it is open
	Times     int         `json:"times"`         // how often it began; more than once where it comes and goes
	Replicas  int         `json:"replicas"`      // replicas that were not current, each counted once
	Elections int         `json:"elections"`
	Lines     []Event     `json:"lines"`                    // what happened, oldest first: the first and the last ones
	LeftOut   int         `json:"lines_left_out,omitempty"` // lines between the first and the last ones
}

// An Incident keeps its first and its last lines, so many of each.
const incidentLines = 25

// IsOpen is true until the Incident is over.
func (i Incident) IsOpen() bool { return i.End == 0 }

// Lasted is how long it has lasted at now, or did.
func (i Incident) Lasted(now core.Millis) time.Duration {
	if i.End != 0 {
		now = i.End
	}
	return max(0, now.Time().Sub(i.Begin.Time()))
}

// Title is what happened, and when in UTC: "n3 lost 15:03:44 UTC".
func (i Incident) Title() string {
	at := i.Begin.Time().Format("15:04:05") + " UTC"
	switch {
	case i.Times > 1:
		return fmt.Sprintf("%s %d times since %s", i.what(), i.Times, at)
	case len(i.Lost) > 0:
		return i.what() + " " + at
	}
	return i.what() + " (" + at + ")"
}

func (i Incident) what() string {
	if len(i.Lost) > 0 {
		return join(i.Lost) + " lost"
	}
	return strings.TrimSuffix(i.Cause, ".")
}

// Sentence is the Title and what it cost: "n3 lost 15:03:44 UTC: 8 replicas, 5 elections, healed in 3 s".
func (i Incident) Sentence() string { return i.Title() + ": " + i.cost(notOver) }

// Summary is the Sentence for a place that has the times: "n3 lost: 8 replicas, 5 elections, healed in 3 s".
func (i Incident) Summary() string { return i.summary(notOver) }

// SummaryWhenHealthy is the Summary while the cluster is healthy: an Incident that is open then ends once
// that has held for some seconds.
func (i Incident) SummaryWhenHealthy() string {
	return i.summary("healthy again; over once that has held")
}

func (i Incident) summary(open string) string {
	what := i.what()
	if i.Times > 1 {
		what += fmt.Sprintf(" %d times", i.Times)
	}
	return what + ": " + i.cost(open)
}

// notOver is how long an Incident lasts that is open.
const notOver = "not over yet"

// cost is what an Incident did, and how long; open says it of one that is open.
func (i Incident) cost(open string) string {
	var parts []string
	if i.Replicas > 0 {
		parts = append(parts, fmt.Sprintf("%d %s", i.Replicas, plural(i.Replicas, "replica", "replicas")))
	}
	if i.Elections > 0 {
		parts = append(parts, fmt.Sprintf("%d %s", i.Elections, plural(i.Elections, "election", "elections")))
	}
	if i.IsOpen() {
		return strings.Join(append(parts, open), ", ")
	}
	return strings.Join(append(parts, "healed in "+span(i.Lasted(i.End))), ", ")
}

// Clone is a copy that shares nothing.
func (i Incident) Clone() Incident {
	i.Subjects, i.Lost, i.Lines = slices.Clone(i.Subjects), slices.Clone(i.Lost), slices.Clone(i.Lines)
	return i
}

// addLine keeps the first lines and the last ones.
func (i *Incident) addLine(e Event) {
	i.Lines = append(i.Lines, e)
	if len(i.Lines) > 2*incidentLines {
		i.Lines = slices.Delete(i.Lines, incidentLines, incidentLines+1)
		i.LeftOut++
	}
}

// IsSameAs is true of what two nodes saw of one Incident, each at a moment of its own: they have
// a cause and a time in common. One node may have noticed what follows before it noticed the cause.
func (i Incident) IsSameAs(other Incident) bool {
	const apart = core.Millis(joinTime / time.Millisecond)
	haveTime := (other.IsOpen() || i.Begin <= other.End+apart) && (i.IsOpen() || other.Begin <= i.End+apart)
	haveCause := slices.ContainsFunc(i.Subjects, func(s string) bool { return slices.Contains(other.Subjects, s) })
	beganTogether := i.isGrouped() && other.isGrouped() && max(i.Begin, other.Begin)-min(i.Begin, other.Begin) <= apart
	return haveTime && (haveCause || beganTogether)
}

// isGrouped is true of an Incident that lines about groups and replicas belong to.
func (i Incident) isGrouped() bool {
	return len(i.Lost) > 0 || slices.ContainsFunc(i.Subjects, func(s string) bool { return kindOf(s) == faultGroup })
}

// fault is a subject that is not healthy.
type fault struct {
	subject string
	kind    faultKind
	level   Level
	cause   string
}

type faultKind int

const (
	faultLost  faultKind = iota // a node that does not answer
	faultOther                  // what has a cause of its own
	faultGroup                  // what follows from lost nodes, and may come alone as well
)

// faultsOf are the subjects that are not healthy, lost nodes first: their consequences are
// then attributed to them. A node that is stopped for maintenance is not lost.
func faultsOf(v View, j Judgment) []fault {
	var out []fault
	add := func(f fault) {
		at := slices.IndexFunc(out, func(o fault) bool { return o.subject == f.subject })
		if at < 0 {
			out = append(out, f)
		} else if f.level.rank() > out[at].level.rank() {
			out[at].level = f.level
		}
	}
	for _, name := range v.silent() {
		if _, planned := v.InMaintenance(name); !planned && v.Clustered {
			add(fault{"node." + name, faultLost, Degraded, name + " does not answer."})
		}
	}
	for _, kind := range []faultKind{faultOther, faultGroup} {
		for _, f := range j.Findings {
			if kindOf(f.About) == kind && f.Level.rank() > Note.rank() {
				add(fault{f.About, kind, f.Level, firstSentence(f.Text)})
			}
		}
	}
	return out
}

func kindOf(about string) faultKind {
	if about == "meta" || about == "authority" || about == "buckets" || strings.HasPrefix(about, "bucket.") {
		return faultGroup
	}
	return faultOther
}

// firstSentence ends before the first period that a blank and a capital letter follow.
func firstSentence(text string) string {
	for i := range len(text) - 2 {
		if text[i] == '.' && text[i+1] == ' ' && text[i+2] >= 'A' && text[i+2] <= 'Z' {
			return text[:i+1]
		}
	}
	return text
}
