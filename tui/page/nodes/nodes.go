// Package nodes is the page of the nodes. The detail of a node also tells what would
// stop if the node stopped.
package nodes

import (
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Page keeps the table of nodes.
type Page struct{ page.List }

// New creates the page.
func New() *Page {
	cols := page.NodeColumns()
	last := len(cols) - 1
	cols = append(cols[:last:last], widget.Column{Title: "SERVES"}, widget.Column{Title: "UP", Right: true}, widget.Column{Title: "LISTENS", Min: 10}, cols[last])
	return &Page{page.List{
		Kind: action.KindNode, Subject: "the nodes", MaxAge: page.StatusMaxAge, RowsMaxAge: time.Second,
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.Status.Freshness },
		Rows:      rows, Summary: summary, Detail: detail, Below: ifNodesStop, Gone: "This node is no longer known.",
		Table:        widget.NewTable(page.NoNodes, cols...),
		CommandOf:    func(_ page.RenderContext, id string) string { return "unibusd node plan stop " + core.ShellQuote(id) },
		ExportFields: page.NodeExportFields(), ExportRow: page.NodeExportRow,
	}}
}

// Name returns "nodes".
func (m *Page) Name() action.PageName { return action.PageNodes }

func rows(rc page.RenderContext) []widget.Row {
	var out []widget.Row
	for _, n := range rc.Snapshot.Status.Value.Nodes {
		r := page.NodeRow(rc, n)
		last := len(r.Cells) - 1
		r.Cells = append(r.Cells[:last:last], servesCell(n), uptimeCell(rc.AtStatusTime(), n), listensCell(n), r.Cells[last])
		out = append(out, rc.DimRowIfStale(r))
	}
	return out
}

func uptimeCell(rc page.RenderContext, n cluster.Node) widget.Cell {
	if n.Started == 0 || !n.Online {
		return widget.NoNumber()
	}
	return widget.AgeCell(rc.AgeOf(n.Started))
}

func servesCell(n cluster.Node) widget.Cell {
	if n.Info == nil || !n.Online {
		return widget.Cell{Text: "-", Tone: theme.Faint}
	}
	c := widget.Cell{Text: n.Info.Serving.Backend.Served()}
	if c.Text == core.BackendNone.Served() {
		c.Tone = theme.Dim
	}
	return c
}

func listensCell(n cluster.Node) widget.Cell {
	if n.Info == nil {
		return widget.Cell{Text: "-", Tone: theme.Faint}
	}
	return widget.Cell{Text: n.Info.Listen}
}

func summary(rc page.RenderContext) []string {
	v := rc.Snapshot.Status.Value
	on := 0
	var off []string
	for _, n := range v.Nodes {
		if n.Online {
			on++
		}
		if n.Online && n.Off {
			off = append(off, n.Name)
		}
	}
	text := fmt.Sprintf("%d of %s answer.", on, widget.Plural(max(v.Expected, len(v.Nodes)), "node", "nodes"))
	if len(off) > 0 {
		text += fmt.Sprintf(" JetStream is off on %s.", widget.JoinNames(off))
	}
	if v.Clustered {
		text += fmt.Sprintf(" The meta group needs %d of %d.", v.Meta.Needed, v.Meta.Size)
	}
	return append(rc.DimIfStale(rc.Paragraph(theme.Plain, text)), "")
}

func detail(rc page.RenderContext, id string) []string {
	for _, n := range rc.Snapshot.Status.Value.Nodes {
		if n.Name == id {
			return nodeDetail(rc, n)
		}
	}
	return nil
}

// ifNodesStop says of each node what stops with it; nothing where not all of them fit.
func ifNodesStop(rc page.RenderContext, h int) []string {
	v := rc.Snapshot.Status.Value.View
	out := []string{"", " " + rc.Paint(theme.Dim, "IF A NODE STOPS")}
	width := 0
	for _, n := range v.Nodes {
		width = max(width, min(16, widget.Width(widget.Sanitize(n.Name))))
	}
	for _, n := range v.Nodes {
		plan, err := cluster.PlanStop(v, n.Name)
		if err != nil {
			continue
		}
		tone := theme.Plain
		if !plan.Safe {
			tone = theme.Warn
		}
		lead := " " + rc.Paint(theme.Dim, widget.PadRight(widget.Truncate(rc.Theme, widget.Sanitize(n.Name), width), width)) + "  "
		for _, l := range widget.Wrap(widget.GroupCounts(widget.Sanitize(plan.Text)), rc.Width-width-4) {
			out, lead = append(out, lead+rc.Paint(tone, l)), strings.Repeat(" ", width+3)
		}
	}
	if len(out) > h || len(out) == 2 {
		out = nil
	}
	if explained := rc.Explanations(false); len(out)+len(explained) <= h {
		out = append(out, explained...)
	}
	return rc.DimIfStale(out)
}

func nodeDetail(rc page.RenderContext, n cluster.Node) []string {
	g, word, tone := rc.Theme.Glyphs.Healthy, "answers", theme.Good
	switch {
	case !n.Online:
		g, word, tone = rc.Theme.Glyphs.Absent, "does not answer", theme.Bad
	case n.Off:
		g, word, tone = rc.Theme.Glyphs.Degraded, "answers, and has turned JetStream off", theme.Warn
	}
	lines := rc.DimIfStale([]string{" " + rc.Paint(tone, g+" "+widget.Sanitize(n.Name)) + "  " + rc.Paint(theme.Strong, word), ""})
	f := page.LabeledLines{Context: rc.AtStatusTime(), LabelWidth: 12}
	if !n.Online || rc.StatusIsStale() {
		f.Add("last heard", lastHeardText(rc, n))
	}
	if m, drained := rc.Snapshot.Status.Value.InMaintenance(n.Name); drained {
		f.Add("maintenance", fmt.Sprintf("by %s since %s, until %s", m.By, rc.FormatTime(m.Since.Time()), rc.FormatTime(m.Until.Time())))
	}
	addUnheard(&f, n)
	reported := len(f.Lines)
	addFacts(&f, n)
	if n.Online {
		return append(append(lines, rc.DimIfStale(f.Lines)...), rc.DimIfStale(impactLines(rc, n))...)
	}
	lines = append(lines, f.Lines[:reported]...)
	if len(f.Lines) > reported {
		lines = append(append(lines, "", " "+rc.Paint(theme.Dim, "LAST REPORT")), rc.Dim(f.Lines[reported:])...)
	}
	return lines
}

// addUnheard adds which nodes do not hear it, and why.
func addUnheard(f *page.LabeledLines, n cluster.Node) {
	for _, u := range n.Unheard {
		text := "by " + u.By
		if u.Addr != "" && u.Detail != "" {
			text += fmt.Sprintf(" at %s: %s", u.Addr, u.Detail)
		}
		f.Add("not heard", text)
	}
}

// lastHeardText is when a node last answered.
func lastHeardText(rc page.RenderContext, n cluster.Node) string {
	if n.HeardMS < 0 {
		return "never"
	}
	at := rc.Snapshot.Status.ReceivedAt.Add(-time.Duration(n.HeardMS) * time.Millisecond)
	return fmt.Sprintf("%s ago, at %s", widget.FormatDuration(page.SinceLastAnswer(rc, n)), rc.FormatTime(at))
}

// addFacts adds what is known of a node. For a node that is down it adds only
// what cannot change meanwhile.
func addFacts(f *page.LabeledLines, n cluster.Node) {
	rc := f.Context
	if n.Info != nil {
		addInfo(f, n.Info, n.Online)
	}
	f.Add("meta", n.Meta)
	f.Add("leads", strings.Join(n.Leads, ", "))
	if n.Online {
		f.Add("load", fmt.Sprintf("%.0f %% of a core, %s resident, %s", n.CPU, widget.FormatSize(n.Memory), widget.Plural(n.Conns, "client", "clients")))
		f.Add("JetStream", fmt.Sprintf("%s of the %s that it may use", widget.FormatSize(n.Disk), widget.FormatSize(n.DiskMax)))
		addDisks(f, n)
	}
	if n.Started != 0 {
		text := rc.FormatMillis(n.Started)
		if n.Online {
			text += ", " + widget.FormatDuration(rc.AgeOf(n.Started)) + " ago"
		}
		f.Add("started", text)
	}
	f.Add("server id", n.ID)
}

// addDisks adds each file system that a node writes to.
func addDisks(f *page.LabeledLines, n cluster.Node) {
	if n.Info == nil || n.Info.DiskComparison == nil {
		return
	}
	for _, d := range n.Info.DiskComparison.Disks {
		text := fmt.Sprintf("%s of %s free at %s", widget.FormatSize(d.Free), widget.FormatSize(d.Total), widget.Sanitize(d.Path))
		if d.Level() != cluster.Healthy {
			text = f.Context.Paint(theme.Warn, text)
		}
		f.Add("disk", text)
	}
}

func addInfo(f *page.LabeledLines, i *cluster.Info, online bool) {
	rc := f.Context
	f.Add("version", fmt.Sprintf("%s, process %d", i.Version, i.PID))
	listen := i.Listen
	if i.Loopback {
		listen += ", reachable from this machine only"
	}
	f.Add("listens", listen)
	tls := "no TLS"
	if i.TLS {
		tls = "TLS"
	}
	if i.CertUntil != 0 {
		tls += ", certificate until " + i.CertUntil.Time().In(rc.Now.Location()).Format("2 Jan 2006")
	}
	f.Add("admission", string(i.BusAuth)+", "+tls)
	if online {
		f.Add("serves", servingText(i.Serving))
	}
	if online && i.ProvenMS >= 0 && i.Serving.Backend == core.BackendKV {
		f.Add("proven", fmt.Sprintf("admission data was last proven current %s ago", widget.FormatAge(time.Duration(i.ProvenMS)*time.Millisecond)))
	}
	f.Add("configured", fmt.Sprintf("--store %s --replicas %d", i.Store, i.Replicas))
	if j := i.Journal; j != nil {
		f.Add("authority", recordedText(*j)+", as last recorded")
	}
	sync := "synced"
	if !i.SyncWrites {
		sync = rc.Paint(theme.Warn, "not synced: acknowledged writes may be lost on a power cut")
	}
	f.Add("writes", sync)
}

// recordedText is the authority that a node's journal names.
func recordedText(a core.Authority) string {
	store := map[core.Backend]string{core.BackendKV: "KV", core.BackendSQLite: "SQLite on " + a.Node}[a.Backend]
	if store == "" {
		store = "no store"
	}
	return fmt.Sprintf("%s, generation %d", store, a.Generation)
}

// servingText is what a node serves. A SQLite file beside KV is not served.
func servingText(x cluster.Serving) string {
	text := x.Backend.Served()
	if x.File != "" && x.Backend == core.BackendSQLite {
		text += ", " + x.File
	}
	if x.Reason != "" {
		text += ": " + widget.Sanitize(x.Reason)
	}
	return text
}

func impactLines(rc page.RenderContext, n cluster.Node) []string {
	head := []string{"", " " + rc.Paint(theme.Dim, "IF "+strings.ToUpper(n.Name)+" STOPS")}
	return append(head, rc.Paragraph(theme.Plain, cluster.Impact(rc.Snapshot.Status.Value.View, n.Name))...)
}
