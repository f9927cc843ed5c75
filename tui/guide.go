package tui

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/doctor"
	"unibus/core/guide"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// openGuide is a guide that is shown instead of the page. It is filled in again with every snapshot.
type openGuide struct {
	guide  guide.Guide
	args   []string
	since  core.Millis // 0: no node has answered yet
	oldCAs []string    // nil: no node has answered yet
	flags  string
	report guide.Report
	scroll widget.Scroll
}

// showGuide opens the guide that a typed line names, or lists all of them.
func (m *Model) showGuide(words []string) tea.Cmd {
	if m.refuseSecondAction() {
		return nil
	}
	if len(words) == 0 {
		return m.showDialog(newMessage("Guides", guideList()...))
	}
	if _, _, err := guide.Parse(words); err != nil {
		e := core.AsError(err)
		next := strings.Replace(e.Next, "unibusd guide", ":guide", 1)
		return m.showDialog(newMessage("There is no such guide", widget.Sentence(e.Text), "Do: "+next))
	}
	m.openGuide(words)
	return nil
}

func guideList() (lines []string) {
	for _, g := range guide.All() {
		lines = append(lines, ":guide "+strings.Join(append([]string{g.Name}, g.Args...), " ")+": "+g.Short+".")
	}
	return lines
}

// openGuide goes on with the round of the same guide if that was left before its end.
func (m *Model) openGuide(words []string) {
	g, args, err := guide.Parse(words)
	if err != nil {
		return
	}
	m.resume()
	m.clusters = nil
	m.guide = &openGuide{guide: g, args: args, flags: m.cfg.Flags}
	if r := m.round; r != nil && r.guide.Name == g.Name && slices.Equal(r.args, args) {
		m.guide.since, m.guide.oldCAs = r.since, r.oldCAs
	}
}

func (m *Model) closeGuide() {
	if m.guide == nil {
		return
	}
	m.round = nil
	if o := m.guide.report.Outcome; o == guide.HasNext || o == guide.IsUnsafe {
		m.round = m.guide
	}
	m.guide = nil
}

// handleGuideKey leaves the guide by a page's key, and lets the keys that concern no page work.
func (m *Model) handleGuideKey(key string) tea.Cmd {
	switch key {
	case "esc", "q":
		m.closeGuide()
	case "y":
		return m.copyGuideCommands()
	case ":", "?", "space", "tab", "shift+tab":
		return m.handleGlobalKey(m.renderContext(), key)
	}
	if len(key) == 1 && key[0] >= '1' && int(key[0]-'1') < len(m.pages) {
		m.showPage(int(key[0] - '1'))
	}
	return nil
}

func (m *Model) copyGuideCommands() tea.Cmd {
	step, open := m.guide.openStep()
	if !open || len(step.Type) == 0 {
		m.showToast(theme.Dim, "The open step has no command to copy.")
		return nil
	}
	text := sanitizeLines(strings.Join(step.Type, "\n"))
	m.showToast(theme.Good, "Copied; to copy by hand: "+strings.ReplaceAll(text, "\n", " "))
	return tea.SetClipboard(text)
}

// fill fills the guide in from the snapshot.
func (g *openGuide) fill(s *feed.Snapshot, now time.Time) {
	st := s.Status.Value
	if !s.Status.Known() {
		return
	}
	if g.since == 0 {
		g.since = (st.At + 999) / 1000 * 1000 // as it is printed, in seconds
	}
	facts := guide.Facts{View: st.View, Judgment: st.Judgment, Since: g.since, Args: g.args, OldCAs: g.oldCAs, Trusted: s.Trusted.Value}
	if key := g.guide.NeedsUserKey(g.args); key != "" && s.UserKey.Known() && string(s.UserKey.Value.User.ID) == key { // not that of another guide
		facts.UserKey = s.UserKey.Value
	}
	if g.guide.NeedsTrusted() && !s.Trusted.Known() {
		return
	}
	if s.Replicas.Err == nil && s.Replicas.Value.Holds(st.View, now) {
		facts.Proof = s.Replicas.Value.Checks
	}
	g.report = g.guide.Fill(facts)
	if g.report.NeedsProof {
		if facts.Proof = unproven(s.Replicas, guide.RunsOf(st.View)); facts.Proof != nil {
			g.report = g.guide.Fill(facts)
			g.report.NeedsProof = true // another comparison may find something else
		}
	}
	if node := g.report.NeedsRun; node != "" && s.Run.Value.Node == node {
		facts.Runs = map[string]string{node: s.Run.Value.Run}
		g.report = g.guide.Fill(facts)
		g.report.NeedsRun = node // its next answer may be another
	}
	g.oldCAs = g.report.OldCAs
	g.addFlags()
}

// unproven is what the last comparison says where it is no proof; nil without one of these runs.
func unproven(t feed.Topic[guide.Proof], runs string) []doctor.Check {
	switch {
	case t.Err != nil:
		return []doctor.Check{{Name: "replicas", State: doctor.Unknown, Text: "the replicas cannot be compared: " + strings.TrimSuffix(t.Err.Text, ".")}}
	case t.Value.Runs == runs && doctor.Report{Checks: t.Value.Checks}.Worst() != doctor.OK:
		return t.Value.Checks
	}
	return nil
}

func (g *openGuide) addFlags() {
	withFlags := action.Input{Flags: g.flags}.WithFlags
	for i := range g.report.Steps {
		for j, line := range g.report.Steps[i].Type {
			if guide.NeedsConnection(line) {
				g.report.Steps[i].Type[j] = withFlags(line)
			}
		}
	}
}

// openStep is the step that is next, waited for or unsafe.
func (g *openGuide) openStep() (guide.Step, bool) {
	for _, s := range g.report.Steps {
		if s.State != guide.Done && s.State != guide.Later {
			return s, true
		}
	}
	return guide.Step{}, false
}

func (g *openGuide) keyHints() []page.KeyHint {
	hints := []page.KeyHint{{Key: "up down", Does: "scroll"}}
	if s, open := g.openStep(); open && len(s.Type) > 0 {
		hints = append(hints, page.KeyHint{Key: "y", Does: "copy the command"})
	}
	return append(hints, page.KeyHint{Key: ":", Does: "command"}, page.KeyHint{Key: "esc", Does: "close"})
}

// view shows the outcome first: the steps below may be more than fit.
func (g *openGuide) view(rc page.RenderContext) string {
	if wait := rc.WaitingLines("the first answer", rc.Snapshot.Status.Freshness); wait != nil {
		return rc.Fit(wait)
	}
	lines := rc.StaleLines(rc.Snapshot.Status.Freshness, page.StatusMaxAge)
	title := strings.Join(append([]string{"Guide", g.guide.Name}, g.args...), " ") + ": " + g.guide.Short + "."
	steps := append(rc.Paragraph(theme.Strong, title), rc.Paragraph(outcomeTone(g.report.Outcome), g.report.Text)...)
	steps = append(steps, "")
	for _, s := range g.report.Steps {
		steps = append(steps, stepLines(rc, s)...)
	}
	lines = append(lines, rc.DimIfStale(steps)...)
	return rc.Fit(g.scroll.VisibleLines(rc.Theme, lines, rc.Height))
}

func outcomeTone(o guide.Outcome) theme.Tone {
	switch o {
	case guide.AllDone:
		return theme.Good
	case guide.IsUnsafe:
		return theme.Bad
	}
	return theme.Accent
}

// stepMark is the mark of `unibusd guide`, so that one document describes both.
func stepMark(s guide.State) (mark string, tone theme.Tone) {
	switch s {
	case guide.Done:
		return "[x]", theme.Good
	case guide.Next:
		return "[>]", theme.Accent
	case guide.Waiting:
		return "[~]", theme.Warn
	case guide.Unsafe:
		return "[!]", theme.Bad
	}
	return "[ ]", theme.Dim
}

func stepLines(rc page.RenderContext, s guide.Step) []string {
	mark, tone := stepMark(s.State)
	open := s.State != guide.Done && s.State != guide.Later
	titleTone := theme.Dim
	if open {
		titleTone = theme.Strong
	}
	lines := indented(rc, 5, titleTone, s.Title)
	lines[0] = " " + rc.Paint(tone, mark) + " " + strings.TrimPrefix(lines[0], strings.Repeat(" ", 5))
	if s.Seen != "" {
		lines = append(lines, indented(rc, 5, theme.Dim, s.Seen)...)
	}
	if !open {
		return lines
	}
	lines = append(lines, indented(rc, 5, theme.Plain, "Why: "+s.Why+".")...)
	if s.Do != "" {
		lines = append(lines, indented(rc, 5, theme.Plain, "Do: "+s.Do)...)
	}
	for _, line := range s.Type {
		lines = append(lines, indented(rc, 9, theme.Accent, line)...)
	}
	return lines
}

// indented wraps a text. It does not group digits: commands hold numbers, too.
func indented(rc page.RenderContext, by int, tone theme.Tone, text string) (out []string) {
	for _, l := range widget.Wrap(widget.Sanitize(text), rc.Width-by-1) {
		out = append(out, strings.Repeat(" ", by)+rc.Paint(tone, l))
	}
	return out
}

// openStepLines are what a window shows that is too small for the steps.
func (g *openGuide) openStepLines() []string {
	lines := []string{"Guide " + g.guide.Name + ". " + g.report.Text}
	if s, open := g.openStep(); open {
		if s.Do != "" {
			lines = append(lines, "Do: "+s.Do)
		}
		lines = append(lines, s.Type...)
	}
	return lines
}
