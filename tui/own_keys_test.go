package tui_test

import (
	"strings"
	"testing"

	"unibus/tui"
	"unibus/tui/action"
	"unibus/tui/keymap"
	"unibus/tui/theme"
	"unibus/tui/tuitest"
)

// withKeys is a console whose operator has chosen keys.
func withKeys(t *testing.T, own map[string]string) func(*tui.Config) {
	t.Helper()
	keys, err := keymap.New(action.Table(), own, func(name string) string { return name })
	if err != nil {
		t.Fatal(err)
	}
	return func(c *tui.Config) { c.Keys = &keys }
}

// TestOwnKeysWorkAndAreShown in the footer, the help and on pages that show their keys themselves; the
// keys that they replace do nothing.
func TestOwnKeysWorkAndAreShown(t *testing.T) {
	t.Parallel()
	own := map[string]string{"filter": "*", "help": "H", "sort": "O", "quit": "Q", "user revoke": "T", "migrate start": "Y"}
	h, _ := newHarness(t, tuitest.Healthy(), withKeys(t, own))
	h.Press("4")
	assertShows(t, h, "* filter", "O S sort", "H help")
	assertHides(t, h, "/ filter", "? help")
	h.Press("/", "?", "r")
	if h.Step(); h.HasQuit {
		t.Fatal("the console has quit")
	}
	assertShows(t, h, "* filter")
	h.Press("*", "dora-", "enter")
	assertShows(t, h, "9 match /dora-")
	h.Press("T")
	assertShows(t, h, "Revoke")
	h.Press("esc", "H")
	help := ""
	for range 6 {
		help += h.Screen()
		h.Press("pgdown")
	}
	for _, want := range []string{"*            filter: ana", "user revoke [USER]        users T", "migrate start             migrate Y"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help has no %q:\n%s", want, help)
		}
	}
	h.Press("H", "q")
	if h.Step(); h.HasQuit {
		t.Fatal("q quits, and the operator has moved that to Q")
	}
	h.Press("esc", "Q")
	if h.Step(); !h.HasQuit {
		t.Error("Q does not quit")
	}
	h, _ = newHarness(t, tuitest.OnSQLite(), withKeys(t, own))
	h.Press("6")
	assertShows(t, h, "Y start")
}

// TestOwnSkin is chosen by its name, at the start and by a command; a name of the console's own is replaced.
func TestOwnSkin(t *testing.T) {
	t.Parallel()
	mine := theme.Shipped(theme.Light)
	mine.Name, mine.Good = "mine", "#123456"
	h, _ := newHarness(t, tuitest.Healthy(), func(c *tui.Config) { c.Skins, c.Theme = []theme.Skin{mine}, "mine" })
	want := theme.NewOf(mine, false).Paint(theme.Good, "live")
	if !strings.Contains(h.Model.View().Content, want) {
		t.Errorf("the screen has no %q", want)
	}
	h.Press(":", "theme dark", "enter")
	if strings.Contains(h.Model.View().Content, want) {
		t.Error("the theme did not change")
	}
	h.Press(":", "theme mine", "enter")
	if !strings.Contains(h.Model.View().Content, want) {
		t.Error("the own skin is no choice of :theme")
	}
	h.Press(":", "theme", "enter")
	assertShows(t, h, "basic, mono, high-contrast, color-blind, mine")
}

// TestOwnKeysOfTheColumnsAndTheClusters are shown and work there; the ones that they replace do nothing.
func TestOwnKeysOfTheColumnsAndTheClusters(t *testing.T) {
	t.Parallel()
	own := withKeys(t, map[string]string{"column right": ">", "column left": "<", "all columns": "0", "ask again": "f5", "quit": "Q"})
	h, _ := newHarness(t, tuitest.Healthy(), own)
	h.Press("4", "C", "down")
	assertShows(t, h, "> < move", "0 all as they were", "> and < move the selected one")
	h.Press("J")
	assertShows(t, h, "> [x] STATUS", "[x] NAME         always shown, and first\n > [x] STATUS")
	h.Press(">")
	assertShows(t, h, "[x] ROLE\n > [x] STATUS")
	h.Press("q") // it is no key any more
	assertShows(t, h, "Columns of users")
	h.Press("Q", ":", "context", "enter")
	assertShows(t, h, "f5 ask again", ": command", "esc close")
}
