package events

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// verdictLine is a changed verdict as a line of the history.
func verdictLine(c cluster.VerdictChange) cluster.Event {
	text := "is " + string(c.To)
	if c.From != "" {
		text += ", was " + string(c.From)
	}
	return cluster.Event{At: c.At, Level: c.To, About: cluster.AboutVerdict, Text: text + ": " + c.Sentence}
}

// logVerdict writes to the node's log.
func (w *writer) logVerdict(c cluster.VerdictChange) {
	level := map[cluster.Level]slog.Level{cluster.Healthy: slog.LevelInfo, cluster.Degraded: slog.LevelWarn, cluster.Critical: slog.LevelError}[c.To]
	w.l.story.Log(context.Background(), level, "the verdict is "+string(c.To), "was", string(cmp.Or(c.From, "unknown")), "since", formatTime(c.At), "reason", c.Sentence)
}

// logIncident logs the beginning and the end of an incident, and a cause that was found later: groups may elect leaders before a node counts as lost.
func (w *writer) logIncident(i cluster.IncidentChange) {
	title := i.Title()
	was, isLogged := w.titles[i.ID]
	w.titles[i.ID] = title
	switch {
	case !i.IsOpen():
		delete(w.titles, i.ID)
		w.l.story.Info("incident ends: "+i.Sentence(), "begin", formatTime(i.Begin), "end", formatTime(i.End), "cause", i.Cause)
	case i.Began:
		w.l.story.Warn("incident begins: "+title, "begin", formatTime(i.Begin), "cause", i.Cause)
	case isLogged && was != title:
		w.l.story.Warn("incident goes on: "+title, "was", was, "begin", formatTime(i.Begin), "cause", i.Cause)
	}
}

func formatTime(at core.Millis) string { return at.Time().Format(time.RFC3339) }

// unsentVerdict is the verdict that no node has sent to webhooks yet.
func (w *writer) unsentVerdict() (cluster.VerdictChange, bool) {
	told := cmp.Or(w.sentLevel, cluster.Healthy) // a cluster that begins healthy needs no message
	c := w.verdict
	if c.To == "" || c.To == told {
		return c, false
	}
	c.From = told
	return c, true
}

// sendVerdict sends the verdict to webhooks without a record.
func (w *writer) sendVerdict() {
	if c, isNews := w.unsentVerdict(); isNews {
		w.sentLevel = c.To
		w.l.cfg.Tell(c, w.incidents.Open())
	}
}

// sendUnrecorded sends the verdict to webhooks while the stream takes no record: a lost majority must not
// wait for one. Of the nodes that hear each other, the first by name sends, and the others rely on it.
func (w *writer) sendUnrecorded(o cluster.Observation) {
	c, isNews := w.unsentVerdict()
	if !isNews || o.At.Time().Sub(w.noLeader.Time()) < electionTimeout {
		return
	}
	w.sentLevel = c.To
	for _, n := range o.View.Nodes {
		if n.Online {
			if n.Name == w.l.cfg.Node {
				w.sentUnrecorded = &c
				w.l.cfg.Tell(c, w.incidents.Open())
			}
			return
		}
	}
	w.l.log.Warn(fmt.Sprintf("%s hears no node, itself included, and sends nothing to webhooks", w.l.cfg.Node))
}
