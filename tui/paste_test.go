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

// TestPasteIsTakenWholeOrRefused: no input leaves out a character of a paste without a word.
func TestPasteIsTakenWholeOrRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ana\u200bx":         "the character U+200B",
		"a\tb":               "a tab",
		"a\x00b":             "the character U+0000",
		"a\x1b[31mb":         "the character U+001B",
		"a\ufffdb":           "the character U+FFFD",
		"a\u202eb":           "the character U+202E",
		"a\xffb":             "is not UTF-8",
		"ad\u200dmin":        "the character U+200D",
		"\r\n":               "the text is empty",
		"می\u200cخواهم":      "",
		"e\u0301 \u00a0 end": "",
	} {
		h, _ := newHarness(t, tuitest.Healthy())
		for _, keys := range [][]string{{"4", "/"}, {"esc", ":"}, {"esc", "a"}} {
			h.Press(keys...)
			h.Settle()
			h.Press("x")
			h.Send(tea.PasteMsg{Content: text})
			screen := h.Screen()
			switch {
			case want != "":
				assertShows(t, h, "Nothing was pasted: ", want)
			case !strings.Contains(screen, "x"+text):
				t.Errorf("%v: %+q was not taken whole:\n%s", keys, text, screen)
			}
			h.Press("y")
			if want != "" {
				assertShows(t, h, "xy")
			}
		}
	}
}

// TestPasteGoesIntoTheMiddle: the cursor stands behind what was pasted, blanks included.
func TestPasteGoesIntoTheMiddle(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("4", "/", "ad", "left")
	h.Send(tea.PasteMsg{Content: "b c "})
	h.Press("!")
	assertShows(t, h, "/ab c !d")
}

// TestTypedLineBreakDoesNotJoinLines: a terminal without bracketed paste sends a paste as keys.
func TestTypedLineBreakDoesNotJoinLines(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	lineBreak := tea.KeyPressMsg{Code: 'j', Mod: tea.ModCtrl}
	for _, keys := range [][]string{{"4", "/"}, {"esc", ":"}, {"esc", "a"}} {
		h.Press(keys...)
		h.Settle()
		h.Press("one")
		h.Send(lineBreak)
		h.Press("two")
		h.Send(lineBreak)
		assertShows(t, h, "one", "took nothing after the line break")
		assertHides(t, h, "onetwo")
		h.Press("enter", "four")
		assertShows(t, h, "onefour")
	}
	h.Press("esc")
	assertCalls(t, f)
}

// TestUnbracketedPasteInATerminal: the bytes of a terminal lead to the same.
func TestUnbracketedPasteInATerminal(t *testing.T) {
	t.Parallel()
	term, _ := startTerminal(t, tuitest.Healthy(), 80, 24)
	waitFor(t, term, "live from n1")
	term.Press("4", "/", "one\ntwo\n")
	waitFor(t, term, "took nothing after the line break", "0 match /one")
	term.Press("enter", "\x1b[200~\tx\x1b[201~")
	waitFor(t, term, "does not take a tab")
}

// TestTypedTextIsNotCut: the line says that it is full.
func TestTypedTextIsNotCut(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("4", "/", strings.Repeat("x", 256), "y")
	assertShows(t, h, "takes 256 characters")
	h.Press("backspace", "\u200b")
	assertShows(t, h, "the character U+200B")
}

// TestRefusedPasteIsReadable: the sentence is wrapped, and never cut.
func TestRefusedPasteIsReadable(t *testing.T) {
	t.Parallel()
	const want = "Nothing was pasted: this input does not take the character U+200B. Give the text without it."
	for _, size := range [][2]int{{80, 24}, {81, 25}, {160, 50}} {
		h, _ := newHarness(t, tuitest.Healthy())
		h.Send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		for _, keys := range [][]string{{"4", "/"}, {"esc", ":"}, {"esc", "a"}} {
			h.Press(keys...)
			h.Settle()
			h.Press(strings.Repeat("some text ", 4))
			h.Send(tea.PasteMsg{Content: "ana\u200bx"})
			screen := h.Screen()
			if got := strings.Join(strings.Fields(insideDialog(screen)), " "); !strings.Contains(got, want) {
				t.Errorf("%v at %v:\n%s", keys, size, screen)
			}
			if lines := strings.Count(screen, "\n"); lines != size[1] {
				t.Errorf("%v at %v: %d lines", keys, size, lines)
			}
		}
	}
}

// insideDialog is what a dialog's frame surrounds, all of a screen without one.
func insideDialog(screen string) string {
	var lines []string
	for line := range strings.Lines(screen) {
		if parts := strings.Split(line, "│"); len(parts) == 3 {
			lines = append(lines, parts[1])
		}
	}
	if lines == nil {
		return screen
	}
	return strings.Join(lines, "\n")
}
