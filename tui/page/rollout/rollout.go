// Package rollout is the page about enabling enforce mode: whether that is safe, how
// each node's settings differ from the declared ones, and which clients enforce would
// deny.
package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Page keeps the table of clients that enforce would deny.
type Page struct{ page.List }

// New creates the page.
func New() *Page {
	m := &Page{}
	m.List = page.List{
		Subject: "the rollout report of every node", MaxAge: page.ListMaxAge, RowsMaxAge: 5 * time.Second, CopyHint: "copy key",
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.Rollout.Freshness },
		Rows:      rows, Empty: emptyText, Summary: m.summary, Detail: detail, Gone: "This client is no longer listed: it was added as a user, or has not connected for a day.",
		Table: widget.NewTable("",
			widget.Column{Title: "NODE"}, widget.Column{Title: "KEY"}, widget.Column{Title: "ADDRESS", Max: 39}, widget.Column{Title: "COUNT", Right: true},
			widget.Column{Title: "FIRST", Right: true}, widget.Column{Title: "LAST", Right: true}, widget.Column{Title: "REASON", Min: 10}),
		ExportFields: []string{"node", "key", "address", "reason", "count", "first", "last"}, ExportRow: exportRow, ExportNote: exportNote,
	}
	return m
}

func exportRow(rc page.RenderContext, key string) []any {
	node, d, found := findClient(rc, key)
	if !found {
		return nil
	}
	return []any{node, d.Key, d.Addr, d.Reason, d.Count, d.First, d.Last}
}

// exportNote names the nodes that did not report, or reported not all.
func exportNote(rc page.RenderContext) string {
	r := rc.Snapshot.Rollout.Value
	var lacks []string
	for _, name := range nodeNames(r) {
		switch n := r.Nodes[name]; {
		case n.Unknown:
			lacks = append(lacks, name+" did not report.")
		case n.More > 0:
			lacks = append(lacks, fmt.Sprintf("%s has %s more than it reports.", name, widget.FormatCount(n.More)))
		}
	}
	return strings.Join(lacks, " ")
}

// Name returns "rollout".
func (m *Page) Name() action.PageName { return action.PageRollout }

func nodeNames(r admin.Rollout) []string { return slices.Sorted(maps.Keys(r.Nodes)) }

func clientKey(node string, d admin.Denied) string {
	return strings.Join([]string{node, d.Key, d.Addr, d.Reason}, " ")
}

func rows(rc page.RenderContext) []widget.Row {
	r := rc.Snapshot.Rollout.Value
	var out []widget.Row
	for _, n := range nodeNames(r) {
		for _, d := range r.Nodes[n].WouldDeny {
			out = append(out, row(rc, n, d))
		}
	}
	return out
}

func findClient(rc page.RenderContext, id string) (node string, d admin.Denied, found bool) {
	r := rc.Snapshot.Rollout.Value
	for _, n := range nodeNames(r) {
		for _, d := range r.Nodes[n].WouldDeny {
			if clientKey(n, d) == id {
				return n, d, true
			}
		}
	}
	return "", admin.Denied{}, false
}

func row(rc page.RenderContext, node string, d admin.Denied) widget.Row {
	k := widget.Cell{Text: "none", Tone: theme.Faint}
	if d.Key != "" {
		k = widget.Cell{Text: widget.TruncateMiddle(rc.Theme, d.Key, 11)}
	}
	return widget.Row{Key: clientKey(node, d), Cells: []widget.Cell{
		{Text: node},
		k,
		{Text: d.Addr},
		widget.Number(float64(d.Count), widget.FormatCount(d.Count), ""),
		widget.AgeCell(rc.AgeOf(d.First)), widget.AgeCell(rc.AgeOf(d.Last)),
		{Text: d.Reason},
	}}
}

// emptyText says why the table is empty, and what would fill it.
func emptyText(rc page.RenderContext) string {
	r := rc.Snapshot.Rollout.Value
	text := "None so far."
	noReport := nodesWhere(r, func(n admin.RolloutNode) bool {
		return n.Unknown || n.Active[admin.FlagBusAuth] == string(core.BusAuthOff)
	})
	switch {
	case len(noReport) > 0:
		text = "None known; " + strings.Join(noReport, ", ") + " did not report."
	case len(nodesWhere(r, func(n admin.RolloutNode) bool { return n.Active[admin.FlagBusAuth] == string(core.BusAuthSoft) })) == 0:
		return "Nodes in enforce mode record nothing: they deny unknown clients at once. A node in soft mode lists the clients here that enforce would deny."
	}
	return text + " Clients that a node in soft mode admits, but enforce would deny, appear here with the reason."
}

func (m *Page) summary(rc page.RenderContext) []string {
	r := rc.Snapshot.Rollout.Value
	lines := append(verdictLines(rc, r), "")
	lines = append(lines, settingsTable(rc, r)...)
	match := ""
	if rc.Filter != "" {
		match = fmt.Sprintf("   %s match /%s", widget.FormatCount(m.Table.Len()), widget.Sanitize(rc.Filter))
	}
	return append(lines, "", " "+rc.Paint(theme.Dim, "WOULD BE DENIED"+match))
}

func detail(rc page.RenderContext, id string) []string {
	node, d, found := findClient(rc, id)
	if !found {
		return nil
	}
	k := d.Key
	if k == "" {
		k = "none was presented"
	}
	lines := []string{" " + rc.Paint(theme.Warn, rc.Theme.Glyphs.Degraded+" would be denied") + "  " + rc.Paint(theme.Strong, widget.Sanitize("by "+node)), ""}
	f := page.LabeledLines{Context: rc, LabelWidth: 7}
	f.Add("key", widget.Sanitize(k))
	f.Add("address", widget.Sanitize(d.Addr))
	f.Add("reason", widget.Sanitize(d.Reason))
	f.Add("seen", widget.Plural(d.Count, "time", "times"))
	f.Add("first", rc.FormatMillis(d.First)+", "+widget.FormatAge(rc.AgeOf(d.First))+" ago")
	f.Add("last", rc.FormatMillis(d.Last)+", "+widget.FormatAge(rc.AgeOf(d.Last))+" ago")
	return append(lines, f.Lines...)
}

// KeyHints offer to copy the key in the list, too: adding the user begins with
// it.
func (m *Page) KeyHints(rc page.RenderContext) []page.KeyHint {
	switch hints := m.List.KeyHints(rc); {
	case m.OpenID != "":
		return hints
	case m.Table.Len() == 0:
		return nil
	default:
		return append(hints, page.KeyHint{Key: "y", Does: m.CopyHint})
	}
}

// Subscription is the rollout.
func (m *Page) Subscription(page.RenderContext) feed.Subscription {
	return feed.Subscription{Rollout: true}
}

// ClipboardText is the key of the open or selected client, or its address if it
// showed no key.
func (m *Page) ClipboardText(rc page.RenderContext) (what, text string) {
	m.RefreshRows(rc)
	switch _, d, found := findClient(rc, m.Current()); {
	case !found:
		return "", ""
	case d.Key == "":
		return "the address", widget.Sanitize(d.Addr)
	default:
		return "the key", widget.Sanitize(d.Key)
	}
}
