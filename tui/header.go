package tui

import (
	"unibus/core/migrate"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

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
	case st.Stale(m.clock(), lostAfter):
		return m.theme.Glyphs.Unknown, "not known, was " + string(st.Value.Verdict), theme.Warn
	}
	glyph, tone = m.theme.Level(st.Value.Verdict)
	return glyph, string(st.Value.Verdict), tone
}

func (m *Model) verdict() string {
	glyph, word, tone := m.standing()
	s := m.theme.Paint(tone, glyph+" "+word)
	if word, tone := m.move(); word != "" {
		s += m.theme.Paint(tone, " "+m.theme.Glyphs.Note+" "+word)
	}
	return s
}

// move is how the move stands, in a word or two: from every page it is seen
// that it has stopped, or waits for somebody. It is "" where nothing is under way.
func (m *Model) move() (string, theme.Tone) {
	st := m.snap.Migration.Value
	switch {
	case st.Over():
		return "", theme.Plain
	case m.snap.Status.Value.Away(st.Node):
		return "move: " + widget.Cut(m.theme, widget.Clean(st.Node), 12) + " silent", theme.Bad
	case st.Aborting != "" && st.Running:
		return "taking the move back", theme.Accent
	case st.Error != nil:
		return "move stopped", theme.Bad
	case st.State == migrate.StateSoak:
		return "", theme.Plain
	case st.Paused:
		return "move paused", theme.Warn
	}
	switch {
	case st.State == migrate.StateVerify && st.Verified && !st.Running:
		return "awaits cutover", theme.Accent
	case st.State == migrate.StateCutover:
		return "cutting over", theme.Accent
	case st.State == migrate.StateRollback:
		return "rolling back", theme.Accent
	}
	return "moving", theme.Accent
}

// title has no glyph: a byte of one may look to a terminal like the end of the title.
func (m *Model) title() string {
	_, word, _ := m.standing()
	return m.cluster() + " " + word + " - unibus"
}

// head says which cluster, how it is, who I am, when it is, and how live that is.
// Where there is no room for all of it, who I am gives way first and the verdict last.
func (m *Model) head() string {
	t := m.theme
	who, role := m.operator()
	clock := t.Paint(theme.Dim, m.now.Format("15:04:05")) + "   "
	live, from := m.live()
	left, right := " "+m.name()+"  "+m.verdict(), ""
	for _, right = range []string{
		who + role + clock + live + from,
		role + clock + live + from,
		clock + live + from,
		clock + live,
		live,
	} {
		if widget.Width(left)+widget.Width(right)+2 <= m.w {
			break
		}
	}
	return widget.Ends(t, left, right+" ", m.w)
}

// operator is who I am and what I may do.
func (m *Model) operator() (name, role string) {
	op, t := m.snap.Status.Value.Operator, m.theme
	if op.Name == "" && op.Role == "" {
		return "", ""
	}
	role = string(op.Role)
	if m.cfg.ReadOnly {
		role += ", read-only"
	}
	return t.Paint(theme.Plain, widget.Cut(t, widget.Clean(op.Name), 16)+" "), t.Paint(theme.Plain, "("+role+")   ")
}

// live is how live the picture is, and from which node it comes.
func (m *Model) live() (how, from string) {
	t, st := m.theme, m.snap.Status
	node := m.snap.Node
	if node == "" {
		node = st.Value.From
	}
	switch {
	case !m.paused.IsZero():
		return t.Paint(theme.Warn, "picture held "+widget.Span(m.now.Sub(m.paused))), ""
	case !st.Known():
		return t.Paint(theme.Dim, "connecting"), ""
	case st.Stale(m.now, page.Fresh):
		return t.Paint(theme.Warn, "no answer for "+widget.Span(st.Age(m.now))), ""
	}
	return t.Paint(theme.Good, "live"), t.Paint(theme.Dim, " from "+widget.Cut(t, widget.Clean(node), 12))
}
