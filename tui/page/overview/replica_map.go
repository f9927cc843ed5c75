package overview

import (
	"slices"
	"strings"

	"unibus/core/cluster"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// replicaMap has a row for each node and a column for each bucket: the leader, the current
// replicas and the others. nil where the screen is not wide enough for all of them.
func replicaMap(rc page.RenderContext) []string {
	st := rc.Snapshot.Status.Value
	buckets := st.AllBuckets()
	if !st.Clustered || len(buckets) == 0 {
		return nil
	}
	first := widget.Width("REPLICAS")
	for _, n := range st.Nodes {
		first = max(first, min(16, widget.Width(widget.Sanitize(n.Name))))
	}
	head, line := " "+rc.Paint(theme.Dim, widget.PadRight("REPLICAS", first)), []string{"", ""}
	for _, b := range buckets {
		head += "  " + rc.Paint(theme.Dim, widget.Sanitize(page.Subject(b.Name)))
	}
	if widget.Width(head) > rc.Width-1 {
		return nil
	}
	line[1] = head
	for _, n := range st.Nodes {
		row := " " + rc.Paint(theme.Plain, widget.PadRight(widget.Truncate(rc.Theme, widget.Sanitize(n.Name), first), first))
		for _, b := range buckets {
			glyph, lag, tone := replicaCell(rc.Theme, b, n.Name)
			width := widget.Width(widget.Sanitize(page.Subject(b.Name)))
			row += "  " + rc.Paint(tone, widget.PadRight(widget.Truncate(rc.Theme, strings.TrimSpace(glyph+" "+lag), width), width))
		}
		line = append(line, strings.TrimRight(row, " "))
	}
	return append(line, " "+rc.Paint(theme.Faint, legend(rc.Theme.Glyphs, strings.Join(line[2:], ""))))
}

// legend explains the glyphs that are in the map.
func legend(g theme.Glyphs, shown string) string {
	var parts []string
	for _, p := range [][2]string{{g.Leads, "leads"}, {g.Healthy, "current"}, {g.Degraded, "behind (operations)"}, {g.Absent, "offline"}, {g.Unknown, "not known"}} {
		if strings.Contains(shown, p[0]) {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	return strings.Join(parts, "  ")
}

// replicaCell is a node's replica of a bucket, and how many operations it is behind; "" where it has none.
func replicaCell(th theme.Theme, b cluster.Bucket, node string) (glyph, lag string, tone theme.Tone) {
	i := slices.IndexFunc(b.Replicas, func(r cluster.Replica) bool { return r.Node == node })
	switch g := th.Glyphs; {
	case i < 0:
		return "", "", theme.Faint
	case b.Replicas[i].State == cluster.ReplicaOffline:
		return g.Absent, "", theme.Bad
	case b.Replicas[i].State == cluster.ReplicaUnknown:
		return g.Unknown, "", theme.Warn
	case b.Replicas[i].State == cluster.ReplicaBehind:
		return g.Degraded, widget.FormatCount(int(min(b.Replicas[i].Lag, 1<<31))), theme.Warn //nolint:gosec // bounded
	case b.Leader == node:
		return g.Leads, "", theme.Good
	default:
		return g.Healthy, "", theme.Good
	}
}
