package tui

import (
	"time"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

func (m *Model) clusterName() string {
	if c := m.snapshot.Status.Value.Cluster; c != "" {
		return widget.Sanitize(c)
	}
	return "unibus"
}

// styledClusterName has the operator's own name for the cluster beside it: two clusters may have one name.
func (m *Model) styledClusterName() string {
	c, own := m.clusterName(), ""
	if m.cfg.Context != "" && m.cfg.Context != c {
		own = m.theme.Paint(theme.Dim, " ("+widget.Truncate(m.theme, widget.Sanitize(m.cfg.Context), 16)+")")
	}
	return m.theme.NameStyle(c, m.cfg.Color).Render(widget.Truncate(m.theme, c, 24)) + own
}

// currentVerdict is the verdict as a glyph and a word. After verdictMaxAge
// without an answer it is not known.
func (m *Model) currentVerdict() (glyph, word string, tone theme.Tone) {
	st := m.snapshot.Status
	switch {
	case !st.Known():
		return m.theme.Glyphs.Unknown, "not known", theme.Dim
	case st.Stale(m.displayTime(), verdictMaxAge):
		return m.theme.Glyphs.Unknown, "not known, was " + string(st.Value.Verdict), theme.Warn
	}
	glyph, tone = m.theme.Level(st.Value.Verdict)
	if tone == theme.Good && !m.isLive(m.drawnAt) { // it may be over
		tone = theme.Plain
	}
	return glyph, string(st.Value.Verdict), tone
}

func (m *Model) verdictText() string {
	glyph, word, tone := m.currentVerdict()
	s := m.theme.Paint(tone, glyph+" "+word)
	if word, tone := m.migrationStatus(); word != "" {
		s += m.theme.Paint(tone, " "+m.theme.Glyphs.Note+" "+word)
	}
	return s
}

// migrationStatus is the migration's state in two or three words, "" when none is
// running. It is in the header because a stopped migration must be seen from
// every page.
func (m *Model) migrationStatus() (string, theme.Tone) {
	st := m.snapshot.Migration.Value
	switch {
	case st.HasEnded():
		return "", theme.Plain
	case m.snapshot.Status.Value.IsSilent(st.Node):
		return "migration: " + widget.Truncate(m.theme, widget.Sanitize(st.Node), 12) + " down", theme.Bad
	case st.Aborting != "" && st.Running:
		return "aborting", theme.Accent
	case st.Error != nil:
		return "migration stopped", theme.Bad
	case st.State == migrate.StateSoak:
		return "", theme.Plain
	case st.Paused:
		return "migration paused", theme.Warn
	}
	switch {
	case st.State == migrate.StateVerify && st.Verified && !st.Running:
		return "awaits cutover", theme.Accent
	case st.State == migrate.StateCutover:
		return "cutting over", theme.Accent
	case st.State == migrate.StateRollback:
		return "rolling back", theme.Accent
	}
	return "migrating", theme.Accent
}

// windowTitle has no glyph: some terminals read one of its bytes as the end of
// the title.
func (m *Model) windowTitle() string {
	_, word, _ := m.currentVerdict()
	title := m.clusterName() + " " + word + " - unibus"
	if m.asciiOnly() {
		return core.ASCIIText(title)
	}
	return title
}

// header shows cluster, verdict, operator, clock and connection. In a narrow
// window the operator is dropped first and the verdict never.
func (m *Model) header() string {
	t := m.theme
	operator, role := m.operatorText()
	clock := t.Paint(theme.Dim, m.drawnAt.Format("15:04:05")) + "   "
	live, from := m.connectionText()
	left, right := " "+m.styledClusterName()+"  "+m.verdictText(), ""
	for _, right = range []string{
		operator + role + clock + live + from,
		role + clock + live + from,
		clock + live + from,
		clock + live,
		live,
	} {
		if widget.Width(left)+widget.Width(right)+2 <= m.width {
			break
		}
	}
	return widget.JustifyEnds(t, left, right+" ", m.width)
}

// operatorText is the operator's name and role.
func (m *Model) operatorText() (name, role string) {
	op, t := m.snapshot.Status.Value.Operator, m.theme
	if op.Name == "" && op.Role == "" {
		return "", ""
	}
	role = string(op.Role)
	if m.cfg.ReadOnly {
		role += ", read-only"
	}
	return t.Paint(theme.Plain, widget.Truncate(t, widget.Sanitize(op.Name), 16)+" "), t.Paint(theme.Plain, "("+role+")   ")
}

// liveMaxAge is the second between two polls, and what the answer may take longer than the one before it. With
// the second alone, the header would lose its green for a moment whenever one answer is slower.
const liveMaxAge = 1200 * time.Millisecond

// isLive is true if the status is not older than liveMaxAge. Only then is anything in the header green.
func (m *Model) isLive(now time.Time) bool {
	st := m.snapshot.Status
	return m.pausedAt.IsZero() && st.Known() && st.Age(now) <= liveMaxAge
}

// pageFreshness is how current the page is, where it shows more than the status.
func (m *Model) pageFreshness() (feed.Freshness, time.Duration) {
	p, ok := m.currentPage().(page.Refresher)
	if !ok || m.guide != nil {
		return feed.Freshness{}, 0
	}
	return p.Refreshed(m.renderContext())
}

// connectionText tells how current the screen is, and which node it comes from.
func (m *Model) connectionText() (state, from string) {
	t, st := m.theme, m.snapshot.Status
	node := m.snapshot.Node
	if node == "" {
		node = st.Value.From
	}
	switch {
	case !m.pausedAt.IsZero():
		return t.Paint(theme.Warn, "paused "+widget.FormatDuration(m.drawnAt.Sub(m.pausedAt))), ""
	case !st.Known():
		return t.Paint(theme.Dim, "connecting"), ""
	case st.Stale(m.drawnAt, page.StatusMaxAge):
		return t.Paint(theme.Warn, "no answer for "+widget.FormatDuration(st.Age(m.drawnAt))), ""
	}
	tone := theme.Good
	switch topic, maxAge := m.pageFreshness(); {
	case maxAge > 0 && topic.Stale(m.drawnAt, maxAge):
		return t.Paint(theme.Warn, "page not refreshed for "+widget.FormatDuration(topic.Age(m.drawnAt))), ""
	case !m.isLive(m.drawnAt):
		tone = theme.Plain
	}
	return t.Paint(tone, "live"), t.Paint(theme.Dim, " from "+widget.Truncate(t, widget.Sanitize(node), 12))
}
