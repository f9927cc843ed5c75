package tui_test

import (
	"strings"
	"testing"

	"unibus/tui/tuitest"
)

func TestPageIsFoundByUniquePrefix(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press(":", "ro", "enter")
	assertShows(t, h, `There is no command "ro".`)
	h.Press("esc", ":", "roo", "enter")
	assertShows(t, h, "50 rooms")
	h.Press(":", "pause", "enter")
	assertShows(t, h, ":pause-screen pauses the screen, :migrate pause the migration.")
	h.Press("esc", ":", "hold", "enter")
	assertShows(t, h, "paused 0 s")
}

func TestCommandLineCompletesAndRecalls(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press(":", "ev", "tab", "enter")
	assertShows(t, h, "1 incident and 4 other events, the newest first.")
	h.Press(":", "up")
	assertShows(t, h, ":events")
	h.Press("esc", ":", "nonsense", "enter")
	assertShows(t, h, `There is no command "nonsense".`)
	h.Press("esc", ":", "theme mono", "enter")
	if strings.Contains(h.Model.View().Content, "38;5") {
		t.Error("mono has colors")
	}
}

// TestUnknownCommandStaysInThePrompt, where Tab completes it: elsewhere Tab changes the page.
func TestUnknownCommandStaysInThePrompt(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press(":", "even", "tab", "backspace", "backspace", "backspace", "x", "enter")
	assertShows(t, h, ":evex", `There is no command "evex". Tab completes, :help lists them.`)
	h.Press("backspace", "tab", "enter")
	assertShows(t, h, "1 incident and 4 other events, the newest first.")
}

// TestHelpListsTheCommandsOfTheConsole beside those of the operators' actions.
func TestHelpListsTheCommandsOfTheConsole(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press(":", "help", "enter")
	assertShows(t, h, "Commands", "theme NAME", "auto, dark, light, basic, mono", "quit", "pause-screen", "PAGE")
}
