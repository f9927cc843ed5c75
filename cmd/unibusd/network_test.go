package main

import "testing"

// TestNamesCannotDraw: a room's name that a user chose does not reach the operator's terminal as
// control characters.
func TestNamesCannotDraw(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Größe 🚌, 会議":               "Größe 🚌, 会議",
		"\x1b]0;root\x07":           "\uFFFD]0;root\uFFFD",
		"a\nb\tc\rd":                "a\uFFFDb\uFFFDc\uFFFDd",
		"right\u202eto left\u200b.": "right\uFFFDto left\uFFFD.",
		"":                          "",
	} {
		if got := text(&name); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
	}
	if got := text(nil); got != "–" {
		t.Errorf("no name is shown as %q", got)
	}
}
