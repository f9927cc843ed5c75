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

// logVerdict tells the node's log.
func (w *writer) logVerdict(c cluster.VerdictChange) {
	level := map[cluster.Level]slog.Level{cluster.Healthy: slog.LevelInfo, cluster.Degraded: slog.LevelWarn, cluster.Critical: slog.LevelError}[c.To]
	w.l.story.Log(context.Background(), level, "the verdict is "+string(c.To), "was", string(cmp.Or(c.From, "unknown")), "since", stamp(c.At), "reason", c.Sentence)
}

// logIncident tells of the beginning and the end of an incident, and of a cause that was found
// later: groups may elect leaders before a node counts as lost.
func (w *writer) logIncident(i cluster.IncidentChange) {
	title := i.Title()
	was, isLogged := w.titles[i.ID]
	w.titles[i.ID] = title
	switch {
	case !i.IsOpen():
		delete(w.titles, i.ID)
		w.l.story.Info("incident ends: "+i.Sentence(), "begin", stamp(i.Begin), "end", stamp(i.End), "cause", i.Cause)
	case i.Began:
		w.l.story.Warn("incident begins: "+title, "begin", stamp(i.Begin), "cause", i.Cause)
	case isLogged && was != title:
		w.l.story.Warn("incident goes on: "+title, "was", was, "begin", stamp(i.Begin), "cause", i.Cause)
	}
}

func stamp(at core.Millis) string { return at.Time().Format(time.RFC3339) }

// news is the verdict that webhooks were not told yet.
func (w *writer) news() (cluster.VerdictChange, bool) {
	told := cmp.Or(w.told, cluster.Healthy) // nothing needs to be told of a cluster that begins healthy
	c := w.verdict
	if c.To == "" || c.To == told {
		return c, false
	}
	c.From = told
	return c, true
}

// tell tells webhooks without a record.
func (w *writer) tell() {
	if c, isNews := w.news(); isNews {
		w.told = c.To
		w.l.cfg.Tell(c, w.incidents.Open())
	}
}

// tellAlone tells webhooks while nothing can be recorded: a lost majority must not wait for one. Of the
// nodes that hear each other the first by name tells, and the others know that it does.
func (w *writer) tellAlone(o cluster.Observation) {
	c, isNews := w.news()
	if !isNews || o.At.Time().Sub(w.noLeader.Time()) < streamAwaits {
		return
	}
	w.told = c.To
	for _, n := range o.View.Nodes {
		if n.Online {
			if n.Name == w.l.cfg.Node {
				w.toldAlone = &c
				w.l.cfg.Tell(c, w.incidents.Open())
			}
			return
		}
	}
	w.l.log.Warn(fmt.Sprintf("%s hears no node, itself included, and tells no webhook", w.l.cfg.Node))
}
