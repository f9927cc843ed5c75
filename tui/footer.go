package tui

import (
	"slices"
	"strings"

	"unibus/tui/action"
	"unibus/tui/keymap"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// footer shows the prompt, or the running action or the keys that work now, and above them a toast. A
// sentence is wrapped, and never cut: it may say what was not done. It never hides the keys.
func (m *Model) footer(rc page.RenderContext) []string {
	t := m.theme
	m.hints = nil
	switch {
	case m.toast.text != "" && m.prompt == nil:
		return append(widget.PaintWrapped(t, m.toast.tone, widget.Sanitize(m.toast.text), m.width), " "+m.footerLine(rc))
	case m.prompt != nil:
		return m.prompt.View(t, m.width, m.toast.text)
	}
	return []string{" " + m.footerLine(rc)}
}

// footerLine is what the footer shows while there is neither a prompt nor a toast.
func (m *Model) footerLine(rc page.RenderContext) string {
	t := m.theme
	switch {
	case m.openDialog != nil && m.openDialog.messageOnly:
		return m.drawKeyHints(m.openDialog.messageHints())
	case m.openDialog != nil && !m.openDialog.dialog.AcceptsKeys():
		return t.Paint(theme.Dim, "a dialog has opened   esc cancel")
	case m.openDialog != nil:
		return m.drawKeyHints(m.openDialog.keyHints())
	case m.running != nil:
		return t.Paint(theme.Accent, m.waitingText())
	case m.lookUp != nil:
		return t.Paint(theme.Accent, widget.Truncate(t, "Looking up "+widget.Sanitize(m.lookUp.what)+"; esc cancels.", m.width-2))
	case m.exporting != nil:
		return t.Paint(theme.Accent, "Exporting "+m.exporting.name+"; esc ends it, and nothing is written.")
	case m.help != nil:
		return m.drawKeyHints([]page.KeyHint{{Key: "up down", Does: "scroll"}, {Key: "esc", Does: "close"}})
	case m.columns != nil:
		return m.drawKeyHints(m.shownAt(keymap.Columns, columnHints()...))
	case m.clusters != nil:
		return m.drawKeyHints(m.shownAt(keymap.Clusters, page.KeyHint{Key: "enter", Does: "switch"}, page.KeyHint{Key: "r", Does: "ask again"}, page.KeyHint{Key: ":", Does: "command"}, page.KeyHint{Key: "esc", Does: "close"}))
	case m.guide != nil:
		return m.drawKeyHints(m.shown(m.guide.keyHints()...))
	}
	return m.drawKeyHints(m.keyHints(rc))
}

func (m *Model) keyHints(rc page.RenderContext) []page.KeyHint {
	p := m.currentPage()
	hints := append(m.shown(p.KeyHints(rc)...), m.actionHints(rc, false)...)
	spaceHint := "pause"
	if !m.pausedAt.IsZero() {
		spaceHint = "resume"
	}
	if does := m.escapeHint(rc); does != "" && !slices.ContainsFunc(hints, func(h page.KeyHint) bool { return h.Key == "esc" }) {
		hints = append(hints, page.KeyHint{Key: "esc", Does: does})
	}
	if m.undo != nil {
		hints = append(hints, m.shown(page.KeyHint{Key: "z", Does: "undo"})...)
	}
	hints = append(hints, m.shown(page.KeyHint{Key: ":", Does: "command"})...)
	if p.IsFilterable() && m.pageIsKnown() {
		hints = append(hints, m.shown(page.KeyHint{Key: "/", Does: "filter"})...)
	}
	hints = append(hints, m.shown(page.KeyHint{Key: "space", Does: spaceHint})...)
	if _, ok := p.(page.Exporter); ok && !m.cfg.NoFiles && m.pageIsKnown() {
		hints = append(hints, m.shown(page.KeyHint{Key: "x", Does: "export"})...)
	}
	hints = append(hints, m.actionHints(rc, true)...)
	return append(hints, m.shown(page.KeyHint{Key: "?", Does: "help"})...)
}

// pageIsKnown is true once the page has something to show.
func (m *Model) pageIsKnown() bool {
	topic, maxAge := m.pageFreshness()
	return m.snapshot.Status.Known() && (maxAge == 0 || topic.Known())
}

// shown are hints with the keys in force.
func (m *Model) shown(hints ...page.KeyHint) []page.KeyHint {
	return m.shownAt(m.currentPage().Name(), hints...)
}

func (m *Model) shownAt(place action.PageName, hints ...page.KeyHint) []page.KeyHint {
	out := make([]page.KeyHint, len(hints))
	for i, h := range hints {
		out[i] = page.KeyHint{Key: m.keys.Shown(place, h.Key), Does: h.Does}
	}
	return out
}

// actionHints are those of the page's actions that can run now, the rare ones or the others.
func (m *Model) actionHints(rc page.RenderContext, rare bool) (hints []page.KeyHint) {
	p := m.currentPage()
	for _, a := range m.actions {
		if a.Scope == p.Name() && a.IsRare == rare && a.UnavailableReason(m.actionInput(p.Selection(rc))) == "" {
			hints = append(hints, page.KeyHint{Key: a.Key, Does: actionHint(a)})
		}
	}
	return hints
}

// escapeHint is what esc does while the page has nothing open. It must agree with
// goBack.
func (m *Model) escapeHint(rc page.RenderContext) string {
	if m.filters[m.pageIndex] != "" {
		return "clear /" + widget.Sanitize(m.filters[m.pageIndex])
	}
	if p, ok := m.currentPage().(page.MarkClearer); ok && p.Marked(rc) > 0 {
		return "unmark"
	}
	return ""
}

// actionHint is what the key of an action does, in a word or two.
func actionHint(a action.Action) string {
	if a.Hint != "" {
		return a.Hint
	}
	_, verb, _ := strings.Cut(a.Name, " ")
	return verb
}

// drawKeyHints joins hints. In a narrow window those before the last are dropped
// first.
func (m *Model) drawKeyHints(hints []page.KeyHint) string {
	t := m.theme
	width := func(hs []page.KeyHint) int { // with the blank before the first
		n := -2
		for _, h := range hs {
			n += widget.Width(h.Key) + 1 + widget.Width(h.Does) + 3
		}
		return n
	}
	for len(hints) > 1 && width(hints) > m.width {
		hints = append(hints[:len(hints)-2:len(hints)-2], hints[len(hints)-1])
	}
	var parts []string
	at := 1
	for _, h := range hints {
		w := widget.Width(h.Key) + 1 + widget.Width(h.Does)
		if !strings.Contains(h.Key, " ") { // one key
			m.hints = append(m.hints, hintSpan{from: at, to: at + w, key: h.Key})
		}
		at += w + 3
		parts = append(parts, t.Paint(theme.Accent, h.Key)+" "+t.Paint(theme.Dim, h.Does))
	}
	return strings.Join(parts, "   ")
}

// keyName is how a key, or several, is called that the console ships with.
func (m *Model) keyName(key string) string { return m.keys.Shown(m.currentPage().Name(), key) }
