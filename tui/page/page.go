package page

import (
	"unibus/tui/action"
	"unibus/tui/feed"
)

// Effect is what a key did.
type Effect struct {
	Handled bool
	Goto    string // another page to open
	Open    string // what to open there
}

// Hint is one key for the foot.
type Hint struct{ Key, Does string }

// Page is one of the console's pages.
type Page interface {
	Name() string
	View(s Scene) string
	Key(s Scene, key string) Effect
	Open(s Scene, id string)            // shows the detail of one thing
	Back() bool                         // closes what is open; false where nothing was
	Hints(s Scene) []Hint               // its own keys that work now, actions not among them
	Selection(s Scene) action.Selection // what actions are done to
	Want() feed.Want                    // the lists it shows
	Done(did action.Selection)          // an action was done to these: their marks go away
	Copy(s Scene) (what, text string)   // what y copies, "" for nothing
}

// Marker is a page on which things can be marked.
type Marker interface {
	Marked() int  // how many are
	Unmark() bool // takes all marks away; false where there were none
}
