// Package buckets is the page of the replicated buckets: who leads each, and how
// every replica stands.
package buckets

import (
	"fmt"
	"strings"
	"time"

	"unibus/core/cluster"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Model is the page.
type Model struct{ page.List }

// New makes the page.
func New() *Model {
	m := &Model{}
	m.List = page.List{
		Kind: "bucket", Subject: "the buckets", MaxAge: page.Fresh, RowsEvery: time.Second,
		Source: func(s *feed.Snapshot) feed.Freshness { return s.Status.Freshness },
		Rows:   m.rows, Summary: summary, Detail: detail, Gone: "This bucket is not there any more.",
		Table: widget.NewTable("",
			widget.Column{Title: "BUCKET"}, widget.Column{Title: "STATE"}, widget.Column{Title: "LEADER"},
			widget.Column{Title: "KEYS", Right: true}, widget.Column{Title: "SIZE", Right: true},
			widget.Column{Title: "LED FOR", Right: true}, widget.Column{Title: "REPLICAS", Min: 12}),
	}
	return m
}

// Name is buckets.
func (m *Model) Name() string { return "buckets" }

func all(s page.Scene) []cluster.Bucket {
	v := s.Snap.Status.Value.View
	return append(append([]cluster.Bucket(nil), v.Buckets...), v.Mechanism...)
}

func (m *Model) rows(s page.Scene) []widget.Row {
	v := s.Snap.Status.Value.View
	m.Table.Empty = "There are no buckets yet. unibusd makes them once the meta group has a leader."
	if !v.Clustered {
		m.Table.Empty = fmt.Sprintf("%s runs alone and keeps its control plane in SQLite: it has no buckets. Started with routes to other nodes it would make them.", v.From)
	}
	var rows []widget.Row
	for i, b := range all(s) {
		rows = append(rows, s.FadedRow(row(s.AsOf(), b, i >= len(v.Buckets))))
	}
	return rows
}

func row(s page.Scene, b cluster.Bucket, mechanism bool) widget.Row {
	word, tone := Standing(b)
	g := s.Theme.Glyphs.Healthy
	switch tone {
	case theme.Warn:
		g = s.Theme.Glyphs.Degraded
	case theme.Bad:
		g = s.Theme.Glyphs.Critical
	}
	size, unit := widget.Bytes(b.Bytes)
	led := widget.Num(-1, "-", "").In(theme.Faint)
	if b.Since != 0 && b.Leader != "" {
		f, u := widget.AgeParts(s.Since(b.Since))
		led = widget.Num(s.Since(b.Since).Seconds(), f, u)
	}
	leader := widget.Cell{Text: b.Leader}
	if b.Leader == "" {
		leader = widget.Cell{Text: "none", Tone: theme.Bad}
	}
	return widget.Row{Key: b.Name, Dim: mechanism, Cells: []widget.Cell{
		{Text: g + " " + b.Name, Tone: tone},
		{Text: word, Tone: tone},
		leader,
		widget.Num(float64(b.Keys), widget.Count(b.Keys), ""), widget.Num(float64(b.Bytes), size, unit), led,
		{Text: replicas(s, b)},
	}}
}

// Standing sums up a bucket: how many replicas are current, and how bad that is.
func Standing(b cluster.Bucket) (string, theme.Tone) {
	n := 0
	for _, r := range b.Replicas {
		if r.State == cluster.ReplicaCurrent {
			n++
		}
	}
	text := fmt.Sprintf("%d of %d current", n, b.Wanted)
	switch {
	case n*2 <= b.Wanted:
		return text, theme.Bad
	case n < b.Wanted:
		return text, theme.Warn
	}
	return text, theme.Good
}

func sign(s page.Scene, r cluster.Replica) (glyph string, tone theme.Tone) {
	g := s.Theme.Glyphs
	switch r.State {
	case cluster.ReplicaCurrent:
		return g.Healthy, theme.Good
	case cluster.ReplicaBehind:
		return g.Degraded, theme.Warn
	case cluster.ReplicaOffline:
		return g.Absent, theme.Bad
	}
	return g.Unknown, theme.Dim
}

func replicas(s page.Scene, b cluster.Bucket) string {
	var parts []string
	for _, r := range b.Replicas {
		g, _ := sign(s, r)
		text := g + " " + r.Node
		if r.Lag > 0 {
			text += " -" + widget.Count(int(r.Lag))
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "  ")
}

func summary(s page.Scene) []string { return append(s.Faded(replication(s)), "") }

func replication(s page.Scene) []string {
	v := s.Snap.Status.Value.View
	var lame []string
	for _, b := range all(s) {
		if _, tone := Standing(b); tone != theme.Good {
			lame = append(lame, b.Name)
		}
	}
	switch {
	case len(all(s)) == 0:
		return nil
	case len(lame) == 0:
		if len(v.Buckets) == 0 {
			return s.Prose(theme.Plain, "The five buckets of the control plane come with the move to KV. What is here already belongs to the mechanism, and every replica of it is current.")
		}
		return s.Prose(theme.Plain, fmt.Sprintf("Every replica of all %d is current. The first %d are the control plane, the others belong to the mechanism.", len(all(s)), len(v.Buckets)))
	}
	text := "Not every replica is current: " + strings.Join(lame, ", ") + "."
	switch {
	case len(lame) == len(all(s)):
		text = "No bucket has all its replicas current."
	case len(lame) > 3:
		text = fmt.Sprintf("Not every replica is current in %d of %d.", len(lame), len(all(s)))
	}
	return s.Prose(theme.Plain, text+" A bucket is written while more than half of its replicas answer.")
}

func detail(s page.Scene, id string) []string {
	for _, b := range all(s) {
		if b.Name == id {
			return s.Faded(bucketDetail(s.AsOf(), b))
		}
	}
	return nil
}

func bucketDetail(s page.Scene, b cluster.Bucket) []string {
	word, tone := Standing(b)
	lines := []string{" " + s.P(theme.Strong, b.Name) + "  " + s.P(tone, word), ""}
	f := page.Facts{Scene: s, Label: 10}
	leader := "nobody: it cannot be written"
	if b.Leader != "" {
		leader = b.Leader
		if b.Since != 0 {
			leader += " for " + widget.Span(s.Since(b.Since))
		}
	}
	f.Add("leader", leader)
	need := b.Wanted/2 + 1
	f.Add("quorum", fmt.Sprintf("%d of %s must answer for a write", need, widget.Plural(b.Wanted, "replica", "replicas")))
	f.Add("holds", fmt.Sprintf("%s, %s, last sequence %s", widget.Plural(b.Keys, "key", "keys"), widget.Size(b.Bytes), widget.Count(int(b.LastSeq))))
	f.Add("waits for", widget.Clean(b.Waiting))
	lines = append(append(lines, f.Lines...), "", " "+s.P(theme.Dim, widget.Pad("REPLICA", 12, false)+widget.Pad("STATE", 14, false)+"BEHIND BY"))
	for _, r := range b.Replicas {
		g, tone := sign(s, r)
		lag := "nothing"
		if r.State == cluster.ReplicaUnknown || r.State == cluster.ReplicaOffline {
			lag = "not known"
		}
		if r.Lag > 0 {
			lag = widget.Plural(int(r.Lag), "operation", "operations")
		}
		role := ""
		if r.Node == b.Leader {
			role = ", leader"
		}
		lines = append(lines, " "+s.P(tone, widget.Pad(g+" "+r.Node, 12, false)+widget.Pad(string(r.State), 14, false))+s.P(theme.Dim, lag+role))
	}
	return lines
}
