package overview

import (
	"fmt"
	"slices"

	"unibus/core"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

const (
	// chartStep is the time of one bar: a chart that moved each second would redraw as often.
	chartStep = core.Millis(3000)
	chartBars = 40
)

// trafficCharts are the last two minutes of the figures that move, each with its largest value.
func trafficCharts(rc page.RenderContext) []string {
	samples := rc.Snapshot.Samples
	if len(samples) == 0 {
		return nil
	}
	out := []string{"", " " + rc.Paint(theme.Dim, "LAST 2 MIN")}
	for _, c := range []struct {
		label string
		value func(feed.Sample) float64
	}{
		{"writes/s", func(s feed.Sample) float64 { return s.Writes }},
		{"connected", func(s feed.Sample) float64 { return s.Conns }},
		{"behind", func(s feed.Sample) float64 { return s.Behind }},
	} {
		bars := barsOf(samples, c.value)
		if slices.Max(bars) == 0 { // a flat line says nothing
			continue
		}
		figures := fmt.Sprintf("now %s, at most %s", widget.FormatCount(int(c.value(samples[len(samples)-1]))), widget.FormatCount(int(slices.Max(bars))))
		out = append(out, " "+rc.Paint(theme.Dim, widget.PadRight(c.label, 10))+rc.Paint(theme.Accent, widget.PadRight(widget.Sparkline(rc.Theme, bars, chartBars), chartBars))+"  "+rc.Paint(theme.Plain, figures))
	}
	if len(out) == 2 {
		return nil
	}
	return out
}

// barsOf is the largest value of each step, oldest first. Steps begin at whole multiples of
// chartStep, so that a bar stays what it is while others come.
func barsOf(samples []feed.Sample, value func(feed.Sample) float64) []float64 {
	var bars []float64
	step := core.Millis(-1)
	for _, s := range samples {
		if at := s.At / chartStep; at != step {
			bars, step = append(bars, 0), at
		}
		bars[len(bars)-1] = max(bars[len(bars)-1], value(s))
	}
	return bars[max(0, len(bars)-chartBars):]
}
