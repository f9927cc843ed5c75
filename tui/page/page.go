package page

import (
	"time"

	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/widget"
)

// KeyResult is what a key did.
type KeyResult struct {
	Handled bool
	Goto    action.PageName // the page to open
	OpenRow string          // the row to open there
	Enter   bool            // act as if enter had been pressed
	Notice  string          // why the key did nothing, or not all of it
	Command string          // to offer in the command line
	Guide   []string        // the guide to open, with its arguments
}

// KeyHint is one key in the footer.
type KeyHint struct{ Key, Does string }

// Page is one page of the console.
type Page interface {
	Name() action.PageName
	View(rc RenderContext) string // may change what Subscription returns: more members to match a filter, say
	HandleKey(rc RenderContext, key string) KeyResult
	OpenRow(rc RenderContext, id string)                // opens the row with this key
	GoBack() bool                                       // undoes the page's last step, such as an open row; false if there is none
	KeyHints(rc RenderContext) []KeyHint                // the keys that work now, without those of actions
	IsFilterable() bool                                 // / filters the rows
	Selection(rc RenderContext) action.Selection        // the objects that actions apply to
	Subscription(rc RenderContext) feed.Subscription    // the lists that the page shows
	ActionDone(changed action.Selection)                // an action changed these objects: their marks go
	ClipboardText(rc RenderContext) (what, text string) // what y copies, "" for nothing
}

// NamedTable is a table whose columns can be chosen.
type NamedTable struct {
	Name    string // among the tables of its page, "" for the list itself
	Table   *widget.Table
	IsShown bool
}

// TableOwner is a page with tables.
type TableOwner interface {
	Tables() []NamedTable
}

// Refresher is a page that shows answers of its own, besides the status.
type Refresher interface {
	Refreshed(rc RenderContext) (f feed.Freshness, maxAge time.Duration)
}

// Copy is a text for the clipboard.
type Copy struct{ What, Text string }

// MoreCopier is a page that has more than ClipboardText for the clipboard.
type MoreCopier interface {
	MoreCopies(rc RenderContext) []Copy
}

// Clicker is a page whose rows can be clicked. drawn is the page as text, and line the one that was clicked.
type Clicker interface {
	Click(drawn []string, line int) KeyResult
}

// Counter is a page whose list may be longer than what it shows.
type Counter interface {
	Listed(rc RenderContext) (shown, all int)
}

// MarkClearer is a page that may have marked rows.
type MarkClearer interface {
	Marked(rc RenderContext) int      // the number of marked rows
	ClearMarks(rc RenderContext) bool // returns false if no row is marked
}
