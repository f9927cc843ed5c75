package overview

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

const step = 26 // the facts stand in columns of so many cells

func facts(s page.Scene) []string {
	v := s.Snap.Status.Value.View
	f := page.Facts{Scene: s, Label: 13}
	w := s.W - 17
	f.Add("meta group", page.Columns(w, step, metaParts(s, v)...))
	f.Add("control plane", page.Columns(w, step, controlParts(s, v)...))
	f.Add("durability", page.Columns(w, step, durability(s, v)...))
	f.Add("admission", page.Columns(w, step, admission(s, v)...))
	return f.Lines
}

func metaParts(s page.Scene, v cluster.View) []string {
	if !v.Clustered {
		return []string{"none: " + v.From + " runs alone"}
	}
	m := v.Meta
	lead := m.Leader + " leads"
	if m.Since != 0 {
		lead += " for " + widget.Span(s.Since(m.Since))
	}
	switch {
	case len(m.Leaders) > 1:
		lead = s.P(theme.Bad, s.Theme.Glyphs.Critical+" "+strings.Join(m.Leaders, " and ")+" both lead")
	case m.Leader == "":
		lead = "no leader"
		if m.Since != 0 {
			lead += " for " + widget.Span(s.Since(m.Since))
		}
		if m.Last != "" {
			lead += "; " + m.Last + " was the last"
		}
		lead = s.P(theme.Bad, lead)
	}
	quorum := fmt.Sprintf("%d of %d online, %d needed", m.Online, m.Size, m.Needed)
	if m.Online < m.Needed {
		quorum = s.P(theme.Bad, quorum)
	} else if m.Online < m.Size {
		quorum = s.P(theme.Warn, quorum)
	}
	pending := "nothing pending"
	if m.Pending > 0 {
		pending = widget.Count(m.Pending) + " pending"
	}
	return []string{lead, quorum, s.P(theme.Dim, pending)}
}

func controlParts(s page.Scene, v cluster.View) []string {
	who := string(v.Serving.Backend)
	if a := v.Authority; a != nil && a.Backend != core.BackendNone {
		who = string(a.Backend)
		if a.Backend == core.BackendSQLite {
			who += " on " + a.Node
		}
		who += fmt.Sprintf(", generation %d", a.Generation)
	} else if n, _ := serving(v); n != "" {
		who = "sqlite on " + n
	}
	if v.Moving != "" {
		who += ", moving: " + v.Moving
	}
	if v.Counts == nil {
		return []string{who, s.P(theme.Dim, "counts not known")}
	}
	c := v.Counts
	counts := fmt.Sprintf("%s  %s  %s", widget.Plural(c.Users, "user", "users"), widget.Plural(c.Rooms, "room", "rooms"), widget.Plural(c.Members, "member", "members"))
	if old := s.Since(v.CountsAt); v.CountsAt != 0 && old > 15*time.Second {
		counts = s.P(theme.Dim, counts+", "+widget.Age(old)+" ago")
	}
	return []string{who, counts}
}

// serving is the node that serves from SQLite.
func serving(v cluster.View) (node, file string) {
	for _, n := range v.Nodes {
		if n.Info != nil && n.Info.Serving.Backend == core.BackendSQLite {
			return n.Name, n.Info.Serving.File
		}
	}
	return "", ""
}

func durability(s page.Scene, v cluster.View) []string {
	var lax []string
	for _, n := range v.Nodes {
		if n.Online && n.Info != nil && !n.Info.SyncWrites {
			lax = append(lax, n.Name)
		}
	}
	writes := "synced writes"
	if len(lax) > 0 {
		writes = s.P(theme.Warn, s.Theme.Glyphs.Degraded+" not synced on "+strings.Join(lax, ", "))
	}
	return []string{writes, replicas(s, v.Buckets)}
}

func replicas(s page.Scene, bs []cluster.Bucket) string {
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
		return s.P(theme.Dim, "no buckets yet")
	}
	text := fmt.Sprintf("R%d, %d of %d replicas current", low, current, total)
	if current < total {
		return s.P(theme.Warn, text)
	}
	return text
}

func admission(s page.Scene, v cluster.View) []string {
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
		return []string{s.P(theme.Dim, "not known")}
	}
	mode := strings.Join(modes, " and ")
	if tls {
		mode += ", TLS"
	} else {
		mode += ", no TLS"
	}
	if len(modes) != 1 || modes[0] != string(core.BusAuthEnforce) || !tls {
		mode = s.P(theme.Warn, mode)
	}
	return append([]string{mode}, sparks(s)...)
}

func sparks(s page.Scene) []string {
	n := len(s.Snap.Samples)
	if n == 0 {
		return nil
	}
	var conns, writes []float64
	for _, x := range s.Snap.Samples {
		conns, writes = append(conns, x.Conns), append(writes, x.Writes)
	}
	c := fmt.Sprintf("%s connected", widget.Count(int(conns[n-1])))
	w := fmt.Sprintf("%.0f writes/s", writes[n-1])
	if last := writes[max(0, n-12):]; slices.Max(last) > 0 { // nothing moves unless something happened
		w += " " + s.P(theme.Accent, widget.Spark(s.Theme, last, 12))
	}
	return []string{c, w}
}
