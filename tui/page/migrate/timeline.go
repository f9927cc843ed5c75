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

// step is one state of the timeline: its sign and name, when it was entered and how long it took.
type step struct {
	glyph, name, at, took string
	tone                  theme.Tone
}

func (p step) head() string { return p.glyph + " " + p.name }

func (p step) width() int {
	return max(widget.Width(p.head()), widget.Width(p.at), widget.Width(p.took))
}

// timeline is a line of states and, under each, how long it took and when it
// was entered. On a narrow screen the clock loses its seconds first, then the
// states before the cutover become one.
func timeline(s page.Scene, st migrate.Status) []string {
	now := core.MillisOf(s.Now)
	if action.Orphaned(s.Snap) { // nobody works at it since
		now = st.Updated
	}
	stays := st.Timeline(now)
	join := " " + s.P(theme.Faint, s.Theme.Glyphs.Rule) + " "
	for _, try := range []struct {
		clock, join string
		stays       []migrate.StateDuration
	}{
		{time.TimeOnly, join, stays},
		{time.TimeOnly, "  ", stays},
		{"15:04", "  ", stays},
		{time.TimeOnly, "  ", early(stays)},
		{"15:04", " ", early(stays)},
	} {
		if steps := stepsOf(s, st, try.stays, try.clock); lineWidth(steps, try.join) <= s.W-1 {
			return rows(s, steps, try.join)
		}
	}
	return rows(s, stepsOf(s, st, early(stays), "15:04"), " ")
}

// early makes one of the states that lead to the fence, where they are past.
func early(stays []migrate.StateDuration) []migrate.StateDuration {
	i := 0
	sum := migrate.StateDuration{}
	for i < len(stays) && stays[i].State != migrate.StateCutover && !stays[i].Current {
		sum.TookMS += stays[i].TookMS
		if sum.Entered == 0 {
			sum.Entered = stays[i].Entered
		}
		i++
	}
	if i < 2 {
		return stays
	}
	sum.State, sum.Visits = stays[0].State+" to "+stays[i-1].State, 1
	return append([]migrate.StateDuration{sum}, stays[i:]...)
}

func stepsOf(s page.Scene, st migrate.Status, stays []migrate.StateDuration, clock string) []step {
	now := -1
	for i, x := range stays {
		if x.Current {
			now = i
		}
	}
	var out []step
	for i, x := range stays {
		p := step{name: string(x.State)}
		p.glyph, p.tone = sign(s.Theme.Glyphs, st, i-now)
		if i == now && action.Orphaned(s.Snap) {
			p.glyph, p.tone = s.Theme.Glyphs.Unknown, theme.Bad
		}
		if x.Visits > 0 {
			p.at = x.Entered.Time().In(s.Now.Location()).Format(clock)
			p.took = took(st, x)
		}
		out = append(out, p)
	}
	return out
}

// sign is how a step looks that lies by places behind or ahead of the present one.
func sign(g theme.Glyphs, st migrate.Status, by int) (string, theme.Tone) {
	switch {
	case by > 0:
		return g.Absent, theme.Dim
	case by < 0 && st.State == migrate.StateAborted:
		return g.Healthy, theme.Dim
	case by < 0:
		return g.Healthy, theme.Good
	case st.State == migrate.StateAborted:
		return g.Healthy, theme.Strong
	case st.Error != nil:
		return g.Critical, theme.Bad
	case st.HasEnded(), st.State == migrate.StateVerify && st.Verified:
		return g.Healthy, theme.Good
	case st.Paused:
		return g.Half, theme.Warn
	}
	return g.Half, theme.Accent
}

// took is how long a state lasted. The wait for the operator is no part of verify.
func took(st migrate.Status, x migrate.StateDuration) string {
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
	return widget.Age(d)
}

func lineWidth(steps []step, join string) int {
	w := widget.Width(join) * (len(steps) - 1)
	for _, p := range steps {
		w += p.width()
	}
	return w
}

func rows(s page.Scene, steps []step, join string) []string {
	var heads, tooks, ats []string
	for _, p := range steps {
		w := p.width()
		heads = append(heads, s.P(p.tone, widget.Pad(p.head(), w, false)))
		tooks = append(tooks, widget.Pad(p.took, w, false))
		ats = append(ats, widget.Pad(p.at, w, false))
	}
	gap := strings.Repeat(" ", widget.Width(join))
	lines := []string{" " + strings.TrimRight(strings.Join(heads, join), " ")}
	for _, row := range [][]string{tooks, ats} {
		if text := strings.TrimRight(strings.Join(row, gap), " "); text != "" {
			lines = append(lines, " "+s.P(theme.Dim, text))
		}
	}
	return lines
}
