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

	// watchMargin is how long after it happened the writer may see something: an event that
	// is older than its last record by this is written, or the writer did not see it.
	watchMargin = 5 * time.Second
	// lateAfter is how long a node that does not write waits for the writer to write what it saw.
	lateAfter = 30 * time.Second

	maxWatches = 64
	maxKnown   = 500
)

// pending is what this node saw and the stream does not have.
type pending struct {
	lines   []cluster.Event
	ended   map[string]cluster.Incident // by ID
	dropped Dropped
	watches map[string]watch // by run

	// Events that the stream got lately: this node may see the same a moment later.
	knownLines []cluster.Event
	knownEnded []cluster.Incident
}

// watch is the time in which a writer has observed and written.
type watch struct{ since, through core.Millis }

func newPending() *pending {
	return &pending{ended: map[string]cluster.Incident{}, watches: map[string]watch{}}
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

// isSameLine is true of what two nodes saw of one thing.
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

// recorded takes out what a record has. Of a record of another node it also takes out what its
// writer would have written.
func (p *pending) recorded(r record, isOwn bool) {
	lines := slices.Clone(r.Events)
	for _, i := range r.Incidents {
		lines = append(lines, i.Lines...)
		if !i.IsOpen() {
			p.knownEnded = append(p.knownEnded, i)
		}
	}
	if isOwn {
		p.takeOut(func(e cluster.Event) bool {
			return slices.ContainsFunc(lines, func(o cluster.Event) bool { return isSameLine(e, o) && e.At == o.At })
		})
	} else {
		w := p.watches[r.Run]
		p.watches[r.Run] = watch{since: r.Since, through: max(w.through, r.Through)}
		p.forgetWatches()
		p.takeOut(func(e cluster.Event) bool {
			return p.isWatched(e.At, watchMargin) || slices.ContainsFunc(lines, func(o cluster.Event) bool { return isSameLine(e, o) })
		})
		p.knownLines = append(p.knownLines, lines...)
	}
	p.knownLines = p.knownLines[max(0, len(p.knownLines)-maxKnown):]
	p.knownEnded = p.knownEnded[max(0, len(p.knownEnded)-maxKnown):]
}

func (p *pending) takeOut(isRecorded func(cluster.Event) bool) {
	p.lines = slices.DeleteFunc(p.lines, isRecorded)
	for id, i := range p.ended {
		if slices.ContainsFunc(p.knownEnded, func(o cluster.Incident) bool { return isSameEnd(o, i) }) {
			delete(p.ended, id)
		}
	}
}

func (p *pending) forgetWatches() {
	for len(p.watches) > maxWatches {
		oldest := ""
		for run, w := range p.watches {
			if oldest == "" || w.through < p.watches[oldest].through {
				oldest = run
			}
		}
		delete(p.watches, oldest)
	}
}

// endOf returns the end that this node saw of an incident which the stream has as open.
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

// isWatched is true of a moment that a writer observed itself, and has written of.
func (p *pending) isWatched(at core.Millis, margin time.Duration) bool {
	for _, w := range p.watches {
		if w.since <= at && at <= w.through-core.Millis(margin.Milliseconds()) {
			return true
		}
	}
	return false
}

// late are the lines and incidents that no writer saw and that are older than lateAfter: any node may
// write them. Other incidents that a writer saw in its own way are taken out.
func (p *pending) late(now core.Millis) (lines []cluster.Event, incidents []cluster.Incident) {
	isOld := func(at core.Millis) bool { return now.Time().Sub(at.Time()) > lateAfter }
	for _, e := range p.lines {
		if isOld(e.At) && !p.isWatched(e.At, 0) {
			lines = append(lines, e)
		}
	}
	for id, i := range p.ended {
		switch {
		case !isOld(i.End):
		case p.isWatched(i.Begin, 0):
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
