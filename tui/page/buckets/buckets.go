// Package buckets is the page of the replicated buckets, with the leader and the
// replicas of each.
package buckets

import (
	"fmt"
	"strings"
	"time"

	"unibus/core/cluster"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Page keeps the table of buckets.
type Page struct{ page.List }

// New creates the page.
func New() *Page {
	return &Page{List: page.List{
		Kind: action.KindBucket, Subject: "the buckets", MaxAge: page.StatusMaxAge, RowsMaxAge: time.Second,
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.Status.Freshness },
		Rows:      rows, Summary: summary, Detail: detail, Gone: "This bucket no longer exists.", Empty: emptyText,
		Table: widget.NewTable("",
			widget.Column{Title: "BUCKET"}, widget.Column{Title: "STATE"}, widget.Column{Title: "LEADER"},
			widget.Column{Title: "KEYS", Right: true}, widget.Column{Title: "SIZE", Right: true, Extra: true},
			widget.Column{Title: "LED FOR", Right: true, Extra: true}, widget.Column{Title: "REPLICAS", Min: 12}),
		ExportFields: []string{"bucket", "replicas_wanted", "replicas_current", "leader", "leads_since", "keys", "bytes", "last_sequence", "replicas", "waits_for"},
		ExportRow:    exportRow,
	}}
}

// Name returns "buckets".
func (m *Page) Name() action.PageName { return action.PageBuckets }

func exportRow(rc page.RenderContext, key string) []any {
	for _, b := range rc.Snapshot.Status.Value.AllBuckets() {
		if b.Name != key {
			continue
		}
		current, replicas := 0, make([]string, len(b.Replicas))
		for i, r := range b.Replicas {
			if r.State == cluster.ReplicaCurrent {
				current++
			}
			replicas[i] = fmt.Sprintf("%s %s %d", r.Node, r.State, r.Lag)
		}
		return []any{b.Name, b.Wanted, current, b.Leader, b.Since, b.Keys, b.Bytes, b.LastSeq, strings.Join(replicas, ", "), b.Waiting}
	}
	return nil
}

func emptyText(rc page.RenderContext) string {
	if v := rc.Snapshot.Status.Value.View; !v.Clustered {
		return fmt.Sprintf("%s runs alone and keeps its control plane in SQLite: it has no buckets. With routes to other nodes it creates them.", v.From)
	}
	if rc.Snapshot.Status.Value.Meta.Leader == "" {
		return "Which buckets there are cannot be read: the meta group has no leader. They are listed once it has one."
	}
	return "There are no buckets yet. unibusd creates them once the meta group has a leader."
}

func rows(rc page.RenderContext) []widget.Row {
	v := rc.Snapshot.Status.Value.View
	var rows []widget.Row
	for i, b := range rc.Snapshot.Status.Value.AllBuckets() {
		rows = append(rows, rc.DimRowIfStale(row(rc.AtStatusTime(), b, i >= len(v.Buckets))))
	}
	return rows
}

func row(rc page.RenderContext, b cluster.Bucket, internal bool) widget.Row {
	word, tone := replicaSummary(b)
	g := rc.Theme.Glyphs.Healthy
	switch tone {
	case theme.Warn:
		g = rc.Theme.Glyphs.Degraded
	case theme.Bad:
		g = rc.Theme.Glyphs.Critical
	}
	size, unit := widget.FormatSizeParts(b.Bytes)
	led := widget.NoNumber()
	if b.Since != 0 && b.Leader != "" {
		led = widget.AgeCell(rc.AgeOf(b.Since))
	}
	leader := widget.Cell{Text: b.Leader}
	if b.Leader == "" {
		leader = widget.Cell{Text: "none", Tone: theme.Bad}
	}
	return widget.Row{Key: b.Name, IsDim: internal, Cells: []widget.Cell{
		{Text: g + " " + page.Subject(b.Name), Tone: tone},
		{Text: word, Tone: tone},
		leader,
		widget.Number(float64(b.Keys), widget.FormatCount(b.Keys), ""), widget.Number(float64(b.Bytes), size, unit), led,
		{Text: replicasText(rc, b)},
	}}
}

// replicaSummary counts the current replicas of a bucket, and rates that count.
func replicaSummary(b cluster.Bucket) (string, theme.Tone) {
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

func replicaGlyph(rc page.RenderContext, r cluster.Replica) (glyph string, tone theme.Tone) {
	g := rc.Theme.Glyphs
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

func replicasText(rc page.RenderContext, b cluster.Bucket) string {
	var parts []string
	for _, r := range b.Replicas {
		g, _ := replicaGlyph(rc, r)
		text := g + " " + r.Node
		if r.Lag > 0 {
			text += " -" + widget.FormatCount(int(r.Lag))
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "  ")
}

func summary(rc page.RenderContext) []string { return append(rc.DimIfStale(replicationLines(rc)), "") }

func replicationLines(rc page.RenderContext) []string {
	v := rc.Snapshot.Status.Value.View
	all := v.AllBuckets()
	var notCurrent, leaderless []string
	for _, b := range all {
		if b.Leader == "" {
			leaderless = append(leaderless, page.Subject(b.Name))
		}
		if _, tone := replicaSummary(b); tone != theme.Good {
			notCurrent = append(notCurrent, page.Subject(b.Name))
		}
	}
	switch {
	case len(all) == 0:
		return nil
	case len(leaderless) == len(all):
		return rc.Paragraph(theme.Strong, "No bucket has a leader: none of them can be written until more than half of its replicas answer.")
	case len(leaderless) > 0:
		return rc.Paragraph(theme.Strong, fmt.Sprintf("Without a leader, and not to be written now: %s. A bucket elects one while more than half of its replicas answer.", strings.Join(leaderless, ", ")))
	case len(notCurrent) == 0:
		if len(v.Buckets) == 0 {
			return rc.Paragraph(theme.Plain, "The migration to KV creates the five buckets of the control plane. The buckets below are internal, and all their replicas are current.")
		}
		return rc.Paragraph(theme.Plain, fmt.Sprintf("All replicas of all %d buckets are current. The first %d are the control plane, the others are internal. Keys include those of unibus itself: a guard in each, and one a node for proofs.", len(all), len(v.Buckets)))
	}
	text := "Some replicas are not current: " + strings.Join(notCurrent, ", ") + "."
	switch {
	case len(notCurrent) == len(all):
		text = "No bucket has all its replicas current."
	case len(notCurrent) > 3:
		text = fmt.Sprintf("Some replicas are not current in %d of %d buckets.", len(notCurrent), len(all))
	}
	return rc.Paragraph(theme.Plain, text+" A bucket can be written while more than half of its replicas answer.")
}

func detail(rc page.RenderContext, id string) []string {
	for _, b := range rc.Snapshot.Status.Value.AllBuckets() {
		if b.Name == id {
			return rc.DimIfStale(bucketDetail(rc.AtStatusTime(), b))
		}
	}
	return nil
}

func bucketDetail(rc page.RenderContext, b cluster.Bucket) []string {
	word, tone := replicaSummary(b)
	lines := []string{" " + rc.Paint(theme.Strong, page.Subject(b.Name)) + "  " + rc.Paint(tone, word), ""}
	f := page.LabeledLines{Context: rc, LabelWidth: 10}
	leader := "none: it cannot be written"
	if b.Leader != "" {
		leader = b.Leader
		if b.Since != 0 {
			leader += " for " + widget.FormatDuration(rc.AgeOf(b.Since))
		}
	}
	f.Add("stream", b.Name)
	f.Add("leader", leader)
	need := b.Wanted/2 + 1
	f.Add("quorum", fmt.Sprintf("%d of %s must answer for a write", need, widget.Plural(b.Wanted, "replica", "replicas")))
	f.Add("holds", fmt.Sprintf("%s, with those of unibus itself; %s, last sequence %s", widget.Plural(b.Keys, "key", "keys"), widget.FormatSize(b.Bytes), widget.FormatCount(int(b.LastSeq))))
	f.Add("waits for", widget.Sanitize(b.Waiting))
	lines = append(append(lines, f.Lines...), "", " "+rc.Paint(theme.Dim, widget.PadRight("REPLICA", 12)+widget.PadRight("STATE", 14)+"BEHIND BY"))
	for _, r := range b.Replicas {
		g, tone := replicaGlyph(rc, r)
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
		lines = append(lines, " "+rc.Paint(tone, widget.PadRight(g+" "+r.Node, 12)+widget.PadRight(string(r.State), 14))+rc.Paint(theme.Dim, lag+role))
	}
	return lines
}
