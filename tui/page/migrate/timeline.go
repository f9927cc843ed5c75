package migrate

import (
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// timelineStep is one state of the timeline.
type timelineStep struct {
	glyph, name, enteredAt, took string
	tone                         theme.Tone
}

func (p timelineStep) title() string { return p.glyph + " " + p.name }

func (p timelineStep) width() int {
	return max(widget.Width(p.title()), widget.Width(p.enteredAt), widget.Width(p.took))
}

// timelineLines show the states, and below each its duration and start. A narrow
// page drops the seconds first, then joins the states before the cutover.
func timelineLines(rc page.RenderContext, st migrate.Status) []string {
	now := core.MillisOf(rc.Now)
	if action.MigrationNodeDown(rc.Snapshot) { // nothing has run since
		now = st.Updated
	}
	durations := st.Timeline(now)
	join := " " + rc.Paint(theme.Faint, rc.Theme.Glyphs.Rule) + " "
	for _, layout := range []struct {
		clock, join string
		durations   []migrate.StateDuration
	}{
		{time.TimeOnly, join, durations},
		{time.TimeOnly, "  ", durations},
		{"15:04", "  ", durations},
		{time.TimeOnly, "  ", joinEarlyStates(durations)},
		{"15:04", " ", joinEarlyStates(durations)},
	} {
		if steps := timelineSteps(rc, st, layout.durations, layout.clock); timelineWidth(steps, layout.join) <= rc.Width-1 {
			return timelineRows(rc, steps, layout.join)
		}
	}
	return timelineRows(rc, timelineSteps(rc, st, joinEarlyStates(durations), "15:04"), " ")
}

// joinEarlyStates merges the finished states before the cutover into one.
func joinEarlyStates(durations []migrate.StateDuration) []migrate.StateDuration {
	i := 0
	sum := migrate.StateDuration{}
	for i < len(durations) && durations[i].State != migrate.StateCutover && !durations[i].Current {
		sum.TookMS += durations[i].TookMS
		if sum.Entered == 0 {
			sum.Entered = durations[i].Entered
		}
		i++
	}
	if i < 2 {
		return durations
	}
	sum.State, sum.Visits = durations[0].State+" to "+durations[i-1].State, 1
	return append([]migrate.StateDuration{sum}, durations[i:]...)
}

func timelineSteps(rc page.RenderContext, st migrate.Status, durations []migrate.StateDuration, clock string) []timelineStep {
	current := -1
	for i, x := range durations {
		if x.Current {
			current = i
		}
	}
	var out []timelineStep
	for i, x := range durations {
		p := timelineStep{name: string(x.State)}
		p.glyph, p.tone = stepGlyph(rc.Theme.Glyphs, st, i-current)
		if i == current && action.MigrationNodeDown(rc.Snapshot) {
			p.glyph, p.tone = rc.Theme.Glyphs.Unknown, theme.Bad
		}
		if x.Visits > 0 {
			p.enteredAt = x.Entered.Time().In(rc.Now.Location()).Format(clock)
			p.took = durationText(st, x)
		}
		out = append(out, p)
	}
	return out
}

// stepGlyph is the look of a step, offset places after the current one.
func stepGlyph(g theme.Glyphs, st migrate.Status, offset int) (string, theme.Tone) {
	switch {
	case offset > 0:
		return g.Absent, theme.Dim
	case offset < 0 && st.State == migrate.StateAborted:
		return g.Healthy, theme.Dim
	case offset < 0:
		return g.Healthy, theme.Good
	case st.State == migrate.StateAborted:
		return g.Healthy, theme.Strong
	case st.Error != nil:
		return g.Critical, theme.Bad
	case st.HasEnded(), st.State == migrate.StateVerify && st.Verified:
		return g.Healthy, theme.Good
	case st.Paused:
		return g.InProgress, theme.Warn
	}
	return g.InProgress, theme.Accent
}

// durationText is how long a state lasted. Waiting for the operator is not part
// of verify.
func durationText(st migrate.Status, x migrate.StateDuration) string {
	d := x.Duration()
	switch {
	case x.Current && st.HasEnded():
		return ""
	case x.State == migrate.StateVerify && st.ComparedAt >= x.Entered:
		d = time.Duration(st.ComparedAt-x.Entered) * time.Millisecond
	}
	if d < 50*time.Millisecond {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return widget.FormatAge(d)
}

func timelineWidth(steps []timelineStep, join string) int {
	w := widget.Width(join) * (len(steps) - 1)
	for _, p := range steps {
		w += p.width()
	}
	return w
}

func timelineRows(rc page.RenderContext, steps []timelineStep, join string) []string {
	var titles, durations, starts []string
	for _, p := range steps {
		w := p.width()
		titles = append(titles, rc.Paint(p.tone, widget.PadRight(p.title(), w)))
		durations = append(durations, widget.PadRight(p.took, w))
		starts = append(starts, widget.PadRight(p.enteredAt, w))
	}
	gap := strings.Repeat(" ", widget.Width(join))
	lines := []string{" " + strings.TrimRight(strings.Join(titles, join), " ")}
	for _, row := range [][]string{durations, starts} {
		if text := strings.TrimRight(strings.Join(row, gap), " "); text != "" {
			lines = append(lines, " "+rc.Paint(theme.Dim, text))
		}
	}
	return lines
}
