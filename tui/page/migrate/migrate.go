// Package migrate is the page of the move from SQLite to KV: where it stands,
// what that means, how far the copy is, whether every node holds the same, and
// what can be done now. The move is a job of the daemon: leaving the page leaves it running.
package migrate

import (
	"fmt"
	"slices"
	"strings"

	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Model is the page.
type Model struct{ scroll widget.Scroll }

// New makes the page.
func New() *Model { return &Model{} }

// Name is migrate.
func (m *Model) Name() string { return "migrate" }

// View draws the move from its timeline down to the keys that differ, and under it what can be done.
func (m *Model) View(s page.Scene) string {
	if wait := s.Await("the state of the move", s.Snap.Migration.Freshness); wait != nil {
		return s.Keep(wait)
	}
	buttons := m.buttons(s)
	room := max(1, s.H-len(buttons)-1)
	body := m.body(s, room)
	lines := strings.Split(widget.Fit(s.Theme, strings.Join(m.scroll.Lines(s.Theme, body, room), "\n"), s.W, room), "\n")
	return s.Keep(append(append(lines, ""), buttons...))
}

// body is what stands above the buttons. Where there is no room for all of it,
// the files and figures that nobody waits for go below what is compared.
func (m *Model) body(s page.Scene, room int) []string {
	lines := s.Stale(s.Snap.Migration.Freshness, page.Fresh)
	st := s.Snap.Migration.Value
	if st.State == "" || st.State == migrate.StateNone {
		return append(lines, begin(s, st)...)
	}
	lines = append(lines, timeline(s, st)...)
	top := len(lines)
	lines = append(lines, standing(s, st)...)
	lines = append(lines, problems(s, st)...)
	if st.State == migrate.StatePreflight || st.Error != nil {
		lines = append(lines, drift(s, st)...)
	}
	files, work := facts(s, st), append(progress(s, st), parity(s, st)...)
	if len(lines)+len(files)+len(work) > room {
		files, work = work, files
	}
	lines = append(append(lines, files...), work...)
	if st.State != migrate.StatePreflight && st.Error == nil {
		lines = append(lines, drift(s, st)...)
	}
	if len(lines) < room {
		lines = slices.Insert(lines, top, "")
	}
	return lines
}

// standing is the sentence about the state, and why it stopped where it has.
func standing(s page.Scene, st migrate.Status) []string {
	if gone := away(s, st); gone != nil {
		return append(gone, stopped(s, st)...)
	}
	lines := s.Prose(theme.Strong, st.Sentence())
	if st.Running && st.Result != "" && st.Error == nil && !st.Told() {
		lines = append(lines, s.Prose(theme.Plain, st.Result)...)
	}
	return append(lines, stopped(s, st)...)
}

// away says that the node which does the move is silent: what stands here is the last that it wrote down.
func away(s page.Scene, st migrate.Status) []string {
	if !action.Orphaned(s.Snap) {
		return nil
	}
	lines := s.Prose(theme.Bad, fmt.Sprintf("%s %s does the move and does not answer. This is what it wrote down last, in %s.", s.Theme.Glyphs.Critical, st.Node, st.State))
	return append(lines, s.Prose(theme.Accent, "Do: start unibusd on "+st.Node)...)
}

func stopped(s page.Scene, st migrate.Status) []string {
	if st.Error == nil {
		return nil
	}
	var lines []string
	if len(st.Problems) == 0 { // else they say it better
		lines = s.Prose(theme.Bad, s.Theme.Glyphs.Critical+" "+st.Error.Text)
	}
	if st.Error.Next != "" {
		lines = append(lines, s.Prose(theme.Accent, "Do: "+st.Error.Next)...)
	}
	return lines
}

// Key scrolls.
func (m *Model) Key(_ page.Scene, key string) page.Effect {
	return page.Effect{Handled: m.scroll.Key(key)}
}

// Open does nothing.
func (m *Model) Open(page.Scene, string) {}

// Back scrolls to the top.
func (m *Model) Back() bool {
	return m.scroll.Back()
}

// Hints say that the move needs nobody to watch it.
func (m *Model) Hints(s page.Scene) []page.Hint {
	if s.Snap.Migration.Value.Running && !action.Orphaned(s.Snap) {
		return []page.Hint{{Key: "esc", Does: "leave, it goes on"}}
	}
	return nil
}

// Selection is nothing: actions work on the move.
func (m *Model) Selection(page.Scene) action.Selection { return action.Selection{} }

// Want is nothing beyond what is always asked for.
func (m *Model) Want() feed.Want { return feed.Want{} }

// Done has no marks to take away.
func (m *Model) Done(action.Selection) {}

// Copy is the path of the backup.
func (m *Model) Copy(s page.Scene) (string, string) {
	return "the backup's path", s.Snap.Migration.Value.Backup.Path
}
