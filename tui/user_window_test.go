package tui_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui/tuitest"
)

const manyUsers = 100_000

// manyUsersState has users whose names are in the order of their ids.
var manyUsersState = sync.OnceValue(func() tuitest.ClusterState {
	state := tuitest.Healthy()
	state.Users = make([]core.User, manyUsers)
	for i := range state.Users {
		state.Users[i] = core.User{
			ID: manyUserID(i), Name: new(fmt.Sprintf("user-%06d", i)), Role: core.RoleMember, Status: core.UserActive,
			Created: core.MillisOf(tuitest.Now) - core.Millis(manyUsers-i)*1000, Updated: core.MillisOf(tuitest.Now) - core.Millis(i)*1000,
		}
	}
	return state
})

func manyUserID(i int) core.UserID { return core.UserID(fmt.Sprintf("U%055d", i)) }

func newManyUsersHarness(t *testing.T, width, height int) (*tuitest.Harness, *tuitest.FakeClient) {
	t.Helper()
	cfg, f := newConfig(manyUsersState())
	t.Cleanup(func() {
		for _, r := range f.UserRequests() {
			if r.Limit < 1 || r.Limit > 500 || len(r.Named) > 501 {
				t.Errorf("a request asks for %d rows and %d names", r.Limit, len(r.Named))
			}
		}
	})
	return tuitest.NewHarness(cfg, width, height), f
}

// cursorRow is the number of the user under the cursor, and how many users the screen shows.
func cursorRow(t *testing.T, h *tuitest.Harness) (cursor, rows int) {
	t.Helper()
	return cursorAt(t, h, "user-0")
}

// cursorAt is the number of five digits after a text in the row under the cursor, and how many
// rows have the text.
func cursorAt(t *testing.T, h *tuitest.Harness, text string) (cursor, rows int) {
	t.Helper()
	cursor = -1
	for _, l := range strings.Split(h.Screen(), "\n") {
		if _, number, ok := strings.Cut(l, " "+text); ok {
			rows++
			if strings.Contains(l, "> "+text) {
				if _, err := fmt.Sscanf(number[:5], "%d", &cursor); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return cursor, rows
}

// assertKeysMove: each key moves the cursor to the row that it should, in a page that fills the
// screen, and every row is there.
func assertKeysMove(t *testing.T, h *tuitest.Harness, height, last int, text string) {
	t.Helper()
	_, rows := cursorAt(t, h, text)
	if rows < height-10 {
		t.Fatalf("%d rows are shown:\n%s", rows, h.Screen())
	}
	want := 0
	for _, key := range strings.Fields("down j pgdown pgdown up end up pgup k G pgup pgup pgup pgup pgup pgup home down g pgdown pgdown pgdown pgdown pgdown pgdown pgdown pgup end home pgup") {
		switch key {
		case "down", "j":
			want++
		case "up", "k":
			want--
		case "pgdown":
			want += rows - 1
		case "pgup":
			want -= rows - 1
		case "home", "g":
			want = 0
		case "end", "G":
			want = last
		}
		want = max(0, min(want, last))
		h.Press(key)
		if got, shown := cursorAt(t, h, text); got != want || shown != rows {
			t.Fatalf("after %s the cursor is on row %d with %d rows, want %d with %d:\n%s", key, got, shown, want, rows, h.Screen())
		}
	}
}

// TestKeysMoveInALongList at every size, and no request is for more than some hundred users.
func TestKeysMoveInALongList(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {100, 30}, {120, 40}, {80, 60}, {200, 24}, {200, 60}} {
		h, _ := newManyUsersHarness(t, size[0], size[1])
		h.Press("4")
		h.Screen()
		h.Tick()
		assertKeysMove(t, h, size[1], manyUsers-1, "user-0")
	}
}

// TestSmallWindowKeepsTheList: a window that is too small for the page shows none of it, and
// the list is there when it grows.
func TestSmallWindowKeepsTheList(t *testing.T) {
	t.Parallel()
	h, _ := newManyUsersHarness(t, 60, 20)
	h.Press("4")
	h.Send(tea.WindowSizeMsg{Width: 200, Height: 60})
	h.Press("4", "end")
	assertShows(t, h, "> user-099999", "100 000 users")
	h.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
	h.Press("up", "up")
	h.Send(tea.WindowSizeMsg{Width: 100, Height: 30})
	h.Screen()
	h.Tick()
	assertShows(t, h, "> user-099999")
}

// TestScrollingShowsWhatIsThere: a key moves at once, before any answer.
func TestScrollingShowsWhatIsThere(t *testing.T) {
	t.Parallel()
	h, _ := newManyUsersHarness(t, 100, 30)
	h.Press("4")
	h.Screen()
	h.Tick()
	h.Send(tea.KeyPressMsg{Code: tea.KeyPgDown}) // loaded before
	if got, rows := cursorRow(t, h); got != rows-1 {
		t.Errorf("the cursor is on %d of %d:\n%s", got, rows, h.Screen())
	}
	h.Send(tea.KeyPressMsg{Code: tea.KeyEnd})
	assertShows(t, h, " …\n", "100 000 users")
	assertHides(t, h, "user-0", "r revoke")
	h.Tick()
	assertShows(t, h, "> user-099999", "r revoke")
}

// TestOrdersAndFiltersOfALongList are the node's: the cursor stays on its user, and rows of
// another list are never shown for it.
func TestOrdersAndFiltersOfALongList(t *testing.T) {
	t.Parallel()
	h, f := newManyUsersHarness(t, 100, 30)
	h.Press("4", "end", "pgup", "pgup")
	before, _ := cursorRow(t, h)
	for i, title := range []string{"NAME↑", "STATUS↑", "ROLE↑", "ID↑", "CHANGED↑", "CREATED↑"} {
		h.Send(tea.KeyPressMsg{Code: 's', Text: "s"})
		assertShows(t, h, title)
		assertHides(t, h, "user-0")
		h.Tick()
		if got, _ := cursorRow(t, h); got != before {
			t.Errorf("in the order %s the cursor is on %d, want %d", title, got, before)
		}
		h.Press("home")
		want := map[int]int{5: manyUsers - 1}[i] // the least age is that of the last one that was created
		if got, _ := cursorRow(t, h); got != want {
			t.Errorf("the first in the order %s is %d, want %d", title, got, want)
		}
		h.Press("S", "home")
		if got, _ := cursorRow(t, h); got != manyUsers-1-want {
			t.Errorf("the last in the order %s is %d", title, got)
		}
		h.Press("S", "/", fmt.Sprintf("user-%06d", before), "enter", "esc") // the cursor is back on its user
		if got, _ := cursorRow(t, h); got != before {
			t.Errorf("after a filter the cursor is on %d, want %d:\n%s", got, before, h.Screen())
		}
	}
	h.Press("/", "user-0123")
	assertShows(t, h, "100 match /user-0123.", "user-012399")
	h.Send(tea.KeyPressMsg{Code: '4', Text: "4"})
	assertHides(t, h, "> user-0123", "  user-0123", "match")
	h.Tick()
	assertShows(t, h, "10 match /user-01234.", "user-012340")
	h.Press("x", "enter")
	assertShows(t, h, "No row of 100 000 matches /user-01234x.")
	h.Press("esc")
	f.Fail(core.Errorf(core.KindInvalid, "the filter has 300 bytes").WithNext("give at most 256"))
	h.Press("/", "zz", "enter")
	assertShows(t, h, "So far: The filter has 300 bytes.", "Do: give at most 256")
}

// TestMarksOfALongList: they stay on users that are out of sight, count those that the filter
// shows, and the dialog names them all.
func TestMarksOfALongList(t *testing.T) {
	t.Parallel()
	h, f := newManyUsersHarness(t, 100, 30)
	h.Press("4", "m", "end", "m", "home", "pgdown", "pgdown", "m")
	assertShows(t, h, "3 marked.")
	h.Press("/", "user-0999", "enter")
	assertShows(t, h, "100 match /user-0999. 1 marked.")
	h.Press("esc", "pgdown", "r")
	h.Settle()
	assertShows(t, h, "Revoke 3 users?", "user-000000, user-0000", "user-099999", "Type 3 users:")
	h.Press("3 users", "enter", "enter")
	h.Settle()
	if calls := f.Calls(); len(calls) != 3 || calls[0] != "user-revoke "+string(manyUserID(0)) || calls[2] != "user-revoke "+string(manyUserID(manyUsers-1)) {
		t.Errorf("calls %q", calls)
	}
	h.Press("esc", "M")
	assertHides(t, h, "marked.")
	assertShows(t, h, "100 000 users are listed, and 500 can be marked at once: filter them with /.")
	h.Press("esc", "/", "user-0123", "enter", "M") // more than the window has
	assertShows(t, h, "100 marked.")
	h.Press("esc")
	assertShows(t, h, "100 000 users: 99 997 active, 3 revoked, 0 admins. 100 marked.")
	h.Press("/", "user-0", "enter", "M") // some that are listed are marked
	assertHides(t, h, "marked.")
	h.Press("/")
	h.Press(slices.Repeat([]string{"backspace"}, 6)...)
	h.Press("user-00001", "enter", "M", "esc", "home", "m")
	assertShows(t, h, "11 marked.")
	f.Change(func(state *tuitest.ClusterState) { state.Users = slices.Clone(state.Users[15:]) })
	h.Tick()
	assertShows(t, h, "5 marked.")
	f.Change(func(state *tuitest.ClusterState) { state.Users = slices.Clone(manyUsersState().Users) }) // those who come back are other users
	h.Tick()
	assertShows(t, h, "5 marked.")
}

// TestMarksAreBounded: one more is refused, and said.
func TestMarksAreBounded(t *testing.T) {
	t.Parallel()
	h, _ := newManyUsersHarness(t, 100, 30)
	h.Press("4", "/", "99", "enter", "M") // 99 is in many of them
	assertShows(t, h, "can be marked at once")
	h.Press("esc") // the message
	for _, part := range []string{"user-0111", "user-0222", "user-0333", "user-0444", "user-0555"} {
		h.Press("esc", "/", part, "enter", "M")
		assertShows(t, h, "100 marked.")
	}
	h.Press("esc", "home", "m")
	assertShows(t, h, "500 users are marked, and no more can be at once.")
	h.Press("esc")
	assertShows(t, h, "500 marked.")
	h.Press("/", "user-07777", "enter", "M")
	assertShows(t, h, "10 users are listed, and 0 can be marked at once")
}

// TestTypedCommandFindsAnyUser: it asks a node, by the whole name in any case, and the screen
// goes on meanwhile.
func TestTypedCommandFindsAnyUser(t *testing.T) {
	t.Parallel()
	h, f := newManyUsersHarness(t, 100, 30)
	h.Press(":", "revoke USER-054321", "enter")
	assertShows(t, h, "Looking up USER-054321; esc cancels.", "n1 leads for")
	h.Press("2")
	assertShows(t, h, "3 of 3 nodes answer.")
	h.Settle()
	assertShows(t, h, "Revoke user-054321?", "user revoke "+string(manyUserID(54321)))
	h.Press("esc")

	h.Press(":", "revoke user-054321", "enter", "esc")
	h.Settle()
	assertHides(t, h, "Looking up", "Revoke user")
	h.Press(":", "revoke user-054321", "enter", ":", "activate user-000007", "enter") // the newest one counts
	h.Settle()
	assertShows(t, h, "user-000007 is active already")
	assertHides(t, h, "Revoke user")

	f.Change(func(state *tuitest.ClusterState) {
		state.Users = slices.Clone(state.Users)
		state.Users[9].Name = state.Users[10].Name
	})
	h.Press(":", "revoke user-000010", "enter")
	h.Settle()
	assertShows(t, h, "Not done: user revoke", `2 users are called "user-000010".`, "Give the full nkey.")
	h.Press("esc", ":", "revoke user-0", "enter") // a part of many names
	h.Settle()
	assertShows(t, h, `No user is called "user-0".`)
	h.Press("esc")
	missing := tuitest.Healthy().Users[3].ID // an nkey of nobody
	h.Press(":", "revoke "+string(missing), "enter")
	h.Settle()
	assertShows(t, h, "Not done: user revoke", "There is no user "+missing.Short())
	h.Press("esc")
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	h.Press(":", "revoke "+string(missing), "enter") // a revocation does not wait for a name
	h.Settle()
	assertShows(t, h, "Revoke "+missing.Short()+"?")
	assertCalls(t, f)
}

// TestMemberOfARoomIsNamed: a command about the member under the cursor names the user,
// whom the page of the room does not list.
func TestMemberOfARoomIsNamed(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press("5", "down", "enter", ":", "user revoke", "enter")
	h.Settle()
	owner := tuitest.Healthy().Members["room-01"][0]
	assertShows(t, h, "Revoke "+*owner.Name+"?")
	for _, r := range f.UserRequests() {
		if r.Limit != 1 {
			t.Errorf("the rooms' page asks for users: %+v", r)
		}
	}
}

// TestPauseEndsForRowsThatAreNotThere: it holds over those that are.
func TestPauseEndsForRowsThatAreNotThere(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{"end": {"end"}, "filter": {"/", "user-01", "enter"}, "order": {"s"}} {
		h, _ := newManyUsersHarness(t, 100, 30)
		h.Press("4", "down")
		h.Screen()
		h.Press("space", "pgdown")
		assertShows(t, h, "paused 0 s")
		h.Press(keys...)
		if !strings.Contains(h.Screen(), "live from n1") {
			t.Errorf("%s: the screen is still paused:\n%s", name, h.Screen())
		}
		h.Tick()
		assertHides(t, h, " …\n")
	}
}
