package widget

import (
	"strings"

	"unibus/tui/theme"
)

// Sparkline draws the newest w values as blocks, the largest at full height.
func Sparkline(t theme.Theme, values []float64, w int) string {
	if len(values) > w {
		values = values[len(values)-w:]
	}
	largest := 0.0
	for _, v := range values {
		largest = max(largest, v)
	}
	var b strings.Builder
	n := len(t.Glyphs.Sparkline)
	for _, v := range values {
		i := 0
		if largest > 0 && v > 0 {
			i = min(n-1, int(v/largest*float64(n-1)+0.5))
		}
		b.WriteString(t.Glyphs.Sparkline[i])
	}
	return b.String()
}

// ProgressBar draws done of total in w cells, as finely as the glyphs allow.
func ProgressBar(t theme.Theme, done, total, w int) string {
	if w <= 0 || total <= 0 {
		return strings.Repeat(" ", max(w, 0))
	}
	done = min(max(done, 0), total)
	steps := len(t.Glyphs.Bar)
	parts := done * w * steps / total
	full, rest := parts/steps, parts%steps
	s := strings.Repeat(t.Glyphs.Bar[steps-1], full)
	if rest > 0 {
		s += t.Glyphs.Bar[rest-1]
	}
	return t.Paint(theme.Accent, s) + t.Paint(theme.Faint, strings.Repeat(t.Glyphs.BarEmpty, max(0, w-Width(s))))
}
