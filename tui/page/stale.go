package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"unibus/tui/feed"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// StatusIsStale is true if the status is old, because no node answers. It is polled on every page.
func (rc RenderContext) StatusIsStale() bool { return rc.Snapshot.Status.Stale(rc.Now, StatusMaxAge) }

// AtStatusTime is the context at the time of a stale status. Ages in it must not
// grow, because that state may have ended.
func (rc RenderContext) AtStatusTime() RenderContext {
	if rc.StatusIsStale() {
		rc.Now = rc.Snapshot.Status.ReceivedAt
	}
	return rc
}

// DimIfStale dims lines if the status is stale, because their colors may be wrong
// by now.
func (rc RenderContext) DimIfStale(lines []string) []string {
	if !rc.StatusIsStale() {
		return lines
	}
	return rc.Dim(lines)
}

// Dim removes all colors and dims the lines.
func (rc RenderContext) Dim(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = rc.Paint(theme.Dim, ansi.Strip(l))
	}
	return out
}

// DimRowIfStale is DimIfStale for a table row.
func (rc RenderContext) DimRowIfStale(r widget.Row) widget.Row {
	if !rc.StatusIsStale() {
		return r
	}
	return r.Dim()
}

// StatusMaxAge is the age at which a status is stale.
const StatusMaxAge = 3 * time.Second

// ListMaxAge is the same for the lists, which are polled less often.
const ListMaxAge = 10 * time.Second

// WaitingLines replace a topic that has no answer yet; nil once it has one.
func (rc RenderContext) WaitingLines(what string, t feed.Freshness) []string {
	if t.Known() {
		return nil
	}
	if len(rc.Snapshot.Attempts) > 0 {
		return rc.connectingLines()
	}
	text := "Waiting for " + what
	if !t.FirstPolledAt.IsZero() {
		if d := rc.Now.Sub(t.FirstPolledAt); d >= time.Second {
			text += " for " + widget.FormatDuration(d)
		}
	}
	if rc.Snapshot.Server != "" {
		text += " from " + rc.Snapshot.Server
	}
	out := rc.Paragraph(theme.Dim, text+".")
	if t.Err != nil {
		out = append(out, rc.Paragraph(theme.Plain, "So far: "+t.Err.Text+".")...)
		if t.Err.Next != "" {
			out = append(out, rc.Paragraph(theme.Accent, "Do: "+t.Err.Next)...)
		}
	}
	return out
}

// connectingLines are the servers and why none of them has answered yet.
func (rc RenderContext) connectingLines() []string {
	out := append(rc.Paragraph(theme.Strong, "No node has answered yet. The console goes on trying, and shows the cluster as soon as one does."), "")
	if rc.Snapshot.Status.Known() {
		out = append(rc.Paragraph(theme.Strong, "The connection is lost, and the console tries each node:"), "")
	}
	attempts, do := rc.attemptLines()
	if do != nil {
		attempts = append(append(attempts, ""), do...)
	}
	return append(out, attempts...)
}

// attemptLines are a line for each server that cannot be reached, and what to do: below it, or once where that
// is the same for all of them.
func (rc RenderContext) attemptLines() (out, do []string) {
	attempts := rc.Snapshot.Attempts
	var hosts []string
	width := 0
	steps := map[string]bool{}
	for _, a := range attempts {
		_, host, _ := strings.Cut(a.Server, "://")
		hosts = append(hosts, host)
		width = max(width, min(widget.Width(host), rc.Width/3))
		if a.Next != "" {
			steps[a.Next] = true
		}
	}
	for i, a := range attempts {
		why, tone := "is being tried", theme.Dim
		if a.Why != "" {
			why, tone = a.Why+", since "+rc.FormatTime(a.Since), theme.Warn
		}
		lead := " " + rc.Paint(theme.Plain, widget.PadRight(widget.Truncate(rc.Theme, hosts[i], width), width)) + "  "
		add := func(tone theme.Tone, text string) {
			for _, l := range widget.Wrap(widget.Sanitize(text), max(20, rc.Width-width-4)) {
				out = append(out, lead+rc.Paint(tone, l))
				lead = strings.Repeat(" ", width+3)
			}
		}
		add(tone, why)
		switch {
		case a.Next == "":
		case len(steps) > 1:
			add(theme.Accent, "Do: "+a.Next)
		default:
			do = rc.Paragraph(theme.Accent, "Do: "+a.Next)
		}
	}
	return out, do
}

// StaleLines say how old an unanswered topic is; nil while it is fresh.
func (rc RenderContext) StaleLines(t feed.Freshness, maxAge time.Duration) []string {
	switch {
	case t.Refreshing(rc.Now, maxAge):
		return rc.Paragraph(theme.Dim, "The figures are from "+rc.FormatTime(t.ReceivedAt)+"; newer ones are on the way.")
	case !t.Stale(rc.Now, maxAge):
		return nil
	}
	text := fmt.Sprintf("%s No answer for %s: figures are from %s.", rc.Theme.Glyphs.Degraded, widget.FormatDuration(t.Age(rc.Now)), rc.FormatTime(t.ReceivedAt))
	if len(rc.Snapshot.Attempts) > 0 {
		attempts, do := rc.attemptLines()
		return slices.Concat(rc.Paragraph(theme.Warn, text+" The connection is lost, and the console tries each node:"), attempts, do)
	}
	if t.Err != nil {
		text += " " + widget.Sentence(t.Err.Text)
	}
	out := rc.Paragraph(theme.Warn, text)
	if t.Err != nil && t.Err.Next != "" {
		out = append(out, rc.Paragraph(theme.Accent, "Do: "+t.Err.Next)...)
	}
	return out
}
