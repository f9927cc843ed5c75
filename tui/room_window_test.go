package tui_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/tuitest"
)

const manyRooms = 10_000

// manyRoomsState has rooms whose names are in the opposite order of their ids. The first ten
// users own ten rooms each, and another one the others.
var manyRoomsState = sync.OnceValue(func() tuitest.ClusterState {
	state := tuitest.Healthy()
	state.Rooms = make([]admin.RoomSummary, manyRooms)
	for i := range state.Rooms {
		r := core.Room{
			ID: manyRoomID(i), Name: new(fmt.Sprintf("topic-%05d", manyRooms-1-i)), Owner: state.Users[10].ID, Encrypted: i%2 == 1,
			Epoch: core.Epoch(i / 2), State: core.RoomActive, Created: core.MillisOf(tuitest.Now) - core.Millis(manyRooms-i)*1000,
		}
		if i < 100 {
			r.Owner = state.Users[i/10].ID
		}
		keys := admin.KeyHealth{State: admin.KeysPlain}
		switch {
		case i == 4321 || i == 77:
			keys = admin.KeyHealth{State: admin.KeysRekey, MustRekey: 1 + i%2, Since: core.MillisOf(tuitest.Now) - core.Millis(i)*1000}
		case r.Encrypted:
			keys = admin.KeyHealth{State: admin.KeysOK, Since: core.MillisOf(tuitest.Now) - core.Millis(i)*1000}
		}
		state.Rooms[i] = admin.RoomSummary{Room: r, Members: (i * 7) % manyRooms, Keys: &keys}
	}
	return state
})

func manyRoomID(i int) core.RoomID { return core.RoomID(fmt.Sprintf("room-%05d", i)) }

func newManyRoomsHarness(t *testing.T, width, height int) (*tuitest.Harness, *tuitest.FakeClient) {
	t.Helper()
	cfg, f := newConfig(manyRoomsState())
	t.Cleanup(func() {
		for _, r := range f.RoomRequests() {
			if r.Limit < 1 || r.Limit > 500 {
				t.Errorf("a request asks for %d rooms", r.Limit)
			}
		}
	})
	return tuitest.NewHarness(cfg, width, height), f
}

// cursorRoom is the number of the room under the cursor.
func cursorRoom(t *testing.T, h *tuitest.Harness) int {
	t.Helper()
	cursor, _ := cursorAt(t, h, "room-")
	return cursor
}

// TestKeysMoveInManyRooms at several sizes, and no request is for more than some hundred rooms.
func TestKeysMoveInManyRooms(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {120, 40}, {200, 60}} {
		h, _ := newManyRoomsHarness(t, size[0], size[1])
		h.Press("5")
		h.Screen()
		h.Tick()
		assertShows(t, h, "10 000 rooms", "5 000 of them encrypted.", "Rekey required in 2 rooms: /rekey lists them.")
		assertKeysMove(t, h, size[1], manyRooms-1, "room-")
	}
}

// TestOrdersOfManyRooms are the node's: the cursor stays on its room, rows of another list are
// never shown for it, and rooms without a value are last in both directions.
func TestOrdersOfManyRooms(t *testing.T) {
	t.Parallel()
	h, _ := newManyRoomsHarness(t, 160, 30)
	h.Press("5", "end", "pgup", "pgup")
	before := cursorRoom(t, h)
	for _, c := range []struct {
		title       string
		first, last int // of the ascending order, -1: not compared
		down        int // the first of the descending order
	}{
		{"ROOM↑", 0, manyRooms - 1, manyRooms - 1},
		{"KEYS↑", 77, manyRooms - 2, manyRooms - 2},
		{"EPOCH↑", 1, manyRooms - 2, manyRooms - 1}, // plain rooms have none
		{"KEY AGE↑", 1, manyRooms - 2, manyRooms - 1},
		{"MEMBERS↑", 0, 2857, 2857}, // 7 × 2857 = 19 999
		{"OWNER↑", -1, -1, -1},
		{"NAME↑", manyRooms - 1, 0, 0},
		{"CREATED↑", manyRooms - 1, 0, 0},
	} {
		h.Send(tea.KeyPressMsg{Code: 's', Text: "s"})
		assertShows(t, h, c.title)
		assertHides(t, h, " room-0")
		h.Tick()
		if got := cursorRoom(t, h); got != before {
			t.Errorf("in the order %s the cursor is on %d, want %d", c.title, got, before)
		}
		ends := []int{}
		for _, keys := range [][]string{{"home"}, {"end"}, {"S", "home"}} {
			h.Press(keys...)
			ends = append(ends, cursorRoom(t, h))
		}
		if want := []int{c.first, c.last, c.down}; c.first >= 0 && !slices.Equal(ends, want) {
			t.Errorf("%s: the ends are %v, want %v", c.title, ends, want)
		}
		h.Press("S", "/", fmt.Sprintf("room-%05d", before), "enter", "esc") // the cursor is back on its room
		if got := cursorRoom(t, h); got != before {
			t.Errorf("after a filter the cursor is on %d, want %d:\n%s", got, before, h.Screen())
		}
	}
}

// TestFiltersOfManyRooms: by id, name, owner and state of the key, and a filter that no node
// takes says so.
func TestFiltersOfManyRooms(t *testing.T) {
	t.Parallel()
	h, f := newManyRoomsHarness(t, 100, 30)
	h.Press("5", "/", "rekey")
	assertShows(t, h, "2 match /rekey.", "room-00077", "room-04321")
	assertHides(t, h, "room-00076")
	h.Press("enter", "down", "enter") // opens the second one; the filter is not about its members
	if got := f.RoomRequests(); got[len(got)-1].Filter != "rekey" || got[len(got)-1].Around != manyRoomID(4321) {
		t.Errorf("beside the open room %+v is asked for", got[len(got)-1])
	}
	h.Press("esc")
	if got := cursorRoom(t, h); got != 4321 {
		t.Errorf("the cursor is on %d:\n%s", got, h.Screen())
	}
	h.Press("esc", "/", "TOPIC-0001", "enter")
	assertShows(t, h, "10 match /TOPIC-0001.", "room-09989")
	owner := *manyRoomsState().Users[3].Name
	h.Press("esc", "/", owner, "enter")
	assertShows(t, h, "10 match /"+owner+".", "room-00030", "room-00039")
	h.Press("esc", "/", "nobody has this", "enter")
	assertShows(t, h, "No row of 10 000 matches /nobody has this.")
	h.Press("esc")
	f.Fail(core.Errorf(core.KindInvalid, "the filter has 300 bytes").WithNext("give at most 256"))
	h.Press("/", "zz", "enter")
	assertShows(t, h, "So far: The filter has 300 bytes.", "Do: give at most 256")
}

// TestSelectedRoomOfManyNamesItsMember: the room under the cursor is asked for where it needs a
// new key, wherever it is in the list, and a typed command finds a room that is out of sight.
func TestSelectedRoomOfManyNamesItsMember(t *testing.T) {
	t.Parallel()
	h, f := newManyRoomsHarness(t, 100, 30)
	h.Press("5", "s", "s") // by the state of the key
	h.Press("home")
	h.Screen()
	h.Tick()
	assertShows(t, h, "> room-00077", "r rekey")
	h.Press(":", "rekey room-09999", "enter")
	assertShows(t, h, "Looking up room-09999; esc cancels.")
	h.Settle()
	assertShows(t, h, "Ask for a new key of room-09999?")
	h.Press("esc", ":", "rekey room-0", "enter") // a part of many ids
	h.Settle()
	assertShows(t, h, "Not done: room rekey", `There is no room "room-0".`)
	h.Press("esc")
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	h.Press(":", "rekey room-05000", "enter") // the node that acts will check
	h.Settle()
	assertShows(t, h, "Ask for a new key of room-05000?")
	assertCalls(t, f)
}

// TestOpenUserAsksForOwnRooms alone, and the page of the rooms shows none of another list.
func TestOpenUserAsksForOwnRooms(t *testing.T) {
	t.Parallel()
	h, f := newManyRoomsHarness(t, 100, 40)
	user := manyRoomsState().Users[3]
	h.Press("4")
	for range 3 {
		h.Press("down")
	}
	h.Press("enter")
	h.Screen()
	h.Tick()
	assertShows(t, h, string(user.ID), "owns", "room-00030, room-00031", "room-00039")
	assertHides(t, h, "room-00029", "room-00040")
	for _, r := range f.RoomRequests() {
		if r.Owner != user.ID {
			t.Errorf("the page of a user asks for %+v", r)
		}
	}
	h.Press("esc")
	for range 7 {
		h.Press("down")
	}
	h.Press("enter")
	h.Screen()
	h.Tick()
	text := strings.Join(strings.Fields(h.Screen()), " ")
	if !strings.Contains(text, "room-00100, room-00101") || !strings.Contains(text, "and 9 800 more") {
		t.Errorf("the user with most rooms:\n%s", h.Screen())
	}
	h.Send(tea.KeyPressMsg{Code: '5', Text: "5"})
	assertHides(t, h, "> room-00100", "match")
	h.Tick()
	assertShows(t, h, "> room-00000", "10 000 rooms")
}

// TestPauseEndsForRoomsThatAreNotThere: it holds over those that are.
func TestPauseEndsForRoomsThatAreNotThere(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{"end": {"end"}, "filter": {"/", "room-01", "enter"}, "order": {"s"}} {
		h, _ := newManyRoomsHarness(t, 100, 30)
		h.Press("5", "down")
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
