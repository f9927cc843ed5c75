package page

import (
	"fmt"
	"strings"
	"time"

	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// List is the common part of every page that lists rows and opens one of them.
// A page embeds it, sets the functions below, and overrides the methods in which
// it differs. Begin with the page of the buckets for the plain case.
type List struct {
	Table     *widget.Table
	Kind      string                              // the action.Selection kind of the rows; "" when no action applies to them
	Subject   string                              // "the users": named while the first answer is awaited
	MaxAge    time.Duration                       // an older answer is stale
	RowsEvery time.Duration                       // the ages in the rows are redrawn this often
	CopyHint  string                              // the hint for y while a row is open; "" for none
	Source    func(*feed.Snapshot) feed.Freshness // the topic that the rows come from
	Rows      func(Scene) []widget.Row
	Summary   func(Scene) []string              // the lines above the table
	Detail    func(s Scene, id string) []string // the lines of the open row; nil when it is gone
	Gone      string                            // shown for an open row that is gone
	OnOpen    func(s Scene, id string)          // nil, or called before a row opens

	OpenID string // the key of the open row, "" while the list is shown
	memo   Memo
}

// Load refills the table if its rows may have changed.
func (l *List) Load(s Scene) {
	if !l.memo.Fresh(s, l.RowsEvery, "", l.Source(s.Snap).N) {
		l.Table.Load(l.Rows(s), s.Filter)
	}
}

// View draws the list or the open row.
func (l *List) View(s Scene) string {
	source := l.Source(s.Snap)
	if waiting := s.Await(l.Subject, source); waiting != nil {
		return s.Keep(waiting)
	}
	l.Load(s)
	lines := s.Stale(source, l.MaxAge)
	if l.OpenID != "" {
		return s.Keep(append(lines, l.detail(s)...))
	}
	lines = append(lines, l.Summary(s)...)
	return s.Keep(append(lines, l.Table.View(s.Theme, s.W, s.H-len(lines))))
}

func (l *List) detail(s Scene) []string {
	if lines := l.Detail(s, l.OpenID); lines != nil {
		return lines
	}
	return s.Prose(theme.Plain, l.Gone+" Esc goes back.")
}

// FilterText says how many rows match the filter, "" without one.
func (l *List) FilterText(s Scene) string {
	if s.Filter == "" {
		return ""
	}
	return fmt.Sprintf(" %s match /%s.", widget.Count(l.Table.Len()), s.Filter)
}

// Key moves the cursor, sorts, marks and opens.
func (l *List) Key(s Scene, key string) Effect {
	l.Load(s)
	switch {
	case l.OpenID != "":
		return Effect{}
	case key == "enter":
		l.Open(s, l.Table.Selected())
		return Effect{Handled: true}
	}
	return Effect{Handled: l.Table.Key(key)}
}

// Open opens a row. The table may lack it, because the filter hides it.
func (l *List) Open(s Scene, id string) {
	l.Load(s)
	l.Table.Select(id)
	if l.OnOpen != nil {
		l.OnOpen(s, id)
	}
	l.OpenID = id
}

// Back closes the open row. It returns false if none was open.
func (l *List) Back() bool {
	wasOpen := l.OpenID != ""
	l.OpenID = ""
	return wasOpen
}

// Hints are the keys that work on the page now, without those of its actions.
func (l *List) Hints(Scene) []Hint {
	if l.OpenID != "" {
		hints := []Hint{{Key: "esc", Does: "back"}}
		if l.CopyHint != "" {
			hints = append(hints, Hint{Key: "y", Does: l.CopyHint})
		}
		return hints
	}
	hints := []Hint{{Key: "enter", Does: "open"}}
	if l.Table.Markable {
		hints = append(hints, Hint{Key: "m M", Does: "mark"})
	}
	return append(hints, Hint{Key: "s S", Does: "sort"})
}

// Current is the key of the open row, else of the selected one. The cursor may be
// on another row than the open one, because the filter hides that or it is gone.
func (l *List) Current() string {
	if l.OpenID != "" {
		return l.OpenID
	}
	return l.Table.Selected()
}

// Selection is the open row, else the marked rows, else the selected one.
func (l *List) Selection(s Scene) action.Selection {
	if l.Kind == "" {
		return action.Selection{}
	}
	l.Load(s)
	if marked := l.Table.Marked(); l.OpenID == "" && len(marked) > 0 {
		return action.Selection{Kind: l.Kind, IDs: marked}
	}
	if id := l.Current(); id != "" {
		return action.Selection{Kind: l.Kind, IDs: []string{id}}
	}
	return action.Selection{}
}

// Marked is how many of the listed rows are marked.
func (l *List) Marked() int { return len(l.Table.Marked()) }

// Unmark removes all marks. It returns false if no listed row is marked.
func (l *List) Unmark() bool {
	if l.Marked() == 0 {
		return false
	}
	l.Table.ClearMarks()
	return true
}

// Done removes the marks of the rows that an action has changed.
func (l *List) Done(did action.Selection) {
	if did.Kind == l.Kind {
		l.Table.Unmark(did.IDs)
	}
}

// Want is nothing beyond the topics that are always polled.
func (l *List) Want() feed.Want { return feed.Want{} }

// Copy returns the ids of the selection.
func (l *List) Copy(s Scene) (what, text string) { return CopyIDs(l.Selection(s)) }

// CopyIDs returns the text that y copies for a selection, and a name for it.
func CopyIDs(sel action.Selection) (what, text string) {
	if len(sel.IDs) > 1 {
		what = widget.Count(len(sel.IDs)) + " ids"
	} else {
		what = "the id"
	}
	return what, strings.Join(sel.IDs, "\n")
}
