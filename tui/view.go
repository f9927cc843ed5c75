package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// frameLines are the lines that are not the page's: head, pages, two rules, foot.
const frameLines = 5

// View draws the console. What has not changed is not made again, and the
// renderer writes only what differs.
func (m *Model) View() tea.View {
	if m.dirty {
		m.drawn, m.dirty = m.draw(), false
	}
	v := tea.NewView(m.drawn)
	v.AltScreen = true
	v.WindowTitle = m.title()
	return v
}

func (m *Model) draw() string {
	switch {
	case m.w <= 0 || m.h <= 0:
		return ""
	case m.w < MinWidth || m.h < MinHeight:
		return m.small()
	}
	s := m.scene()
	body := ""
	if m.help != nil {
		body = m.helpView(s.W, s.H)
	} else {
		body = widget.Fit(m.theme, m.page().View(s), s.W, s.H)
	}
	rule := widget.Rule(m.theme, m.w)
	screen := strings.Join([]string{m.head(), m.tabs(), rule, body, rule, m.foot(s)}, "\n")
	if m.asking != nil {
		screen = widget.Over(screen, m.asking.dialog.View(m.theme, m.w, m.h-2), m.w, m.h)
	}
	return screen
}

// small is what is shown where there is no room: the verdict all the same.
func (m *Model) small() string {
	lines := []string{widget.Cut(m.theme, " "+m.name()+"  "+m.verdict(), m.w)}
	lines = append(lines, widget.Wrap(fmt.Sprintf("This console needs %d x %d; the window is %d x %d. q quits.", MinWidth, MinHeight, m.w, m.h), m.w)...)
	lines = append(lines, widget.Wrap(widget.Clean(m.snap.Status.Value.Sentence), m.w)...)
	return widget.Fit(m.theme, strings.Join(lines, "\n"), m.w, m.h)
}

func (m *Model) cluster() string {
	if c := m.snap.Status.Value.Cluster; c != "" {
		return widget.Clean(c)
	}
	if m.cfg.Cluster != "" {
		return widget.Clean(m.cfg.Cluster)
	}
	return "unibus"
}

func (m *Model) name() string {
	c := m.cluster()
	return m.theme.Cluster(c).Render(widget.Cut(m.theme, c, 24))
}

// standing is the verdict in a glyph and a word. One that is too old is not known any more.
func (m *Model) standing() (glyph, word string, tone theme.Tone) {
	st := m.snap.Status
	switch {
	case !st.Known():
		return m.theme.Glyphs.Unknown, "not known", theme.Dim
	case m.paused.IsZero() && st.Stale(m.now, lostAfter):
		return m.theme.Glyphs.Unknown, "not known, was " + string(st.Value.Verdict), theme.Warn
	}
	glyph, tone = m.theme.Level(st.Value.Verdict)
	return glyph, string(st.Value.Verdict), tone
}

func (m *Model) verdict() string {
	glyph, word, tone := m.standing()
	s := m.theme.Paint(tone, glyph+" "+word)
	if st := m.snap.Migration.Value; st.Active() || st.State == migrate.StateCutover || st.State == migrate.StateRollback {
		s += m.theme.Paint(theme.Accent, " "+m.theme.Glyphs.Note+" moving")
	}
	return s
}

// title has no glyph: a byte of one may look to a terminal like the end of the title.
func (m *Model) title() string {
	_, word, _ := m.standing()
	return m.cluster() + " " + word + " - unibus"
}

// head says which cluster, how it is, who I am, when it is, and how live that is.
func (m *Model) head() string {
	t := m.theme
	who := ""
	if op := m.snap.Status.Value.Operator; op.Name != "" || op.Role != "" {
		role := string(op.Role)
		if m.cfg.ReadOnly {
			role += ", read-only"
		}
		who = widget.Cut(t, widget.Clean(op.Name), 16) + " (" + role + ")   "
	}
	right := t.Paint(theme.Plain, who) + t.Paint(theme.Dim, m.now.Format("15:04:05")) + "   " + m.live() + " "
	return widget.Ends(t, " "+m.name()+"  "+m.verdict(), right, m.w)
}

func (m *Model) live() string {
	t, st := m.theme, m.snap.Status
	node := m.snap.Node
	if node == "" {
		node = st.Value.From
	}
	switch {
	case !m.paused.IsZero():
		return t.Paint(theme.Warn, "paused "+widget.Span(m.now.Sub(m.paused)))
	case !st.Known():
		return t.Paint(theme.Dim, "connecting")
	case st.Stale(m.now, page.Fresh):
		return t.Paint(theme.Warn, "no answer for "+widget.Span(st.Age(m.now)))
	}
	return t.Paint(theme.Good, "live") + t.Paint(theme.Dim, " from "+widget.Cut(t, node, 12))
}

// tabs is the line of pages. Where there is no room for all names, the last ones
// are digits alone, never the current one.
func (m *Model) tabs() string {
	labels, width := make([]string, len(m.pages)), 0
	for i, p := range m.pages {
		labels[i] = fmt.Sprintf(" %d %s ", i+1, p.Name())
		width += len(labels[i])
	}
	for i := len(labels) - 1; i >= 0 && width > m.w; i-- {
		if i != m.at {
			short := fmt.Sprintf(" %d ", i+1)
			width -= len(labels[i]) - len(short)
			labels[i] = short
		}
	}
	line := ""
	for i, label := range labels {
		if i == m.at {
			line += m.theme.Select.Render(label)
			continue
		}
		line += m.theme.Paint(theme.Dim, label)
	}
	return widget.Cut(m.theme, line, m.w)
}

// foot is the keys that work here now, unless something is typed or was just said.
func (m *Model) foot(s page.Scene) string {
	t := m.theme
	switch {
	case m.asking != nil && m.asking.only:
		return " " + m.keys([]page.Hint{{Key: "esc", Does: "close"}})
	case m.asking != nil && !m.asking.dialog.Armed():
		return " " + t.Paint(theme.Dim, "a question has opened   esc cancel")
	case m.asking != nil:
		return " " + m.keys([]page.Hint{{Key: "tab", Does: "next"}, {Key: "enter", Does: "choose"}, {Key: "esc", Does: "cancel"}})
	case m.prompt != nil:
		return m.prompt.View(t, m.w)
	case m.toast.text != "":
		return " " + t.Paint(m.toast.tone, widget.Cut(t, widget.Clean(m.toast.text), m.w-2))
	case m.running != "":
		return " " + t.Paint(theme.Accent, "Waiting for the answer to "+m.running+".")
	case m.help != nil:
		return " " + m.keys([]page.Hint{{Key: "up down", Does: "scroll"}, {Key: "esc", Does: "close"}})
	}
	return " " + m.keys(m.hints(s))
}

func (m *Model) hints(s page.Scene) []page.Hint {
	p := m.page()
	hints := p.Hints(s)
	if p.Name() != "migrate" { // that page shows its actions itself, with the reasons
		for _, a := range m.actions {
			if a.Scope == p.Name() && a.Impossible(m.state(p.Selection(s))) == "" {
				hints = append(hints, page.Hint{Key: a.Key, Does: short(a)})
			}
		}
	}
	pause := "pause"
	if !m.paused.IsZero() {
		pause = "go on"
	}
	if m.filters[m.at] != "" {
		hints = append(hints, page.Hint{Key: "esc", Does: "clear /" + widget.Clean(m.filters[m.at])})
	}
	return append(hints, page.Hint{Key: ":", Does: "command"}, page.Hint{Key: "/", Does: "filter"}, page.Hint{Key: "space", Does: pause}, page.Hint{Key: "?", Does: "help"})
}

func short(a action.Action) string {
	_, verb, _ := strings.Cut(a.Name, " ")
	return verb
}

// keys joins hints; on a narrow screen those before the last give way first.
func (m *Model) keys(hints []page.Hint) string {
	t := m.theme
	width := func(hs []page.Hint) int {
		n := 0
		for _, h := range hs {
			n += widget.Width(h.Key) + 1 + widget.Width(h.Does) + 3
		}
		return n
	}
	for len(hints) > 1 && width(hints) > m.w {
		hints = append(hints[:len(hints)-2:len(hints)-2], hints[len(hints)-1])
	}
	var parts []string
	for _, h := range hints {
		parts = append(parts, t.Paint(theme.Accent, h.Key)+" "+t.Paint(theme.Dim, h.Does))
	}
	return strings.Join(parts, "   ")
}
