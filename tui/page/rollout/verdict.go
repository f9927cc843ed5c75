package rollout

import (
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// recordLifetime is how long a node remembers a client that does not return.
const recordLifetime = 24 * time.Hour

// verdictLines say whether enforce can be enabled, what that conclusion rests on,
// and the next step.
func verdictLines(rc page.RenderContext, r admin.Rollout) []string {
	g := rc.Theme.Glyphs
	mode := func(want core.BusAuth) []string {
		return nodesWhere(r, func(n admin.RolloutNode) bool { return n.Active[admin.FlagBusAuth] == string(want) })
	}
	if r.Safe {
		if len(mode(core.BusAuthEnforce)) == len(r.Nodes) {
			return glyphParagraph(rc, g.Healthy, theme.Good, "Enforce is active on every node: only known users are admitted.")
		}
		return safeLines(rc, r)
	}
	glyph, next := g.Degraded, "give every node the same settings, then check again."
	denied := nodesWhere(r, func(n admin.RolloutNode) bool { return len(n.WouldDeny)+n.More > 0 })
	silent := nodesWhere(r, func(n admin.RolloutNode) bool { return n.Unknown })
	off := mode(core.BusAuthOff)
	switch {
	case len(silent) > 0:
		glyph, next = g.Unknown, "bring "+widget.JoinNames(silent)+" back: page 1 says how."
	case len(off) > 0:
		glyph, next = g.Unknown, "start "+widget.JoinNames(off)+" with --bus-auth soft, wait a day for users to connect, then check again."
	case len(denied) > 0:
		next = "add legitimate clients on page 4 (y copies a key). Clients that stay away are forgotten after a day; enforce denies the rest."
	case len(nodesWhere(r, func(n admin.RolloutNode) bool { return n.Overflow > 0 })) > 0:
		glyph, next = g.Unknown, "add legitimate clients on page 4; then the nodes have space to record again."
	}
	lines := glyphParagraph(rc, glyph, theme.Warn, verdictSentence(r.Verdict))
	return append(lines, rc.Paragraph(theme.Accent, "Do: "+next)...)
}

// safeLines say that nobody was found whom enforce would deny. It is safe only once every
// node has recorded for long enough: a node that was just restarted has seen nobody.
func safeLines(rc page.RenderContext, r admin.Rollout) []string {
	g, seen := rc.Theme.Glyphs, shortestRecord(rc, r)
	if seen < recordLifetime {
		lines := glyphParagraph(rc, g.Unknown, theme.Warn, "Nothing speaks against enforce so far, and the shortest record covers only "+widget.FormatAge(seen)+
			": it would deny none of the clients that connected, and clients that connect less often are missing.")
		return append(lines, rc.Paragraph(theme.Accent, "Do: wait until the records cover a day, and a full cycle of your programs, then check again.")...)
	}
	lines := glyphParagraph(rc, g.Healthy, theme.Good, "Safe to enforce: enforce would deny none of the clients that connected. Every node has recorded for a day or longer.")
	return append(lines, rc.Paragraph(theme.Accent, "Do: start the nodes one after the other with --bus-auth enforce.")...)
}

// glyphParagraph is a paragraph after a glyph; only the glyph is colored.
func glyphParagraph(rc page.RenderContext, glyph string, tone theme.Tone, text string) []string {
	lines := rc.Paragraph(theme.Strong, glyph+" "+text)
	first, _ := strings.CutPrefix(widget.Wrap(widget.Sanitize(glyph+" "+text), rc.Width-2)[0], glyph)
	lines[0] = " " + rc.Paint(tone, glyph) + rc.Paint(theme.Strong, first)
	return lines
}

// verdictSentence makes a sentence of the nodes' verdict.
func verdictSentence(verdict string) string {
	for begin, full := range map[string]string{"not safe:": "Not safe to enforce:", "not known:": "Not known whether enforce is safe:"} {
		if rest, ok := strings.CutPrefix(verdict, begin); ok {
			return full + rest + "."
		}
	}
	if verdict == "" {
		return "The nodes gave no verdict."
	}
	return widget.Sentence(verdict)
}

// shortestRecord is the length of the shortest record, which the verdict rests on.
func shortestRecord(rc page.RenderContext, r admin.Rollout) time.Duration {
	var since core.Millis
	for _, n := range r.Nodes {
		if n.Active[admin.FlagBusAuth] == string(core.BusAuthSoft) {
			since = max(since, n.Since)
		}
	}
	return rc.AgeOf(since)
}

func nodesWhere(r admin.Rollout, matches func(admin.RolloutNode) bool) []string {
	return slices.DeleteFunc(nodeNames(r), func(n string) bool { return !matches(r.Nodes[n]) })
}
