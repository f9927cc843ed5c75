package page

import (
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/widget"
)

// Browse is what a page does that lists things of the status and opens one of
// them: a page embeds it, fills the table, and draws the list or the open one.
type Browse struct {
	Kind  string        // of action.Selection: node, bucket
	Table *widget.Table // the list
	Shown string        // the id of the open one, "" while the list is shown
	Fill  func(s Scene) // loads the table from the scene
}

// Key moves and opens.
func (b *Browse) Key(s Scene, key string) Effect {
	b.Fill(s)
	if b.Shown != "" {
		return Effect{}
	}
	if key == "enter" {
		b.Shown = b.Table.Selected()
		return Effect{Handled: true}
	}
	return Effect{Handled: b.Table.Key(key, s.H-3, false)}
}

// Open shows one.
func (b *Browse) Open(s Scene, id string) {
	b.Fill(s)
	b.Table.Select(id)
	b.Shown = id // the table may not have it: a filter hides it
}

// Back closes the open one.
func (b *Browse) Back() bool {
	was := b.Shown != ""
	b.Shown = ""
	return was
}

// Hints are the page's own keys.
func (b *Browse) Hints(Scene) []Hint {
	if b.Shown != "" {
		return []Hint{{Key: "esc", Does: "back"}}
	}
	return []Hint{{Key: "enter", Does: "open"}, {Key: "s S", Does: "sort"}}
}

// Chosen is the open one, else the selected row. The cursor may be elsewhere while
// one is open: its row may be filtered out, or have gone.
func Chosen(open string, t *widget.Table) string {
	if open != "" {
		return open
	}
	return t.Selected()
}

// Selection is the open one, else the selected one.
func (b *Browse) Selection(s Scene) action.Selection {
	b.Fill(s)
	if id := Chosen(b.Shown, b.Table); id != "" {
		return action.Selection{Kind: b.Kind, IDs: []string{id}}
	}
	return action.Selection{}
}

// Want is nothing beyond the status.
func (b *Browse) Want() feed.Want { return feed.Want{} }

// Done has no marks to take away.
func (b *Browse) Done(action.Selection) {}

// Copy is the id of the open one, else of the selected one.
func (b *Browse) Copy(s Scene) (string, string) {
	id := b.Selection(s).One(b.Kind)
	return id, id
}
