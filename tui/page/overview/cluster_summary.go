package overview

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// columnWidth is the unit of the columns, in cells.
const columnWidth = 26

func summaryLines(rc page.RenderContext) []string {
	v := rc.Snapshot.Status.Value.View
	f := page.LabeledLines{Context: rc, LabelWidth: 13}
	w := rc.Width - 17
	f.Add("meta group", page.JoinColumns(w, columnWidth, metaGroupParts(rc, v)...))
	f.Add("control plane", page.JoinColumns(w, columnWidth, controlPlaneParts(rc, v)...))
	f.Add("durability", page.JoinColumns(w, columnWidth, durabilityParts(rc, v)...))
	f.Add("admission", page.JoinColumns(w, columnWidth, admissionParts(rc, v)...))
	f.Add("backups", backupText(rc, v))
	return f.Lines
}

func metaGroupParts(rc page.RenderContext, v cluster.View) []string {
	if !v.Clustered {
		return []string{"none: " + v.From + " runs alone"}
	}
	m := v.Meta
	lead := m.Leader + " leads"
	if m.Since != 0 {
		lead += " for " + widget.FormatDuration(rc.AgeOf(m.Since))
	}
	switch {
	case len(m.Leaders) > 1:
		lead = rc.Paint(theme.Bad, rc.Theme.Glyphs.Critical+" "+widget.JoinNames(m.Leaders)+" claim to lead")
	case m.Leader == "":
		lead = "no leader"
		if m.Since != 0 {
			lead += " for " + widget.FormatDuration(rc.AgeOf(m.Since))
		}
		if m.Last != "" {
			lead += "; " + m.Last + " led before"
		}
		lead = rc.Paint(theme.Bad, lead)
	}
	quorum := fmt.Sprintf("%d of %d online, %d needed", m.Online, m.Size, m.Needed)
	if m.Online < m.Needed {
		quorum = rc.Paint(theme.Bad, quorum)
	} else if m.Online < m.Size {
		quorum = rc.Paint(theme.Warn, quorum)
	}
	pending := "nothing pending"
	if m.Pending > 0 {
		pending = widget.FormatCount(m.Pending) + " pending"
	}
	return []string{lead, quorum, rc.Paint(theme.Dim, pending)}
}

func controlPlaneParts(rc page.RenderContext, v cluster.View) []string {
	store := string(v.Serving.Backend)
	if a := v.Authority; a != nil && a.Backend != core.BackendNone {
		store = string(a.Backend)
		if a.Backend == core.BackendSQLite {
			store += " on " + a.Node
		}
		store += fmt.Sprintf(", generation %d", a.Generation)
	} else if n := sqliteNode(v); n != "" {
		store = "sqlite on " + n
	}
	if v.Moving != "" {
		store += ", migrating: " + v.Moving
	}
	if st := rc.Snapshot.Migration.Value; st.State == migrate.StateSoak {
		store += ", soak"
		if rc.Width >= 110 { // else the counts have no room
			store += ": can be rolled back"
		}
	}
	if v.Counts == nil {
		return []string{store, rc.Paint(theme.Dim, "counts not known")}
	}
	c := v.Counts
	counts := fmt.Sprintf("%s  %s  %s", widget.Plural(c.Users, "user", "users"), widget.Plural(c.Rooms, "room", "rooms"), widget.Plural(c.Members, "member", "members"))
	if old := rc.AgeOf(v.CountsAt); v.CountsAt != 0 && old > 15*time.Second {
		counts = rc.Paint(theme.Dim, counts+", "+widget.FormatAge(old)+" ago")
	}
	return []string{store, counts}
}

// sqliteNode is the node that serves from SQLite, "" if none does.
func sqliteNode(v cluster.View) string {
	for _, n := range v.Nodes {
		if n.Info != nil && n.Info.Serving.Backend == core.BackendSQLite {
			return n.Name
		}
	}
	return ""
}

func durabilityParts(rc page.RenderContext, v cluster.View) []string {
	var unsynced []string
	for _, n := range v.Nodes {
		if n.Online && n.Info != nil && !n.Info.SyncWrites {
			unsynced = append(unsynced, n.Name)
		}
	}
	writes := "synced writes"
	if len(unsynced) > 0 {
		writes = rc.Paint(theme.Warn, rc.Theme.Glyphs.Degraded+" not synced on "+strings.Join(unsynced, ", "))
	}
	return []string{writes, replicasText(rc, v.Buckets)}
}

func replicasText(rc page.RenderContext, bs []cluster.Bucket) string {
	low, current, total := 0, 0, 0
	for _, b := range bs {
		if b.Wanted == 0 {
			continue
		}
		if low == 0 || b.Wanted < low {
			low = b.Wanted
		}
		total += b.Wanted
		for _, r := range b.Replicas {
			if r.State == cluster.ReplicaCurrent {
				current++
			}
		}
	}
	if total == 0 {
		return rc.Paint(theme.Dim, "no buckets yet")
	}
	text := fmt.Sprintf("R%d, %d of %d replicas current", low, current, total)
	if current < total {
		return rc.Paint(theme.Warn, text)
	}
	return text
}

func admissionParts(rc page.RenderContext, v cluster.View) []string {
	var modes []string
	tls, known := true, false
	for _, n := range v.Nodes {
		if n.Info == nil {
			continue
		}
		known = true
		tls = tls && n.Info.TLS
		if m := string(n.Info.BusAuth); !slices.Contains(modes, m) {
			modes = append(modes, m)
		}
	}
	if !known {
		return []string{rc.Paint(theme.Dim, "not known")}
	}
	mode := widget.JoinNames(modes)
	if tls {
		mode += ", TLS"
	} else {
		mode += ", no TLS"
	}
	if len(modes) != 1 || modes[0] != string(core.BusAuthEnforce) || !tls {
		mode = rc.Paint(theme.Warn, mode)
	}
	return append([]string{mode}, trafficParts(rc)...)
}

func trafficParts(rc page.RenderContext) []string {
	n := len(rc.Snapshot.Samples)
	if n == 0 {
		return nil
	}
	var conns, writes []float64
	for _, x := range rc.Snapshot.Samples {
		conns, writes = append(conns, x.Conns), append(writes, x.Writes)
	}
	c := fmt.Sprintf("%s connected", widget.FormatCount(int(conns[n-1])))
	w := fmt.Sprintf("%.0f writes/s", writes[n-1])
	if last := writes[max(0, n-12):]; slices.Max(last) > 0 { // a flat line would redraw without anything having happened
		w += " " + rc.Paint(theme.Accent, widget.Sparkline(rc.Theme, last, 12))
	}
	return []string{c, w}
}
