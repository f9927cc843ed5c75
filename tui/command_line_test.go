package tui_test

import (
	"strings"
	"testing"

	"unibus/tui/tuitest"
)

func TestPageIsNamedByWhatItAloneBeginsWith(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press(":", "ro", "enter")
	shows(t, s, `There is no command "ro".`)
	s.Press("esc", ":", "roo", "enter")
	shows(t, s, "50 rooms")
	s.Press(":", "pause", "enter")
	shows(t, s, ":hold holds the picture, :migrate pause the move.")
	s.Press("esc", ":", "hold", "enter")
	shows(t, s, "picture held")
}

func TestCommandBarCompletesAndRemembers(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press(":", "ev", "tab", "enter")
	shows(t, s, "4 events, the newest first.")
	s.Press(":", "up")
	shows(t, s, ":events")
	s.Press("esc", ":", "nonsense", "enter")
	shows(t, s, `There is no command "nonsense".`)
	s.Press(":", "theme mono", "enter")
	if strings.Contains(s.Model.View().Content, "38;5") {
		t.Error("mono has colours")
	}
}
