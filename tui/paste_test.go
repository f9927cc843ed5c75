package tui_test

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/tuitest"
)

// TestPastedLinesAreNotJoined: an input of one line says why it took nothing; a list takes one value a line.
func TestPastedLinesAreNotJoined(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	paste := func(text string) { h.Send(tea.PasteMsg{Content: text}) }
	h.Press("4", "a")
	h.Settle()
	paste("first\rsecond\r")
	assertShows(t, h, "Nothing was pasted: the text has 2 lines")
	assertHides(t, h, "first")
	paste(strings.Repeat("x", 300))
	assertShows(t, h, "this input takes 256 characters")
	h.Press("tab")
	paste("\r\n  Ana Lee \r\n\r\n")
	assertShows(t, h, "--name 'Ana Lee'")
	h.Press("esc", "/")
	paste("ana\nbert")
	assertShows(t, h, "Nothing was pasted: the text has 2 lines")
	paste("ana\n")
	assertShows(t, h, "/ana")
	h.Press("esc", ":")
	paste("user revoke\nquit\n")
	assertShows(t, h, "Nothing was pasted")
	h.Press("enter")
	if h.HasQuit {
		t.Error("a pasted line ran as a command")
	}
}

func TestPastedLinesBecomeAList(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.FilesDiffer())
	h.Press("6", "b")
	h.Settle()
	h.Press("tab", "tab", "tab")
	h.Send(tea.PasteMsg{Content: "n2\r"})
	h.Send(tea.PasteMsg{Content: "n3\r\nn4"})
	assertShows(t, h, "--ignore-node n2,n3,n4")
}
