package tui

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"unibus/core/cluster"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// bell tells an operator who does not look that the verdict has become worse.
type bell struct {
	off      bool
	notifies bool          // the terminal shows what OSC 9 says, outside of its window too
	known    cluster.Level // the last verdict; "" before the first answer
	rangAt   time.Time
}

// bellPause is the time between two rings: a node that comes and goes is no siren.
const bellPause = 10 * time.Second

// notifyingTerminals say of themselves in TERM or TERM_PROGRAM who they are.
func notifyingTerminals() []string { return []string{"iterm", "wezterm", "ghostty", "kitty", "foot"} }

func (b *bell) readEnvironment(env tea.EnvMsg) {
	name := strings.ToLower(env.Getenv("TERM") + " " + env.Getenv("TERM_PROGRAM"))
	b.notifies = slices.ContainsFunc(notifyingTerminals(), func(t string) bool { return strings.Contains(name, t) })
}

// ring is nil unless the verdict has become worse. It rings in a pause as well, which
// stops only the screen.
func (m *Model) ring() tea.Cmd {
	st := m.feed.Snapshot().Status
	if !st.Known() {
		return nil
	}
	was, is := m.bell.known, st.Value.Verdict
	m.bell.known = is
	now := m.cfg.Now()
	if was == "" || !is.IsWorseThan(was) || m.bell.off || now.Sub(m.bell.rangAt) < bellPause {
		return nil
	}
	m.bell.rangAt = now
	text := "\a"
	if m.bell.notifies {
		text += ansi.Notify(widget.Sanitize(st.Value.Cluster + " is " + string(is) + ": " + st.Value.Sentence))
	}
	return tea.Raw(text)
}

func (m *Model) toggleBell() {
	m.bell.off = !m.bell.off
	if m.bell.off {
		m.showToast(theme.Dim, "The bell is off. "+m.keyName("B")+" turns it on.")
		return
	}
	m.showToast(theme.Dim, "The bell rings when the verdict becomes worse. "+m.keyName("B")+" turns it off.")
}
