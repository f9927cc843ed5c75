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

// day is how long a node remembers somebody who does not come back.
const day = 24 * time.Hour

// verdict is whether enforce can be turned on, what that rests on, and what to do.
func verdict(s page.Scene, r admin.Rollout) []string {
	g := s.Theme.Glyphs
	mode := func(want core.BusAuth) []string {
		return where(r, func(n admin.RolloutNode) bool { return n.Active[admin.FlagBusAuth] == string(want) })
	}
	if r.Safe {
		if len(mode(core.BusAuthEnforce)) == len(r.Nodes) {
			return signed(s, g.Healthy, theme.Good, "Enforce is active on every node: nobody is admitted who does not belong.")
		}
		lines := signed(s, g.Healthy, theme.Good, "Safe to enforce: nobody has connected whom enforce would deny. "+rests(s, r))
		return append(lines, s.Prose(theme.Accent, "Do: start the nodes one after the other with --bus-auth enforce.")...)
	}
	glyph, next := g.Degraded, "give every node the same settings, then look here again."
	denied := where(r, func(n admin.RolloutNode) bool { return len(n.WouldDeny)+n.More > 0 })
	silent := where(r, func(n admin.RolloutNode) bool { return n.Unknown })
	off := mode(core.BusAuthOff)
	switch {
	case len(silent) > 0:
		glyph, next = g.Unknown, "start unibusd on "+strings.Join(silent, " and ")+", or see on page 2 why it does not answer."
	case len(off) > 0:
		glyph, next = g.Unknown, "start "+strings.Join(off, ", ")+" with --bus-auth soft, let users come and go for a day, then look here again."
	case len(denied) > 0:
		next = "add those who belong on page 4 (y copies a key). Who stays away is forgotten after a day; enforce shuts out the rest."
	case len(where(r, func(n admin.RolloutNode) bool { return n.Overflow > 0 })) > 0:
		glyph, next = g.Unknown, "add those who belong on page 4; the nodes have room to record again then."
	}
	lines := signed(s, glyph, theme.Warn, said(r.Verdict))
	return append(lines, s.Prose(theme.Accent, "Do: "+next)...)
}

// signed is a sentence behind its sign, which alone has the colour.
func signed(s page.Scene, glyph string, tone theme.Tone, text string) []string {
	lines := s.Prose(theme.Strong, glyph+" "+text)
	first, _ := strings.CutPrefix(widget.Wrap(widget.Clean(glyph+" "+text), s.W-2)[0], glyph)
	lines[0] = " " + s.P(tone, glyph) + s.P(theme.Strong, first)
	return lines
}

// said makes a sentence of the nodes' verdict.
func said(verdict string) string {
	for begin, full := range map[string]string{"not safe:": "Not safe to enforce:", "not known:": "Not known whether enforce is safe:"} {
		if rest, ok := strings.CutPrefix(verdict, begin); ok {
			return full + rest + "."
		}
	}
	if verdict == "" {
		return "No verdict was given."
	}
	return strings.ToUpper(verdict[:1]) + verdict[1:] + "."
}

// rests says how long the shortest record is that the verdict rests on.
func rests(s page.Scene, r admin.Rollout) string {
	var since core.Millis
	for _, n := range r.Nodes {
		if n.Active[admin.FlagBusAuth] == string(core.BusAuthSoft) {
			since = max(since, n.Since)
		}
	}
	seen := s.Since(since)
	if seen >= day {
		return "Every node has recorded for a day or longer."
	}
	return "The shortest record covers " + widget.Age(seen) + ": who connects more seldom has not been seen."
}

func where(r admin.Rollout, is func(admin.RolloutNode) bool) []string {
	return slices.DeleteFunc(names(r), func(n string) bool { return !is(r.Nodes[n]) })
}
