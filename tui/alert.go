package tui

import (
	"strings"

	"unibus/core/cluster"
	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// alertLines say on every page what is wrong and what to do, unless the overview is on the screen,
// which says it at length. They are cut to the cause where they would take more than a third of the page.
func (m *Model) alertLines() []string {
	st := m.snapshot.Status
	isOnScreen := m.showsSide() || m.currentPage().Name() == action.PageOverview && m.guide == nil && m.help == nil
	if !st.Known() || isOnScreen || st.Value.Verdict == cluster.Healthy || st.Stale(m.displayTime(), page.StatusMaxAge) {
		return nil
	}
	glyph, tone := m.theme.Level(st.Value.Verdict)
	lines := m.alert(glyph+" "+st.Value.Sentence, st.Value.Do, tone)
	if m.guide != nil || len(lines) > (m.height-linesAroundPage)/3 { // a guide's steps need the room
		lines = m.alert(glyph+" "+firstSentence(st.Value.Sentence), st.Value.Do, tone)
	}
	return lines
}

func (m *Model) alert(sentence, do string, tone theme.Tone) (out []string) {
	add := func(tone theme.Tone, text string) {
		for _, l := range widget.Wrap(widget.GroupCounts(widget.Sanitize(text)), m.width-2) {
			out = append(out, " "+m.theme.Paint(tone, l))
		}
	}
	add(tone, sentence)
	if do != "" {
		add(theme.Accent, "Do: "+do)
	}
	return out
}

// firstSentence is a text up to its first full stop that a capital letter follows.
func firstSentence(text string) string {
	for i := 0; i+2 < len(text); i++ {
		if text[i] == '.' && text[i+1] == ' ' && (text[i+2] < 'a' || text[i+2] > 'z') {
			return text[:i+1]
		}
	}
	return text
}

// withAlert puts the alert above a page.
func (m *Model) withAlert(body string) string {
	return strings.Join(append(m.alertLines(), body), "\n")
}
