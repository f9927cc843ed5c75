package page

import (
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// NoNodes is what a table of nodes shows while it is empty.
const NoNodes = "No node is known yet. They appear once one has answered."

// NodeColumns are the columns that NodeRow fills.
func NodeColumns() []widget.Column {
	return []widget.Column{
		{Title: "NODE"},
		{Title: "META"},
		{Title: "CPU", Right: true},
		{Title: "MEM", Right: true},
		{Title: "CONN", Right: true},
		{Title: "DISK", Right: true},
		{Title: "PROVEN", Right: true},
		{Title: "CERT", Right: true},
		{Title: "SEEN", Right: true},
		{Title: "LEADS", Min: 8},
	}
}

// NodeRow is a node in a table, dim where the status is old.
func NodeRow(s Scene, n cluster.Node) widget.Row {
	g, tone := s.Theme.Glyphs.Healthy, theme.Good
	meta := n.Meta
	if !n.Online {
		g, tone, meta = s.Theme.Glyphs.Absent, theme.Bad, "away"
	}
	return s.FadedRow(widget.Row{Key: n.Name, Dim: !n.Online, Cells: []widget.Cell{
		{Text: g + " " + n.Name, Tone: tone},
		{Text: meta},
		figure(n.Online, n.CPU, fmt.Sprintf("%.0f", n.CPU), "%"),
		bytesCell(n.Online, n.Memory),
		figure(n.Online, float64(n.Conns), widget.Count(n.Conns), ""),
		disk(n),
		proven(s, n),
		cert(s, n),
		seen(s, n),
		{Text: strings.Join(n.Leads, ", "), Tone: theme.Dim},
	}})
}

func figure(known bool, v float64, text, unit string) widget.Cell {
	if !known {
		return widget.Num(-1, "-", "").In(theme.Faint)
	}
	return widget.Num(v, text, unit)
}

func bytesCell(known bool, n int64) widget.Cell {
	f, u := widget.Bytes(n)
	return figure(known, float64(n), f, u)
}

func disk(n cluster.Node) widget.Cell {
	if n.DiskMax <= 0 {
		return bytesCell(n.Online, n.Disk)
	}
	pc := float64(n.Disk) * 100 / float64(n.DiskMax)
	text := fmt.Sprintf("%.0f", pc)
	if pc > 0 && pc < 1 {
		text = "<1"
	}
	c := figure(n.Online, pc, text, "% of "+widget.Size(n.DiskMax))
	if n.Online && pc >= 80 {
		c.Tone = theme.Warn
	}
	return c
}

// proven is the age of the barrier that admission on a node relies on. An idle
// node sends none; without a quorum it could not get one.
func proven(s Scene, n cluster.Node) widget.Cell {
	switch meta := s.Snap.Status.Value.Meta; {
	case !n.Online || n.Info == nil || n.Info.Serving.Backend != core.BackendKV:
		return widget.Num(1e12, "-", "").In(theme.Faint)
	case n.Info.ProvenMS >= 0:
		d := time.Duration(n.Info.ProvenMS) * time.Millisecond
		f, u := widget.AgeParts(d)
		return widget.Num(d.Seconds(), f, u)
	case meta.Leader == "" || meta.Online < meta.Needed:
		return widget.Num(1e11, "none", "").In(theme.Warn)
	}
	return widget.Num(1e10, "idle", "").In(theme.Dim)
}

func cert(s Scene, n cluster.Node) widget.Cell {
	if n.Info == nil || n.Info.CertUntil == 0 {
		return widget.Num(1e12, "-", "").In(theme.Faint)
	}
	left := n.Info.CertUntil.Time().Sub(s.Now)
	if left <= 0 {
		return widget.Num(0, "expired", "").In(theme.Bad)
	}
	f, u := widget.AgeParts(left)
	c := widget.Num(left.Seconds(), f, u)
	if left < 14*24*time.Hour {
		c.Tone = theme.Warn
	}
	return c
}

// SinceHeard is how long ago a node answered that has ever done so.
func SinceHeard(s Scene, n cluster.Node) time.Duration {
	d := time.Duration(n.HeardMS) * time.Millisecond
	if s.Old() {
		d += s.Snap.Status.Age(s.Now)
	}
	return d
}

// seen is when a node last answered. What answers every second is "now": a
// figure that jitters would move without anything having happened.
func seen(s Scene, n cluster.Node) widget.Cell {
	if n.HeardMS < 0 {
		return widget.Num(1e12, "never", "").In(theme.Dim)
	}
	d := SinceHeard(s, n)
	if d < 2*time.Second {
		return widget.Num(0, "now", "")
	}
	f, u := widget.AgeParts(d)
	return widget.Num(d.Seconds(), f, u).In(theme.Warn)
}
