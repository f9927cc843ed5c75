// Package overview is the first page: the verdict as a sentence, what to do,
// the figures that carry it, the nodes, and what happened last.
package overview

import (
	"strings"
	"time"

	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Model is the page.
type Model struct {
	table *widget.Table
	memo  page.Memo
	all   bool // the findings are listed in place of the page
	list  widget.Scroll
}

// New makes the page.
func New() *Model {
	return &Model{table: widget.NewTable("No node is known yet. They appear once one has answered.", page.NodeColumns()...)}
}

// Name is overview.
func (m *Model) Name() string { return "overview" }

func (m *Model) load(s page.Scene) {
	if m.memo.Fresh(s, time.Second, "", s.Snap.Status.N) {
		return
	}
	var rows []widget.Row
	for _, n := range s.Snap.Status.Value.Nodes {
		rows = append(rows, page.NodeRow(s, n))
	}
	m.table.Load(rows, s.Filter)
}

// View draws the page.
func (m *Model) View(s page.Scene) string {
	if wait := page.Await(s, "the first answer", s.Snap.Status); wait != nil {
		return s.Keep(wait)
	}
	if m.all {
		return m.findings(s)
	}
	m.load(s)
	lines := verdict(s)
	lines = append(lines, "")
	lines = append(lines, s.Faded(facts(s.AsOf()))...)
	lines = append(lines, "")
	room := s.H - len(lines)
	want := min(m.table.Len()+1, max(3, room-3))
	table := m.table.View(s.Theme, s.W, min(want, max(2, room)))
	lines = append(lines, table)
	lines = append(lines, below(s, room-1-strings.Count(table, "\n"))...)
	return s.Keep(lines)
}

// findings is every finding, with what to do about each.
func (m *Model) findings(s page.Scene) string {
	lines := append(page.Stale(s, s.Snap.Status, page.Fresh), " "+s.P(theme.Dim, "FINDINGS"))
	fs := s.Snap.Status.Value.Findings
	if len(fs) == 0 {
		lines = append(lines, s.Prose(theme.Plain, "None any more. Esc goes back.")...)
	}
	for _, f := range fs {
		lines = append(lines, s.Faded(finding(s, f, f.Next))...)
	}
	return s.Keep(m.list.Lines(s.Theme, lines, s.H))
}

// verdict is what is true, what it means and what to do.
func verdict(s page.Scene) []string {
	st := s.Snap.Status.Value
	tone := theme.Strong
	stale := page.Stale(s, s.Snap.Status, page.Fresh)
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
	m.load(s)
	if key == "f" && len(s.Snap.Status.Value.Findings) > 0 {
		m.all, m.list = true, widget.Scroll{}
		return page.Effect{Handled: true}
	}
	if key == "enter" {
		return page.Effect{Handled: true, Goto: "nodes", Open: m.table.Selected()}
	}
	return page.Effect{Handled: m.table.Key(key, s.H, false)}
}

// Open selects a node.
func (m *Model) Open(s page.Scene, id string) {
	m.load(s)
	m.table.Select(id)
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

// Selection is the selected node.
func (m *Model) Selection(s page.Scene) action.Selection {
	m.load(s)
	if id := m.table.Selected(); id != "" {
		return action.Selection{Kind: "node", IDs: []string{id}}
	}
	return action.Selection{}
}

// Want is nothing beyond the status.
func (m *Model) Want() feed.Want { return feed.Want{} }

// Done has no marks to take away.
func (m *Model) Done(action.Selection) {}

// Copy is the verdict's sentence.
func (m *Model) Copy(s page.Scene) (string, string) {
	return "the verdict", s.Snap.Status.Value.Sentence
}
