package tui_test

import (
	"strings"
	"testing"

	"unibus/tui/tuitest"
)

func TestPageIsFoundByUniquePrefix(t *testing.T) {
	t.Parallel()
	s, _ := newHarness(t, tuitest.Healthy())
	s.Press(":", "ro", "enter")
	assertShows(t, s, `There is no command "ro".`)
	s.Press("esc", ":", "roo", "enter")
	assertShows(t, s, "50 rooms")
	s.Press(":", "pause", "enter")
	assertShows(t, s, ":hold pauses the screen, :migrate pause the migration.")
	s.Press("esc", ":", "hold", "enter")
	assertShows(t, s, "paused 0 s")
}

func TestCommandLineCompletesAndRecalls(t *testing.T) {
	t.Parallel()
	s, _ := newHarness(t, tuitest.Healthy())
	s.Press(":", "ev", "tab", "enter")
	assertShows(t, s, "4 events, the newest first.")
	s.Press(":", "up")
	assertShows(t, s, ":events")
	s.Press("esc", ":", "nonsense", "enter")
	assertShows(t, s, `There is no command "nonsense".`)
	s.Press(":", "theme mono", "enter")
	if strings.Contains(s.Model.View().Content, "38;5") {
		t.Error("mono has colours")
	}
}
