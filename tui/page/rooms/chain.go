package rooms

import (
	"fmt"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// addChain adds what the members signed about the members, shortly. The node that is
// connected has read it; the command verifies every signature itself.
func addChain(f *page.LabeledLines, rc page.RenderContext) {
	c := rc.Snapshot.Room.Value.Chain
	switch {
	case c == nil: // an older node
	case c.Statements == 0:
		f.Add("chain", rc.Paint(theme.Warn, "none: no member has signed who the members are"))
	case c.Fault != "":
		f.Add("chain", rc.Paint(theme.Warn, rc.Theme.Glyphs.Degraded+" does not fit together, says "+c.Node+": unibusd room get "+string(rc.Snapshot.Room.Value.Room.ID)))
	default:
		f.Add("chain", chainText(rc, c))
	}
}

// chainText is the number of statements, who read them, and the newest one.
func chainText(rc page.RenderContext, c *admin.ChainSummary) string {
	short := func(user core.UserID) string { return widget.TruncateMiddle(rc.Theme, string(user), 9) }
	n := c.Newest
	newest := fmt.Sprintf("%s of %s by %s", n.What, short(n.Subject), short(n.Signer))
	if n.Subject == n.Signer {
		newest = fmt.Sprintf("%s by %s", n.What, short(n.Signer))
	}
	return widget.Plural(int(c.Statements), "statement", "statements") + rc.Paint(theme.Dim, "   "+c.Node+" read them") + "   newest: " + newest +
		rc.Paint(theme.Dim, "   "+rc.FormatMillis(n.At))
}
