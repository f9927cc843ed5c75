package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// NoNodes is what a table of nodes shows while it is empty.
const NoNodes = "No node is known yet. Nodes appear after the first answer."

// NodeColumns are the columns that NodeRow fills.
func NodeColumns() []widget.Column {
	return []widget.Column{
		{Title: "NODE"},
		{Title: "META"},
		{Title: "CPU", Right: true},
		{Title: "MEM", Right: true},
		{Title: "CONN", Right: true},
		{Title: "DISK", Right: true},
		{Title: "FREE", Right: true},
		{Title: "PROVEN", Right: true},
		{Title: "CERT", Right: true},
		{Title: "HEARD", Right: true},
		{Title: "LEADS", Min: 8},
	}
}

// NodeRow is a node's table row, dim if the status is stale.
func NodeRow(rc RenderContext, n cluster.Node) widget.Row {
	g, tone := rc.Theme.Glyphs.Healthy, theme.Good
	meta := n.Meta
	if !n.Online {
		g, tone, meta = rc.Theme.Glyphs.Absent, theme.Bad, "down"
	} else if n.Off {
		g, tone, meta = rc.Theme.Glyphs.Degraded, theme.Warn, "JetStream off"
	}
	if _, drained := rc.Snapshot.Status.Value.InMaintenance(n.Name); drained {
		if n.Online && !n.Off {
			tone, meta = theme.Warn, "maintenance"
		} else { // an outage stays in sight
			meta += ", maintenance"
		}
	}
	return rc.DimRowIfStale(widget.Row{Key: n.Name, IsDim: !n.Online, Cells: []widget.Cell{
		{Text: g + " " + n.Name, Tone: tone},
		{Text: meta},
		numberCell(n.Online, n.CPU, fmt.Sprintf("%.0f", n.CPU), "%"),
		bytesCell(n.Online, n.Memory),
		numberCell(n.Online, float64(n.Conns), widget.FormatCount(n.Conns), ""),
		diskCell(n),
		freeCell(n),
		provenCell(rc, n),
		certificateCell(rc, n),
		lastAnswerCell(rc, n),
		{Text: strings.Join(n.Leads, ", "), Tone: theme.Dim},
	}})
}

func numberCell(known bool, v float64, text, unit string) widget.Cell {
	if !known {
		return widget.NoNumber()
	}
	return widget.Number(v, text, unit)
}

func bytesCell(known bool, n int64) widget.Cell {
	f, u := widget.FormatSizeParts(n)
	return numberCell(known, float64(n), f, u)
}

// diskCell is the share of its limit that JetStream has used.
func diskCell(n cluster.Node) widget.Cell {
	if n.DiskMax <= 0 {
		return bytesCell(n.Online, n.Disk)
	}
	pc := float64(n.Disk) * 100 / float64(n.DiskMax)
	text := fmt.Sprintf("%.0f", pc)
	if pc > 0 && pc < 1 {
		text = "<1"
	}
	c := numberCell(n.Online, pc, text, "%")
	if n.Online && pc >= 80 {
		c.Tone = theme.Warn
	}
	return c
}

// freeCell is what the fullest file system of a node has free. JetStream's limit does not
// count it: other files take space too.
func freeCell(n cluster.Node) widget.Cell {
	if n.Info == nil || n.Info.DiskComparison == nil || len(n.Info.DiskComparison.Disks) == 0 {
		return widget.NoNumber()
	}
	least := slices.MinFunc(n.Info.DiskComparison.Disks, func(a, b cluster.Disk) int { return cmp.Compare(a.Free, b.Free) })
	c := bytesCell(n.Online, least.Free)
	for _, d := range n.Info.DiskComparison.Disks {
		switch d.Level() {
		case cluster.Critical:
			return c.WithTone(theme.Bad)
		case cluster.Degraded:
			c.Tone = theme.Warn
		}
	}
	return c
}

// provenCell is the age of the last barrier, which admission on a node relies on.
// An idle node sends none; without a quorum a node cannot get one.
func provenCell(rc RenderContext, n cluster.Node) widget.Cell {
	switch meta := rc.Snapshot.Status.Value.Meta; {
	case !n.Online || n.Info == nil || n.Info.Serving.Backend != core.BackendKV:
		return widget.NoNumber()
	case n.Info.ProvenMS >= 0:
		return widget.AgeCell(time.Duration(n.Info.ProvenMS) * time.Millisecond)
	case meta.Leader == "" || meta.Online < meta.Needed:
		return widget.RankedText(1e11, "no quorum").WithTone(theme.Warn)
	}
	return widget.RankedText(1e10, "idle").WithTone(theme.Dim)
}

func certificateCell(rc RenderContext, n cluster.Node) widget.Cell {
	if n.Info == nil || n.Info.CertUntil == 0 {
		return widget.NoNumber()
	}
	left := n.Info.CertUntil.Time().Sub(rc.Now)
	if left <= 0 {
		return widget.RankedText(0, "expired").WithTone(theme.Bad)
	}
	c := widget.AgeCell(left)
	from := core.Millis(0) // not known of an older node
	if served, ok := n.Info.ServedCertificate(); ok {
		from = served.From
	}
	if cluster.CertificateLevel(from, n.Info.CertUntil, rc.Now) != cluster.Healthy {
		c.Tone = theme.Warn
	}
	return c
}

// SinceLastAnswer returns the time since a node last answered; call it only if it
// ever did.
func SinceLastAnswer(rc RenderContext, n cluster.Node) time.Duration {
	d := time.Duration(n.HeardMS) * time.Millisecond
	if rc.StatusIsStale() {
		d += rc.Snapshot.Status.Age(rc.Now)
	}
	return d
}

// lastAnswerCell shows "now" for a node that answers every second: a jittering
// figure would suggest that something happens.
func lastAnswerCell(rc RenderContext, n cluster.Node) widget.Cell {
	if n.HeardMS < 0 {
		return widget.RankedText(1e12, "never").WithTone(theme.Dim)
	}
	d := SinceLastAnswer(rc, n)
	if d < 2*time.Second {
		return widget.RankedText(0, "now")
	}
	return widget.AgeCell(d).WithTone(theme.Warn)
}
