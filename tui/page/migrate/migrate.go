// Package migrate is the page of the move from SQLite to KV: where it stands,
// what that means, how far the copy is, and whether every node holds the same.
// The move is a job of the daemon: leaving the page leaves it running.
package migrate

import (
	"fmt"
	"strings"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Model is the page.
type Model struct{ top int }

// New makes the page.
func New() *Model { return &Model{} }

// Name is migrate.
func (m *Model) Name() string { return "migrate" }

// View draws the move from its timeline down to the keys that differ.
func (m *Model) View(s page.Scene) string {
	if wait := page.Await(s, "the state of the move", s.Snap.Migration); wait != nil {
		return s.Keep(wait)
	}
	body := page.Stale(s, s.Snap.Migration, page.Fresh)
	st := s.Snap.Migration.Value
	if st.State == "" || st.State == migrate.StateNone {
		body = append(body, begin(s)...)
	} else {
		body = append(body, moving(s, st)...)
	}
	buttons := m.buttons(s)
	room := max(1, s.H-len(buttons)-1)
	m.top = max(0, min(m.top, len(body)-room))
	shown := body[m.top:min(len(body), m.top+room)]
	if rest := len(body) - m.top - len(shown); rest > 0 {
		shown = append(append([]string(nil), shown[:len(shown)-1]...), " "+s.P(theme.Dim, fmt.Sprintf("%s %d more lines: down", s.Theme.Glyphs.Down, rest+1)))
	}
	lines := strings.Split(widget.Fit(s.Theme, strings.Join(shown, "\n"), s.W, room), "\n")
	return s.Keep(append(append(lines, ""), buttons...))
}

func begin(s page.Scene) []string {
	node, file := action.Source(s.Snap)
	if st := s.Snap.Migration.Value; st.Result != "" || len(st.Problems) > 0 || st.Error != nil { // a dry run
		return append(dry(s, st), problems(s, st)...)
	}
	if node == "" {
		text := "No move was ever started here."
		if a := s.Snap.Status.Value.Authority; a != nil && a.Backend == core.BackendKV {
			text = "The control plane is in KV; there is nothing to move."
		}
		return s.Prose(theme.Strong, text)
	}
	lines := s.Prose(theme.Strong, fmt.Sprintf("The control plane is in SQLite on %s alone: were its disk lost, so were users and rooms.", node))
	lines = append(lines, s.Prose(theme.Plain, "A move takes a backup, copies it to a replica on every node, and compares every row there. SQLite serves all the while. Then it waits for your cutover, and until then it can be given up.")...)
	f := page.Facts{Scene: s, Label: 8}
	f.Add("source", file+" on "+node)
	if c := s.Snap.Status.Value.Counts; c != nil {
		f.Add("holds", fmt.Sprintf("%s, %s, %s, %s", widget.Plural(c.Users, "user", "users"), widget.Plural(c.Rooms, "room", "rooms"), widget.Plural(c.Members, "member", "members"), widget.Plural(c.Keys, "sealed key", "sealed keys")))
	}
	return append(append(lines, ""), f.Lines...)
}

func dry(s page.Scene, st migrate.Status) []string {
	if st.Error == nil {
		return s.Prose(theme.Strong, st.Result)
	}
	lines := s.Prose(theme.Bad, s.Theme.Glyphs.Critical+" "+st.Error.Text)
	if st.Error.Next != "" {
		lines = append(lines, s.Prose(theme.Accent, "Do: "+st.Error.Next)...)
	}
	return lines
}

func moving(s page.Scene, st migrate.Status) []string {
	lines := timeline(s, st)
	lines = append(lines, s.Prose(theme.Strong, Sentence(st))...)
	if st.Running && st.Result != "" && st.Error == nil {
		lines = append(lines, s.Prose(theme.Plain, st.Result)...)
	}
	if st.Error != nil {
		lines = append(lines, s.Prose(theme.Bad, s.Theme.Glyphs.Critical+" "+st.Error.Text)...)
		if st.Error.Next != "" {
			lines = append(lines, s.Prose(theme.Accent, "Do: "+st.Error.Next)...)
		}
	}
	lines = append(lines, problems(s, st)...)
	lines = append(lines, "")
	lines = append(lines, sources(s, st)...)
	lines = append(lines, progress(s, st)...)
	return append(lines, parity(s, st)...)
}

func timeline(s page.Scene, st migrate.Status) []string {
	g := s.Theme.Glyphs
	at := -1
	states := migrate.States()
	for i, x := range states {
		if x == st.State {
			at = i
		}
	}
	parts, width := make([]string, 0, len(states)), 0
	for i, x := range states {
		glyph, tone := g.Absent, theme.Dim
		switch {
		case i < at || st.State == migrate.StateDone || i == at && x == migrate.StateVerify && st.Verified:
			glyph, tone = g.Healthy, theme.Good
		case i == at && st.Error != nil:
			glyph, tone = g.Critical, theme.Bad
		case i == at:
			glyph, tone = g.Half, theme.Accent
		}
		parts = append(parts, s.P(tone, glyph+" "+string(x)))
		width += widget.Width(glyph) + 1 + len(x)
	}
	join := " " + s.P(theme.Faint, g.Rule) + " "
	if width+3*len(parts) > s.W-1 {
		join = "  "
	}
	if width+2*len(parts) > s.W-1 {
		join = " "
	}
	return []string{" " + strings.Join(parts, join)}
}

// Sentence is what a state of a move means to somebody who has to decide.
func Sentence(st migrate.Status) string {
	if st.Error == nil && st.Result != "" && !st.Running {
		return st.Result // the daemon's own word, once it rests
	}
	if st.Error != nil && st.State != migrate.StateAborted {
		return fmt.Sprintf("The move stopped in %s. SQLite on %s still serves; nothing has changed for users.", st.State, st.Node)
	}
	if st.Paused {
		return fmt.Sprintf("Paused in %s. SQLite on %s still serves; nothing has changed for users.", st.State, st.Node)
	}
	switch st.State {
	case migrate.StatePreflight:
		return fmt.Sprintf("Checking whether everything can be moved. SQLite on %s serves; nothing is written yet.", st.Node)
	case migrate.StateBackup:
		return fmt.Sprintf("Taking a backup of SQLite on %s and reading it back. Nothing has changed for users.", st.Node)
	case migrate.StateCopy:
		return fmt.Sprintf("Copying from the backup to the replicas. SQLite on %s still serves; nothing has changed for users.", st.Node)
	case migrate.StateVerify:
		if st.Verified {
			return fmt.Sprintf("Every bucket is equal on every node. SQLite on %s still serves, and the move waits for your cutover.", st.Node)
		}
		return fmt.Sprintf("Comparing every bucket on every node with the backup. SQLite on %s still serves.", st.Node)
	case migrate.StateFence:
		return fmt.Sprintf("SQLite on %s refuses writes for a moment while the last changes are copied and compared.", st.Node)
	case migrate.StateCutover:
		return "The authority moves to KV; every node swaps without a restart."
	case migrate.StateSoak:
		return fmt.Sprintf("The nodes serve from KV. SQLite on %s is kept, read-only.", st.Node)
	case migrate.StateDone:
		return fmt.Sprintf("Done: the nodes serve from KV. SQLite on %s is kept, read-only.", st.Node)
	case migrate.StateAborted:
		return fmt.Sprintf("The move was given up; SQLite on %s serves as it did before.", st.Node)
	}
	return "No move was ever started here."
}

// Key scrolls.
func (m *Model) Key(s page.Scene, key string) page.Effect {
	switch key {
	case "up", "k":
		m.top--
	case "down", "j":
		m.top++
	case "pgup":
		m.top -= s.H
	case "pgdown":
		m.top += s.H
	case "home", "g":
		m.top = 0
	default:
		return page.Effect{}
	}
	m.top = max(0, m.top)
	return page.Effect{Handled: true}
}

// Open does nothing.
func (m *Model) Open(page.Scene, string) {}

// Back scrolls to the top.
func (m *Model) Back() bool {
	was := m.top > 0
	m.top = 0
	return was
}

// Hints say that the move needs nobody to watch it.
func (m *Model) Hints(s page.Scene) []page.Hint {
	if st := s.Snap.Migration.Value; st.Active() {
		return []page.Hint{{Key: "esc", Does: "leave, it goes on"}}
	}
	return nil
}

// Selection is nothing: actions work on the move.
func (m *Model) Selection(page.Scene) action.Selection { return action.Selection{} }

// Want is nothing beyond what is always asked for.
func (m *Model) Want() feed.Want { return feed.Want{} }

// Done has no marks to take away.
func (m *Model) Done() {}

// Copy is the path of the backup.
func (m *Model) Copy(s page.Scene) (string, string) {
	return "the backup's path", s.Snap.Migration.Value.Backup.Path
}
