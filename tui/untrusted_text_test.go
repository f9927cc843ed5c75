package tui_test

import (
	"fmt"
	"strings"
	"testing"

	"unibus/core"
	"unibus/tui/tuitest"
)

func TestUntrustedTextIsSanitized(t *testing.T) {
	t.Parallel()
	const bad = "x\x1b]0;pwned\ay\x1b[2J\u202e"
	state := tuitest.Healthy()
	for i := range state.Users {
		n := fmt.Sprintf("%s-%d", bad, i)
		state.Users[i].Name, state.Users[i].Status = &n, core.UserRevoked
	}
	for i := range state.Status.Nodes {
		n := &state.Status.Nodes[i]
		info := *n.Info
		info.Version, info.Listen, info.Serving.File = bad, bad, bad
		n.Info, n.ID, n.Meta, n.Leads = &info, bad, bad, []string{bad}
	}
	state.Status.From = bad
	for i := range state.Events {
		state.Events[i].Text = bad
	}
	h, _ := newHarness(t, state)
	for _, keys := range [][]string{{"1"}, {"2", "enter"}, {"3", "enter"}, {"4", "?"}, {"esc", "enter"}, {"5", "enter"}, {"6"}, {"7", "y"}, {"8"}, {"9"}} {
		h.Press(keys...)
		for _, x := range []string{"\x1b[2J", "\x1b]0", "\a", "\u202e"} {
			if strings.Contains(h.Model.View().Content, x) {
				t.Errorf("after %q the screen holds %q", keys, x)
			}
		}
	}
	for _, msg := range h.PendingMessages() {
		if text := fmt.Sprint(msg); strings.ContainsAny(text, "\x1b\a\u202e") {
			t.Errorf("the clipboard gets %q", text)
		}
	}
}

func TestNamesCannotWriteToTheScreen(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Status.Cluster = "de\x1b]0;pwned\amo"
	state.Status.Sentence = "a\x1b[2Jb\rc"
	h, _ := newHarness(t, state)
	for _, page := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		h.Press(page)
		for _, bad := range []string{"\x1b[2J", "\x1b]0", "\r", "\a", "\u202e"} {
			if strings.Contains(h.Model.View().Content, bad) {
				t.Errorf("page %s writes %q", page, bad)
			}
		}
	}
	if title := h.Model.View().WindowTitle; strings.ContainsAny(title, "\x1b\a") {
		t.Errorf("title %q", title)
	}
}

// TestTitleIsPlain: the byte 0x9C of a glyph may end the title too early, and its
// rest would be written into the page.
func TestTitleIsPlain(t *testing.T) {
	t.Parallel()
	for _, world := range []tuitest.ClusterState{tuitest.Healthy(), tuitest.Degraded(), tuitest.NoQuorum()} {
		h, _ := newHarness(t, world)
		for _, b := range []byte(h.Model.View().WindowTitle) {
			if b < ' ' || b > '~' {
				t.Errorf("title %q", h.Model.View().WindowTitle)
			}
		}
	}
}
