package tui_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/tui/tuitest"
)

// TestChosenColumnsAreRemembered, of the list and of the members of a room.
func TestChosenColumnsAreRemembered(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "console.json")
	h, _ := newHarness(t, tuitest.Healthy(), withState(openState(t, path)))
	h.Press("4", "C")
	assertShows(t, h, "Columns of users", "[x] NAME         always shown", "space show or hide")
	h.Press("space", "down", "down", "space", "down", "space", "enter")
	h.Settle()
	users := func(h *tuitest.Harness) {
		t.Helper()
		assertShows(t, h, "NAME", "STATUS", "CHANGED")
		assertHides(t, h, "ROLE", "  ID  ")
	}
	users(h)
	h.Press("s", "s", "s") // name, status, changed: no order by what is hidden
	assertShows(t, h, "CHANGED↑")
	h.Press("5", "enter", ":", "columns", "enter", "down", "space", "enter")
	h.Settle()
	assertHides(t, h, "ROLE")

	h, _ = newHarness(t, tuitest.Healthy(), withState(openState(t, path)))
	h.Press("4")
	users(h)
	h.Press("5", "enter")
	assertShows(t, h, "MEMBER", "JOINED")
	assertHides(t, h, "ROLE")
	h.Press("4", "C", "a", "enter")
	h.Settle()
	assertShows(t, h, "ROLE", "ID")
	if text, _ := os.ReadFile(path); strings.Contains(string(text), `"users"`) {
		t.Errorf("all columns are remembered as a choice: %s", text)
	}
}

// TestColumnsAreReordered: the order is on the screen, in y and in s, and is remembered; the first stays first.
func TestColumnsAreReordered(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "console.json")
	h, _ := newHarness(t, tuitest.Healthy(), withState(openState(t, path)))
	h.Press("4", "C", "J", "down", "J", "J", "down", "K", "enter") // STATUS behind ID; then CHANGED before it
	h.Settle()
	header := func(h *tuitest.Harness) string {
		for _, l := range strings.Split(h.Screen(), "\n") {
			if strings.Contains(l, "NAME ") {
				return strings.Join(strings.Fields(l), " ")
			}
		}
		return ""
	}
	const want = "NAME ROLE ID CHANGED STATUS CREATED"
	if got := header(h); !strings.HasPrefix(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	h.Press("s", "s")
	if got := header(h); !strings.HasPrefix(got, "NAME ROLE↑ ID") {
		t.Errorf("the next column to sort by: %q", got)
	}
	h, _ = newHarness(t, tuitest.Healthy(), withState(openState(t, path)))
	h.Press("4")
	if got := header(h); !strings.HasPrefix(got, want) {
		t.Errorf("in the next session: %q", got)
	}
	h.Press("C", "a", "enter")
	h.Settle()
	if got := header(h); !strings.HasPrefix(got, "NAME STATUS ROLE ID CHANGED CREATED") {
		t.Errorf("as they were: %q", got)
	}
}

// TestColumnsThatAreNotKept: esc leaves the list as it was, and a page without a list says so.
func TestColumnsThatAreNotKept(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("2", "C", "down", "space", "esc")
	assertShows(t, h, "META")
	h.Press("6", "C")
	assertShows(t, h, "no list here whose columns")
	h.Press("2", "enter", "C")
	assertShows(t, h, "no list here whose columns")
}

// TestUnknownColumnsInTheFile are passed over, and the first column stays.
func TestUnknownColumnsInTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "console.json")
	if err := os.WriteFile(path, []byte(`{"version":1,"columns":{"buckets":["SHOE SIZE","KEYS"],"cellars":["X"]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	h, _ := newHarness(t, tuitest.Healthy(), withState(openState(t, path)))
	h.Press("3")
	assertShows(t, h, "BUCKET", "KEYS")
	assertHides(t, h, "LEADER")
}
