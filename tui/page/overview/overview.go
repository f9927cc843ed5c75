// Package overview is the first page: the verdict as a sentence, the next step, the
// figures behind the verdict, the nodes, and the latest events.
package overview

import (
	"strings"
	"time"

	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Page keeps the table of nodes, and whether all findings are shown.
type Page struct {
	page.List           // the nodes
	findingsOpen   bool // the page shows all findings instead
	findingsScroll widget.Scroll
}

// New creates the page.
func New() *Page {
	return &Page{List: page.List{
		Kind: action.KindNode, RowsMaxAge: time.Second, Rows: rows,
		ExportFields: page.NodeExportFields(), ExportRow: page.NodeExportRow,
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.Status.Freshness },
		Table:     widget.NewTable(page.NoNodes, page.NodeColumns()...),
	}}
}

// Name returns "overview".
func (m *Page) Name() action.PageName { return action.PageOverview }

func rows(rc page.RenderContext) []widget.Row {
	var out []widget.Row
	for _, n := range rc.Snapshot.Status.Value.Nodes {
		out = append(out, page.NodeRow(rc, n))
	}
	return out
}

// View draws the page.
func (m *Page) View(rc page.RenderContext) string {
	if wait := rc.WaitingLines("the first answer", rc.Snapshot.Status.Freshness); wait != nil {
		return rc.Fit(wait)
	}
	if m.findingsOpen {
		return m.allFindings(rc)
	}
	m.RefreshRows(rc)
	var lines []string
	if !rc.HasVerdict {
		lines = append(verdictLines(rc), "")
	}
	lines = append(lines, rc.DimIfStale(summaryLines(rc.AtStatusTime()))...)
	lines = append(lines, "")
	remaining := rc.Height - len(lines)
	tableHeight := min(m.Table.Len()+1, max(3, remaining-3))
	table := m.Table.View(rc.Theme, rc.Width, min(tableHeight, max(2, remaining)))
	lines = append(lines, table)
	return rc.Fit(append(lines, belowNodes(rc, remaining-1-strings.Count(table, "\n"))...))
}

// eventLines is how many lines the events have at least where the screen has room for more
// than the findings.
const eventLines = 6

// belowNodes fills h lines: the findings that the sentence omits come first, what happened
// last. Between them a large screen has the replicas and what moved.
func belowNodes(rc page.RenderContext, h int) []string {
	out := rc.DimIfStale(findingLines(rc, h))
	reserved := min(eventLines, len(rc.Snapshot.History.Value.Entries)+2)
	blocks := [][]string{rc.DimIfStale(replicaMap(rc)), rc.DimIfStale(trafficCharts(rc)), rc.Explanations(true)}
	if all := leaderTimeline(rc.AtStatusTime(), true); len(out)+lineCount(blocks)+len(all)+reserved <= h {
		blocks = append(blocks, rc.DimIfStale(all))
	} else {
		blocks = append(blocks, rc.DimIfStale(leaderTimeline(rc.AtStatusTime(), false)))
	}
	for _, block := range blocks {
		if len(out)+len(block)+reserved <= h {
			out = append(out, block...)
		}
	}
	return append(out, recentEvents(rc, h-len(out))...)
}

func lineCount(blocks [][]string) (n int) {
	for _, b := range blocks {
		n += len(b)
	}
	return n
}

// verdictLines are the verdict, its meaning and the next step.
func verdictLines(rc page.RenderContext) []string {
	st := rc.Snapshot.Status.Value
	tone, doTone := theme.Strong, theme.Accent
	stale := rc.StaleLines(rc.Snapshot.Status.Freshness, page.StatusMaxAge)
	if stale != nil {
		tone, doTone = theme.Dim, theme.Dim
	}
	text := st.Sentence
	if text == "" {
		text = "The cluster is " + string(st.Verdict) + "."
	}
	lines := append(stale, rc.Paragraph(tone, text)...)
	if st.Do != "" {
		lines = append(lines, rc.Paragraph(doTone, "Do: "+st.Do)...)
	}
	return lines
}

// HandleKey moves in the table of nodes. enter opens the node on its own page.
func (m *Page) HandleKey(rc page.RenderContext, key string) page.KeyResult {
	if m.findingsOpen {
		if words := guideNamed(rc); key == "enter" && words != nil {
			return page.KeyResult{Handled: true, Guide: words}
		}
		return page.KeyResult{Handled: m.findingsScroll.HandleKey(key)}
	}
	m.RefreshRows(rc)
	if key == "f" && len(rc.Snapshot.Status.Value.Findings) > 0 {
		m.findingsOpen, m.findingsScroll = true, widget.Scroll{}
		return page.KeyResult{Handled: true}
	}
	if key == "enter" {
		return page.KeyResult{Handled: true, Goto: action.PageNodes, OpenRow: m.Table.SelectedKey()}
	}
	return page.KeyResult{Handled: m.Table.HandleKey(key)}
}

// GoBack closes the list of findings.
func (m *Page) GoBack() bool {
	wasOpen := m.findingsOpen
	m.findingsOpen = false
	return wasOpen
}

// KeyHints are the page's own keys.
func (m *Page) KeyHints(rc page.RenderContext) []page.KeyHint {
	switch {
	case !rc.Snapshot.Status.Known():
		return nil
	case m.findingsOpen && guideNamed(rc) != nil:
		return []page.KeyHint{{Key: "enter", Does: "guide " + widget.Sanitize(strings.Join(guideNamed(rc), " "))}, {Key: "esc", Does: "back"}}
	case m.findingsOpen:
		return []page.KeyHint{{Key: "esc", Does: "back"}}
	case len(rc.Snapshot.Status.Value.Findings) > 0:
		return []page.KeyHint{{Key: "enter", Does: "open"}, {Key: "f", Does: "findings"}}
	}
	return []page.KeyHint{{Key: "enter", Does: "open"}}
}

// ClipboardText is the verdict's sentence.
func (m *Page) ClipboardText(rc page.RenderContext) (string, string) {
	return "the verdict", rc.Snapshot.Status.Value.Sentence
}
