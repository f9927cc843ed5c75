package events

import (
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

const (
	maxPendingLines     = 1000
	maxPendingIncidents = 100

	// coverageMargin is how long after an event the writer may see it. If an event is older
	// than the writer's last record by this, it is written, or the writer did not see it.
	coverageMargin = 5 * time.Second
	// writerTimeout is how long a node that does not lead waits for the leader to write its events.
	writerTimeout = 30 * time.Second

	maxCoverage = 64
	maxKnown    = 500
)

// pending has the events that this node saw and the stream does not have.
type pending struct {
	lines         []cluster.Event
	ended         map[string]cluster.Incident // by ID
	dropped       Dropped
	coverageByRun map[string]coverage // by run

	// Events that the stream got lately: this node may see the same a moment later.
	knownLines []cluster.Event
	knownEnded []cluster.Incident
}

// coverage is the period in which a writer has observed and written.
type coverage struct{ since, through core.Millis }

func newPending() *pending {
	return &pending{ended: map[string]cluster.Incident{}, coverageByRun: map[string]coverage{}}
}

func (p *pending) addLines(lines ...cluster.Event) {
	for _, e := range lines {
		if !slices.ContainsFunc(p.knownLines, func(o cluster.Event) bool { return isSameLine(e, o) }) {
			p.lines = append(p.lines, e)
		}
	}
	for over := len(p.lines) - maxPendingLines; over > 0; over-- {
		p.dropped.add(p.lines[0].At, 1, 0)
		p.lines = p.lines[1:]
	}
}

func (p *pending) addEnded(i cluster.Incident) {
	if slices.ContainsFunc(p.knownEnded, func(o cluster.Incident) bool { return isSameEnd(o, i) }) {
		return
	}
	p.ended[i.ID] = i
	for len(p.ended) > maxPendingIncidents {
		oldest := slices.MinFunc(slices.Collect(maps.Values(p.ended)), func(a, b cluster.Incident) int { return int(a.Begin - b.Begin) })
		p.dropped.add(oldest.Begin, 0, 1)
		delete(p.ended, oldest.ID)
	}
}

// isSameLine is true of one event that two nodes saw.
func isSameLine(a, b cluster.Event) bool {
	if a.About == cluster.AboutVerdict {
		a.Text, b.Text = "", ""
	}
	return a.IsSameAs(b)
}

// isSameEnd is true where the end of an incident is recorded.
func isSameEnd(recorded, own cluster.Incident) bool {
	if recorded.ID == own.ID {
		return recorded.Times >= own.Times
	}
	return recorded.IsSameAs(own)
}

// recorded removes the events of a record. If another node wrote it, recorded also removes the
// events that its writer would have written.
func (p *pending) recorded(r record, isOwn bool) {
	lines := slices.Clone(r.Events)
	for _, i := range r.Incidents {
		lines = append(lines, i.Lines...)
		if !i.IsOpen() {
			p.knownEnded = append(p.knownEnded, i)
		}
	}
	if isOwn {
		p.removeRecorded(func(e cluster.Event) bool {
			return slices.ContainsFunc(lines, func(o cluster.Event) bool { return isSameLine(e, o) && e.At == o.At })
		})
	} else {
		w := p.coverageByRun[r.Run]
		p.coverageByRun[r.Run] = coverage{since: r.Since, through: max(w.through, r.Through)}
		p.trimCoverage()
		p.removeRecorded(func(e cluster.Event) bool {
			return p.isCovered(e.At, coverageMargin) || slices.ContainsFunc(lines, func(o cluster.Event) bool { return isSameLine(e, o) })
		})
		p.knownLines = append(p.knownLines, lines...)
	}
	p.knownLines = p.knownLines[max(0, len(p.knownLines)-maxKnown):]
	p.knownEnded = p.knownEnded[max(0, len(p.knownEnded)-maxKnown):]
}

func (p *pending) removeRecorded(isRecorded func(cluster.Event) bool) {
	p.lines = slices.DeleteFunc(p.lines, isRecorded)
	for id, i := range p.ended {
		if slices.ContainsFunc(p.knownEnded, func(o cluster.Incident) bool { return isSameEnd(o, i) }) {
			delete(p.ended, id)
		}
	}
}

func (p *pending) trimCoverage() {
	for len(p.coverageByRun) > maxCoverage {
		oldest := ""
		for run, w := range p.coverageByRun {
			if oldest == "" || w.through < p.coverageByRun[oldest].through {
				oldest = run
			}
		}
		delete(p.coverageByRun, oldest)
	}
}

// endOf returns the end that this node saw, of an incident that is open in the stream.
func (p *pending) endOf(open cluster.Incident) (cluster.Incident, bool) {
	for id, i := range p.ended {
		if id == open.ID || !i.IsSameAs(open) {
			continue
		}
		delete(p.ended, id)
		i.ID, i.Begin = open.ID, open.Begin
		p.addEnded(i)
		return i, true
	}
	return cluster.Incident{}, false
}

// isCovered is true of a moment that a writer observed itself, and whose events it has written.
func (p *pending) isCovered(at core.Millis, margin time.Duration) bool {
	for _, w := range p.coverageByRun {
		if w.since <= at && at <= w.through-core.Millis(margin.Milliseconds()) {
			return true
		}
	}
	return false
}

// uncovered are the lines and incidents that no writer saw and that are older than writerTimeout: any node
// may write them. Other incidents are removed: a writer saw them in its own way.
func (p *pending) uncovered(now core.Millis) (lines []cluster.Event, incidents []cluster.Incident) {
	isOld := func(at core.Millis) bool { return now.Time().Sub(at.Time()) > writerTimeout }
	for _, e := range p.lines {
		if isOld(e.At) && !p.isCovered(e.At, 0) {
			lines = append(lines, e)
		}
	}
	for id, i := range p.ended {
		switch {
		case !isOld(i.End):
		case p.isCovered(i.Begin, 0):
			delete(p.ended, id)
		default:
			incidents = append(incidents, i)
		}
	}
	return lines, sorted(incidents)
}

func sorted(incidents []cluster.Incident) []cluster.Incident {
	slices.SortFunc(incidents, func(a, b cluster.Incident) int { return strings.Compare(a.ID, b.ID) })
	return incidents
}
