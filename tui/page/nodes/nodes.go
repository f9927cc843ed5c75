// Package nodes is the page of the machines: what each one does, and in its
// detail what would stop if it stopped.
package nodes

import (
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Model is the page.
type Model struct{ page.List }

// New makes the page.
func New() *Model {
	cols := page.NodeColumns()
	last := len(cols) - 1
	cols = append(cols[:last:last], widget.Column{Title: "SERVES"}, widget.Column{Title: "UP", Right: true}, widget.Column{Title: "LISTENS", Min: 10}, cols[last])
	return &Model{page.List{
		Kind: "node", Subject: "the nodes", MaxAge: page.Fresh, RowsEvery: time.Second,
		Source: func(s *feed.Snapshot) feed.Freshness { return s.Status.Freshness },
		Rows:   rows, Summary: summary, Detail: detail, Gone: "This node is not known any more.",
		Table: widget.NewTable(page.NoNodes, cols...),
	}}
}

// Name is nodes.
func (m *Model) Name() string { return "nodes" }

func rows(s page.Scene) []widget.Row {
	var out []widget.Row
	for _, n := range s.Snap.Status.Value.Nodes {
		r := page.NodeRow(s, n)
		last := len(r.Cells) - 1
		r.Cells = append(r.Cells[:last:last], serves(n), up(s.AsOf(), n), listens(n), r.Cells[last])
		out = append(out, s.FadedRow(r))
	}
	return out
}

func up(s page.Scene, n cluster.Node) widget.Cell {
	if n.Started == 0 || !n.Online {
		return widget.Num(-1, "-", "").In(theme.Faint)
	}
	d := s.Since(n.Started)
	f, u := widget.AgeParts(d)
	return widget.Num(d.Seconds(), f, u)
}

func serves(n cluster.Node) widget.Cell {
	if n.Info == nil || !n.Online {
		return widget.Cell{Text: "-", Tone: theme.Faint}
	}
	if n.Info.Serving.Backend == core.BackendNone || n.Info.Serving.Backend == "" {
		return widget.Cell{Text: "nothing", Tone: theme.Dim}
	}
	return widget.Cell{Text: string(n.Info.Serving.Backend)}
}

func listens(n cluster.Node) widget.Cell {
	if n.Info == nil {
		return widget.Cell{Text: "-", Tone: theme.Faint}
	}
	return widget.Cell{Text: n.Info.Listen}
}

func summary(s page.Scene) []string {
	v := s.Snap.Status.Value
	on := 0
	for _, n := range v.Nodes {
		if n.Online {
			on++
		}
	}
	text := fmt.Sprintf("%d of %s answer.", on, widget.Plural(max(v.Expected, len(v.Nodes)), "node", "nodes"))
	if v.Clustered {
		text += fmt.Sprintf(" The meta group needs %d of %d.", v.Meta.Needed, v.Meta.Size)
	}
	return append(s.Faded(s.Prose(theme.Plain, text)), "")
}

func detail(s page.Scene, id string) []string {
	for _, n := range s.Snap.Status.Value.Nodes {
		if n.Name == id {
			return nodeDetail(s, n)
		}
	}
	return nil
}

func nodeDetail(s page.Scene, n cluster.Node) []string {
	g, word, tone := s.Theme.Glyphs.Healthy, "answers", theme.Good
	if !n.Online {
		g, word, tone = s.Theme.Glyphs.Absent, "does not answer", theme.Bad
	}
	lines := s.Faded([]string{" " + s.P(tone, g+" "+widget.Clean(n.Name)) + "  " + s.P(theme.Strong, word), ""})
	f := page.Facts{Scene: s.AsOf(), Label: 12}
	if !n.Online || s.Old() {
		f.Add("last heard", heard(s, n))
	}
	said := len(f.Lines)
	facts(&f, n)
	if n.Online {
		return append(append(lines, s.Faded(f.Lines)...), s.Faded(impact(s, n))...)
	}
	lines = append(lines, f.Lines[:said]...)
	if len(f.Lines) > said {
		lines = append(append(lines, "", " "+s.P(theme.Dim, "WHAT IT SAID LAST")), s.Fade(f.Lines[said:])...)
	}
	return lines
}

// heard is when a node last answered.
func heard(s page.Scene, n cluster.Node) string {
	if n.HeardMS < 0 {
		return "never"
	}
	at := s.Snap.Status.At.Add(-time.Duration(n.HeardMS) * time.Millisecond)
	return fmt.Sprintf("%s ago, at %s", widget.Span(page.SinceHeard(s, n)), s.At(at))
}

// facts are what is known of a node: of one that is away only what does not
// change while it is.
func facts(f *page.Facts, n cluster.Node) {
	s := f.Scene
	if n.Info != nil {
		info(f, n.Info, n.Online)
	}
	f.Add("meta", n.Meta)
	f.Add("leads", strings.Join(n.Leads, ", "))
	if n.Online {
		f.Add("load", fmt.Sprintf("%.0f %% of a core, %s resident, %s", n.CPU, widget.Size(n.Memory), widget.Plural(n.Conns, "client", "clients")))
		f.Add("disk", fmt.Sprintf("%s of %s", widget.Size(n.Disk), widget.Size(n.DiskMax)))
	}
	if n.Started != 0 {
		text := s.Clock(n.Started)
		if n.Online {
			text += ", " + widget.Span(s.Since(n.Started)) + " ago"
		}
		f.Add("started", text)
	}
	f.Add("server id", n.ID)
}

func info(f *page.Facts, i *cluster.Info, online bool) {
	s := f.Scene
	f.Add("version", fmt.Sprintf("%s, process %d", i.Version, i.PID))
	listen := i.Listen
	if i.Loopback {
		listen += ", reached from this machine alone"
	}
	f.Add("listens", listen)
	tls := "no TLS"
	if i.TLS {
		tls = "TLS"
	}
	if i.CertUntil != 0 {
		tls += ", certificate until " + i.CertUntil.Time().In(s.Now.Location()).Format("2 Jan 2006")
	}
	f.Add("admission", string(i.BusAuth)+", "+tls)
	if online {
		f.Add("serves", serving(i.Serving))
	}
	if online && i.ProvenMS >= 0 && i.Serving.Backend == core.BackendKV {
		f.Add("proven", fmt.Sprintf("what admission reads was current %s ago", widget.Age(time.Duration(i.ProvenMS)*time.Millisecond)))
	}
	f.Add("configured", fmt.Sprintf("--store %s --replicas %d", i.Store, i.Replicas))
	if j := i.Journal; j != nil {
		f.Add("journal", fmt.Sprintf("authority %s, named node %s, generation %d", j.Backend, j.Node, j.Generation))
	}
	sync := "synced"
	if !i.SyncWrites {
		sync = s.P(theme.Warn, "not synced: acknowledged writes may be lost on a power cut")
	}
	f.Add("writes", sync)
}

// serving is what a node serves. A file that lies beside KV is not served.
func serving(x cluster.Serving) string {
	text := string(x.Backend)
	if x.File != "" && x.Backend == core.BackendSQLite {
		text += ", " + x.File
	}
	if x.Reason != "" {
		text += ": " + widget.Clean(x.Reason)
	}
	return text
}

func impact(s page.Scene, n cluster.Node) []string {
	if s.Impact == nil || !n.Online {
		return nil
	}
	head := []string{"", " " + s.P(theme.Dim, "IF "+strings.ToUpper(n.Name)+" STOPS")}
	return append(head, s.Prose(theme.Plain, s.Impact(s.Snap.Status.Value.View, n.Name))...)
}
