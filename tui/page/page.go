package page

import (
	"unibus/tui/action"
	"unibus/tui/feed"
)

// KeyResult is what a key did.
type KeyResult struct {
	Handled bool
	Goto    action.PageName // the page to open
	OpenRow string          // the row to open there
	Notice  string          // why the key did nothing, or not all of it
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
	ListsItsActions() bool                              // the page itself shows the keys of its actions
	Selection(rc RenderContext) action.Selection        // the objects that actions apply to
	Subscription(rc RenderContext) feed.Subscription    // the lists that the page shows
	ActionDone(changed action.Selection)                // an action changed these objects: their marks go
	ClipboardText(rc RenderContext) (what, text string) // what y copies, "" for nothing
}

// MarkClearer is a page that may have marked rows.
type MarkClearer interface {
	Marked(rc RenderContext) int      // the number of marked rows
	ClearMarks(rc RenderContext) bool // returns false if no row is marked
}
