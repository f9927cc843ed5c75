// Package overview is the first page: the verdict as a sentence, what to do,
// the figures that carry it, the nodes, and what happened last.
package overview

import (
	"strings"
	"time"

	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Model is the page.
type Model struct {
	page.List      // the nodes
	all       bool // the findings are listed in place of the page
	list      widget.Scroll
}

// New makes the page.
func New() *Model {
	return &Model{List: page.List{
		Kind: "node", RowsEvery: time.Second, Rows: rows,
		Source: func(s *feed.Snapshot) feed.Freshness { return s.Status.Freshness },
		Table:  widget.NewTable(page.NoNodes, page.NodeColumns()...),
	}}
}

// Name is overview.
func (m *Model) Name() string { return "overview" }

func rows(s page.Scene) []widget.Row {
	var out []widget.Row
	for _, n := range s.Snap.Status.Value.Nodes {
		out = append(out, page.NodeRow(s, n))
	}
	return out
}

// View draws the page.
func (m *Model) View(s page.Scene) string {
	if wait := s.Await("the first answer", s.Snap.Status.Freshness); wait != nil {
		return s.Keep(wait)
	}
	if m.all {
		return m.findings(s)
	}
	m.Load(s)
	lines := verdict(s)
	lines = append(lines, "")
	lines = append(lines, s.Faded(facts(s.AsOf()))...)
	lines = append(lines, "")
	room := s.H - len(lines)
	want := min(m.Table.Len()+1, max(3, room-3))
	table := m.Table.View(s.Theme, s.W, min(want, max(2, room)))
	lines = append(lines, table)
	lines = append(lines, below(s, room-1-strings.Count(table, "\n"))...)
	return s.Keep(lines)
}

// verdict is what is true, what it means and what to do.
func verdict(s page.Scene) []string {
	st := s.Snap.Status.Value
	tone := theme.Strong
	stale := s.Stale(s.Snap.Status.Freshness, page.Fresh)
	if stale != nil {
		tone = theme.Dim
	}
	text := st.Sentence
	if text == "" {
		text = "The cluster is " + string(st.Verdict) + "."
	}
	lines := append(stale, s.Prose(tone, text)...)
	if st.Do != "" {
		lines = append(lines, s.Prose(theme.Accent, "Do: "+st.Do)...)
	}
	return lines
}

// Key moves in the table of nodes.
func (m *Model) Key(s page.Scene, key string) page.Effect {
	if m.all {
		return page.Effect{Handled: m.list.Key(key)}
	}
	m.Load(s)
	if key == "f" && len(s.Snap.Status.Value.Findings) > 0 {
		m.all, m.list = true, widget.Scroll{}
		return page.Effect{Handled: true}
	}
	if key == "enter" {
		return page.Effect{Handled: true, Goto: "nodes", Open: m.Table.Selected()}
	}
	return page.Effect{Handled: m.Table.Key(key)}
}

// Back closes the list of findings.
func (m *Model) Back() bool {
	was := m.all
	m.all = false
	return was
}

// Hints are the page's own keys.
func (m *Model) Hints(s page.Scene) []page.Hint {
	switch {
	case m.all:
		return []page.Hint{{Key: "esc", Does: "back"}}
	case len(s.Snap.Status.Value.Findings) > 0:
		return []page.Hint{{Key: "enter", Does: "open"}, {Key: "f", Does: "findings"}}
	}
	return []page.Hint{{Key: "enter", Does: "open"}}
}

// Copy is the verdict's sentence.
func (m *Model) Copy(s page.Scene) (string, string) {
	return "the verdict", s.Snap.Status.Value.Sentence
}
