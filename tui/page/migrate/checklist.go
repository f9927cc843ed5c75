package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// checklist is the conditions of a migration: those that are met, those that are missing with the next
// step, and those that only a dry run can tell. Problems that the last dry run lists are above it
// already.
func checklist(rc page.RenderContext, st migrate.Status) []string {
	files := action.Sources(rc.Snapshot)
	if len(files) == 0 {
		return nil
	}
	v := rc.Snapshot.Status.Value.View
	c := clusterOf(v, rc.Now)
	var items, lines []string
	for _, text := range satisfied(v, c, st, files[0].Node) {
		items = append(items, rc.Paint(theme.Good, rc.Theme.Glyphs.Healthy)+" "+rc.Paint(theme.Plain, text))
	}
	for _, p := range c.Problems(files[0].Node) {
		if slices.ContainsFunc(st.Problems, func(known core.Problem) bool { return known.Text == p.Text }) {
			continue
		}
		lines = append(lines, glyphParagraph(rc, theme.Bad, rc.Theme.Glyphs.Critical, p.Text)...)
		lines = append(lines, glyphParagraph(rc, theme.Accent, " ", p.Next)...)
	}
	lines = append(fillLines(rc, theme.Plain, items), lines...)
	lines = append(lines, rowsChecked(rc, st)...)
	return rc.DimIfStale(append([]string{"", " " + rc.Paint(theme.Dim, "WHAT IT NEEDS")}, lines...))
}

// clusterOf is what the node saw, in the terms of preflight.
func clusterOf(v cluster.View, now time.Time) migrate.Cluster {
	c := migrate.Cluster{Expected: v.Expected}
	for _, n := range v.Nodes {
		p := migrate.Peer{Name: n.Name, Online: n.Reachable(), JetStreamOff: n.Off}
		if n.Info != nil {
			p.Version, p.Serving, p.File = n.Info.Version, n.Info.Serving.Backend, n.Info.Serving.File
		}
		c.Peers = append(c.Peers, p)
	}
	for _, f := range cluster.Obstacles(v, now) {
		c.Findings = append(c.Findings, core.Problem{Text: f.Text, Next: f.Next})
	}
	return c
}

// satisfied are the conditions that hold.
func satisfied(v cluster.View, c migrate.Cluster, st migrate.Status, source string) (out []string) {
	add := func(holds bool, text string) {
		if holds {
			out = append(out, text)
		}
	}
	versions := map[string]bool{}
	online := 0
	for _, p := range c.Peers {
		versions[p.Version] = true
		if p.Online {
			online++
		}
	}
	add(online == len(c.Peers) && online >= c.Expected && online > 1, fmt.Sprintf("all %d nodes answer", online))
	add(v.Meta.Leader != "" && v.Meta.Online >= v.Meta.Needed, "the meta group has a leader")
	add(len(versions) == 1 && !versions[""], "every node has the same version")
	add(v.Clustered && len(c.Findings) == 0, "nothing is wrong with the replicas")
	if free, ok := freeAt(v, source); ok {
		text := widget.FormatSize(free) + " free on " + source
		most := migrate.MostSpace(st.Source.Bytes)
		if most > 0 {
			text += ", " + widget.FormatSize(most) + " needed at most"
		}
		add(free >= most, text)
	}
	return out
}

// freeAt is what the fullest file system of a node has free.
func freeAt(v cluster.View, node string) (int64, bool) {
	for _, n := range v.Nodes {
		if n.Name == node && n.Info != nil && n.Info.DiskComparison != nil && len(n.Info.DiskComparison.Disks) > 0 {
			return slices.MinFunc(n.Info.DiskComparison.Disks, func(a, b cluster.Disk) int { return cmp.Compare(a.Free, b.Free) }).Free, true
		}
	}
	return 0, false
}

// rowsChecked says whether every row can be converted, and how old that is.
func rowsChecked(rc page.RenderContext, st migrate.Status) []string {
	switch {
	case st.Result == "" && len(st.Problems) == 0 && st.Error == nil:
		return glyphParagraph(rc, theme.Plain, rc.Theme.Glyphs.Unknown, "Whether every row can be converted is not known yet: D checks all of them, and writes nothing.")
	case len(st.Problems) > 0 || st.Error != nil:
		return glyphParagraph(rc, theme.Warn, rc.Theme.Glyphs.Degraded, "The last check found what is above: D checks again.")
	}
	age := widget.FormatAge(max(0, rc.Now.Sub(st.Updated.Time())))
	return glyphParagraph(rc, theme.Plain, rc.Theme.Glyphs.Healthy, "Every row can be converted, as of "+age+" ago: D checks again.")
}

type step struct{ name, short, does string }

// steps are the migration's own states, and the work of each.
func steps() []step {
	return []step{
		{"backup", "backup", "writes a verified copy of the file on its node"},
		{"copy", "copy", "writes every row of the backup to a replica on every node; SQLite keeps serving"},
		{"verify", "compare on every node", "compares every row on each node's own replica"},
		{"you decide", "you decide", "it waits for your cutover (X); until then an abort (A) restores exactly what was"},
		{"fence", "fence (about a second)", "refuses changes for about a second, and copies the last ones; users can read"},
		{"cutover", "cut over", "all nodes serve from the replicas, without a restart"},
		{"soak", "keep for days (U rolls back)", "keeps the file; a rollback (U) carries later changes back, until you finish (F)"},
	}
}

// withSteps puts the steps between what a migration needs and the files: a line each where they fit into
// the height, else one paragraph.
func withSteps(rc page.RenderContext, lines, files []string, height int) []string {
	if len(action.Sources(rc.Snapshot)) == 0 {
		return append(lines, files...)
	}
	long := []string{"", " " + rc.Paint(theme.Dim, "WHAT IT WILL DO")}
	var short []string
	for i, s := range steps() {
		lead := fmt.Sprintf(" %s %s", rc.Paint(theme.Accent, fmt.Sprint(i+1)), rc.Paint(theme.Plain, widget.PadRight(s.name, 12)))
		for _, l := range widget.Wrap(s.does, rc.Width-17) {
			long, lead = append(long, lead+rc.Paint(theme.Dim, l)), strings.Repeat(" ", 15)
		}
		short = append(short, fmt.Sprintf("%d %s", i+1, s.short))
	}
	if len(lines)+len(long)+len(files) > height {
		long = append([]string{""}, rc.Paragraph(theme.Plain, strings.Join(short, ", "))...)
	}
	return slices.Concat(lines, long, files)
}
