package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// List is the common part of every page that lists rows and opens one of them.
// A page embeds it, sets the functions below, and overrides the methods in which
// it differs. View needs Freshness, Rows, Summary and Detail; a page that overrides View
// may omit the last two. Begin with the page of the buckets for the plain case.
type List struct {
	Table      *widget.Table
	Kind       string                              // of the rows in Selection, for actions and for y; "" for neither
	Subject    string                              // "the users": named while the first answer is awaited
	MaxAge     time.Duration                       // an older answer is stale
	RowsMaxAge time.Duration                       // ages in the rows are formatted again after this time
	CopyHint   string                              // the hint for y while a row is open; "" for none
	Freshness  func(*feed.Snapshot) feed.Freshness // the topic that the rows come from
	Rows       func(RenderContext) []widget.Row
	Window     func(RenderContext) widget.Window          // in place of Rows, where the node filters and sorts
	Empty      func(RenderContext) string                 // why there are no rows; nil: always the text of the table
	Summary    func(RenderContext) []string               // the lines above the table
	Detail     func(rc RenderContext, id string) []string // the lines of the open row; nil when it is gone
	Below      func(rc RenderContext, h int) []string     // nil, or at most h lines under a table that leaves them
	Gone       string                                     // shown for an open row that is gone
	OnOpen     func(rc RenderContext, id string)          // nil, or called before a row opens

	ListedMarks func(rc RenderContext, marked []string) []string // of a table with marks: the marked rows that match the filter, in the order of the list

	CommandOf    func(rc RenderContext, id string) string // nil, or the command that shows the row, or does it again
	ExportFields []string                                 // the names of what ExportRow returns
	ExportRow    ExportRow                                // nil: the page exports in its own way, or not at all
	ExportNote   func(RenderContext) string               // nil, or what the list lacks, "" for nothing

	OpenID       string // the key of the open row, "" while the list is shown
	detailScroll widget.Scroll
	rowCache     RowCache
}

// RefreshRows refills the table if its rows may have changed.
func (l *List) RefreshRows(rc RenderContext) {
	if l.Empty != nil {
		l.Table.Empty = l.Empty(rc)
	}
	order := ""
	if l.Window != nil {
		order = fmt.Sprint(l.Table.Order())
	}
	switch changed := l.rowCache.Update(rc, l.RowsMaxAge, order, l.Freshness(rc.Snapshot).Answers); {
	case !changed:
	case l.Window != nil:
		l.Table.SetWindow(l.Window(rc), rc.Filter)
	default:
		l.Table.SetRows(l.Rows(rc), rc.Filter)
	}
}

// View draws the list or the open row.
func (l *List) View(rc RenderContext) string {
	freshness := l.Freshness(rc.Snapshot)
	if waiting := rc.WaitingLines(l.Subject, freshness); waiting != nil {
		return rc.Fit(waiting)
	}
	l.RefreshRows(rc)
	lines := rc.StaleLines(freshness, l.MaxAge)
	l.Table.IsStale = freshness.Stale(rc.Now, l.MaxAge)
	if l.OpenID != "" {
		return rc.Fit(append(lines, l.detailScroll.VisibleLines(rc.Theme, l.detail(rc), rc.Height-len(lines))...))
	}
	lines = append(lines, l.Summary(rc)...)
	lines = append(lines, strings.Split(l.Table.View(rc.Theme, rc.Width, rc.Height-len(lines)), "\n")...)
	if l.Below != nil {
		lines = append(lines, l.Below(rc, rc.Height-len(lines))...)
	}
	return rc.Fit(lines)
}

func (l *List) detail(rc RenderContext) []string {
	switch lines := l.Detail(rc, l.OpenID); {
	case lines != nil && l.Table.IsStale:
		return rc.Dim(lines)
	case lines != nil:
		return lines
	}
	return rc.Paragraph(theme.Plain, l.Gone+" Esc goes back.")
}

// FilterText says how many rows match the filter, "" without one.
func (l *List) FilterText(rc RenderContext) string {
	if rc.Filter == "" {
		return ""
	}
	return fmt.Sprintf(" %s match /%s.", widget.FormatCount(l.Table.Len()), rc.Filter)
}

// AwaitedLines say why a window may never come, as with a filter that no node takes.
func (l *List) AwaitedLines(rc RenderContext) []string {
	err := l.Freshness(rc.Snapshot).Err
	if err == nil {
		return nil
	}
	lines := rc.Paragraph(theme.Warn, "So far: "+widget.Sentence(err.Text))
	if err.Next != "" {
		lines = append(lines, rc.Paragraph(theme.Accent, "Do: "+err.Next)...)
	}
	return lines
}

// HandleKey moves the cursor, sorts, marks and opens; in an open row it scrolls.
func (l *List) HandleKey(rc RenderContext, key string) KeyResult {
	l.RefreshRows(rc)
	switch {
	case l.OpenID != "":
		return KeyResult{Handled: l.detailScroll.HandleKey(key)}
	case key == "enter":
		l.OpenRow(rc, l.Table.SelectedKey())
		return KeyResult{Handled: true}
	}
	return KeyResult{Handled: l.Table.HandleKey(key)}
}

// OpenRow opens a row. The table may lack it, because the filter hides it.
func (l *List) OpenRow(rc RenderContext, id string) {
	l.RefreshRows(rc)
	l.Table.Select(id)
	if l.OnOpen != nil {
		l.OnOpen(rc, id)
	}
	l.OpenID, l.detailScroll = id, widget.Scroll{}
}

// GoBack closes the open row. It returns false if none was open.
func (l *List) GoBack() bool {
	wasOpen := l.OpenID != ""
	l.OpenID = ""
	return wasOpen
}

// KeyHints are the keys that work on the page now, without those of its actions.
func (l *List) KeyHints(rc RenderContext) []KeyHint {
	if l.OpenID == "" && (l.Table.Len() == 0 || !l.Freshness(rc.Snapshot).Known()) {
		return nil // there is no row
	}
	if l.OpenID != "" {
		hints := []KeyHint{{Key: "esc", Does: "back"}}
		if l.CopyHint != "" {
			hints = append(hints, KeyHint{Key: "y", Does: l.CopyHint})
		}
		return hints
	}
	hints := []KeyHint{{Key: "enter", Does: "open"}}
	if l.Table.RowsCanBeMarked {
		hints = append(hints, KeyHint{Key: "m M", Does: "mark"})
	}
	return append(hints, KeyHint{Key: "s S", Does: "sort"})
}

// Tables is the list.
func (l *List) Tables() []NamedTable { return []NamedTable{{Table: l.Table, IsShown: l.OpenID == ""}} }

// IsFilterable is true while the list is shown: / filters the rows.
func (l *List) IsFilterable() bool { return l.OpenID == "" }

// Refreshed is how current the list is, and the age at which it is stale.
func (l *List) Refreshed(rc RenderContext) (feed.Freshness, time.Duration) {
	return l.Freshness(rc.Snapshot), l.MaxAge
}

// Current is the key of the open row, else of the selected one. The cursor may be
// on another row than the open one, because the filter hides that or it is gone.
func (l *List) Current() string {
	if l.OpenID != "" {
		return l.OpenID
	}
	return l.Table.SelectedKey()
}

// Click selects the row of a line. enter follows if it is selected already, so the page decides what opens.
func (l *List) Click(drawn []string, line int) KeyResult {
	key, ok := l.Table.RowAt(drawn, line)
	switch {
	case l.OpenID != "" || !ok:
	case key != l.Table.SelectedKey():
		l.Table.Select(key)
	default:
		return KeyResult{Enter: true}
	}
	return KeyResult{}
}

// Listed counts the rows that are shown without scrolling, and all rows.
func (l *List) Listed(rc RenderContext) (shown, all int) {
	l.RefreshRows(rc)
	_, rows := l.Table.Visible()
	return min(rows, l.Table.Len()), l.Table.Len()
}

// Selection is the open row, else the marked rows, else the selected one.
func (l *List) Selection(rc RenderContext) action.Selection {
	if l.Kind == "" {
		return action.Selection{}
	}
	l.RefreshRows(rc)
	if marked := l.markedKeys(rc); l.OpenID == "" && len(marked) > 0 {
		return action.Selection{Kind: l.Kind, IDs: marked}
	}
	if id := l.Current(); id != "" {
		return action.Selection{Kind: l.Kind, IDs: []string{id}}
	}
	return action.Selection{}
}

// Marked is how many of the listed rows are marked.
func (l *List) Marked(rc RenderContext) int { return len(l.markedKeys(rc)) }

func (l *List) markedKeys(rc RenderContext) []string {
	marked := l.Table.MarkedKeys()
	if l.ListedMarks != nil && len(marked) > 0 {
		return l.ListedMarks(rc, marked)
	}
	return marked
}

// ClearMarks removes all marks. It returns false if no listed row is marked.
func (l *List) ClearMarks(rc RenderContext) bool {
	if l.Marked(rc) == 0 {
		return false
	}
	l.Table.ClearMarks()
	return true
}

// ActionDone removes the marks of the rows that an action has changed.
func (l *List) ActionDone(changed action.Selection) {
	if changed.Kind == l.Kind {
		l.Table.Unmark(changed.IDs)
	}
}

// Subscription is empty: the status and the events are always polled.
func (l *List) Subscription(RenderContext) feed.Subscription { return feed.Subscription{} }

// ClipboardText returns the ids of the selection.
func (l *List) ClipboardText(rc RenderContext) (what, text string) { return CopyIDs(l.Selection(rc)) }

// MoreCopies are the row, the command that shows it, and what the page says of the open one.
func (l *List) MoreCopies(rc RenderContext) []Copy {
	l.RefreshRows(rc)
	id := l.Current()
	if id == "" || l.OpenID == "" && l.Marked(rc) > 1 {
		return nil
	}
	var out []Copy
	if row := l.Table.RowText(id); row != "" {
		out = append(out, Copy{"the row", row})
	}
	if l.CommandOf != nil {
		if command := l.CommandOf(rc, id); command != "" {
			out = append(out, Copy{"the command", rc.UnselectedInput.WithFlags(command)})
		}
	}
	if l.OpenID != "" && l.Detail != nil && l.Detail(rc, id) != nil {
		var lines []string
		for _, line := range l.Detail(rc, id) {
			lines = append(lines, strings.TrimRight(ansi.Strip(line), " "))
		}
		out = append(out, Copy{"the report", strings.TrimSpace(strings.Join(lines, "\n"))})
	}
	return out
}

// CopyIDs returns the text that y copies for a selection, and a name for it.
func CopyIDs(sel action.Selection) (what, text string) {
	if len(sel.IDs) > 1 {
		what = widget.FormatCount(len(sel.IDs)) + " ids"
	} else {
		what = "the id"
	}
	return what, strings.Join(sel.IDs, "\n")
}
