package tui_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui"
	"unibus/tui/tuitest"
)

// TestOperatorAsksForANewKey uses the terminal: the request goes to the member that
// the dialog named, and the page shows the new epoch without a key.
func TestOperatorAsksForANewKey(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		term, f := startTerminal(t, tuitest.Healthy(), size[0], size[1])
		waitFor(t, term, "live from n1")
		term.Press("5")
		waitFor(t, term, "Rekey required in 8 rooms")
		term.Press("down")
		waitFor(t, term, "r rekey")
		term.Press("enter")
		waitFor(t, term, "Rekey required: a removed, revoked or expired", "could rekey", "bruno-00 (owner, n2)")
		term.Press("r")
		waitFor(t, term, "Ask for a new key of room-01?", "The request goes to bruno-00 (owner), online on n2.", "kemal-02 must no longer read but still knows the key", "enter choose")
		term.Press("tab", "enter")
		waitFor(t, term, "bruno-00 was asked on n2; room-01 stays at epoch 1")
		owner := tuitest.Healthy().Rooms[1].Owner
		assertCalls(t, f, fmt.Sprintf("room-rekey room-01 %s", owner))
		f.Change(func(state *tuitest.ClusterState) {
			state.Rooms = append([]admin.RoomSummary(nil), state.Rooms...)
			state.Rooms[1].Epoch = 2
			state.Keys["room-01"] = admin.RoomKeys{KeyHealth: admin.KeyHealth{State: admin.KeysOK, Since: core.MillisOf(tuitest.Now.Add(-3 * time.Second))}, CannotAsk: core.Errorf(core.KindRefused, "no new key is needed")}
		})
		waitFor(t, term, "● Only the active members have the current key", "2   for 3 s")
	}
}

// TestRekeySaysWhyItIsUnavailable covers each reason.
func TestRekeySaysWhyItIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		world  func() tuitest.ClusterState
		keys   []string
		change func(*tui.Config)
		text   string
	}{
		{"plain", tuitest.Healthy, []string{"5", "r"}, nil, "Not available: the room room-00 is not encrypted: it has no key."},
		{"well", tuitest.Healthy, []string{"5", "down", "down", "r"}, nil, "Not available: the room room-02 needs no new key"},
		{"archived", tuitest.Healthy, []string{":", "rekey room-09", "enter"}, nil, ""},
		{"archived in the list", tuitest.Healthy, []string{"5", "/", "room-09", "enter", "r"}, nil, "Not available: the room room-09 is archived: it cannot be changed."},
		{"nobody is online", tuitest.Healthy, []string{"5", "/", "room-11", "enter", "r"}, nil, "Not available: no online member of the room room-11 can create a new key."},
		{"no such room", tuitest.Healthy, []string{"5", ":", "room rekey nowhere", "enter"}, nil, `There is no room "nowhere".`},
		{"no such name", tuitest.Healthy, []string{"5", ":", "room rekey a.b", "enter"}, nil, "Not done: room rekey"},
		{"a viewer", tuitest.CopyingAsViewer, []string{"5", "down", "r"}, nil, "only an admin may do this."},
		{"a viewer in the room", tuitest.CopyingAsViewer, []string{"5", "down", "enter"}, nil, "Do: let an admin ask an online member for a new key: unibusd room rekey room-01"},
		{"read-only", tuitest.Healthy, []string{"5", "down", "r"}, func(c *tui.Config) { c.ReadOnly = true }, "--read-only."},
		{"no rooms", func() tuitest.ClusterState { state := tuitest.Healthy(); state.Rooms = nil; return state }, []string{"5", "r"}, nil, "Not available: no room is selected."},
	} {
		var changes []func(*tui.Config)
		if c.change != nil {
			changes = append(changes, c.change)
		}
		h, f := newHarness(t, c.world(), changes...)
		for _, k := range c.keys {
			h.Press(k)
			h.Screen() // drawing the list subscribes to the selected room
			h.Tick()
			h.Settle()
		}
		if !strings.Contains(strings.Join(strings.Fields(h.Screen()), " "), c.text) {
			t.Errorf("%s: the screen does not show %q:\n%s", c.name, c.text, h.Screen())
		}
		if got := f.Calls(); len(got) > 0 {
			t.Errorf("%s: asked for %q", c.name, got)
		}
	}
}

// TestRekeyTakesAnyRoomByName, even one that was not polled: a node says whether there is one, and chooses.
func TestRekeyTakesAnyRoomByName(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press(":", "rekey room-03", "enter")
	assertShows(t, h, "Looking up room-03; esc cancels.")
	h.Settle()
	assertShows(t, h, "Ask for a new key of room-03?", "The node asks an online member with the key", "unibusd room rekey room-03 --server")
	h.Settle()
	h.Press("tab", "enter")
	h.Settle()
	assertShows(t, h, "was asked on n2; room-03 stays at epoch 3")
	assertCalls(t, f, "room-rekey room-03 ")
}

// TestRekeyRefusalIsShown: the member may have gone since the dialog opened.
func TestRekeyRefusalIsShown(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press("5", "down", "enter", "r")
	h.Settle()
	f.Change(func(state *tuitest.ClusterState) {
		k := state.Keys["room-01"]
		k.CannotAsk = core.Errorf(core.KindRefused, "bruno-00 does not have the room open").WithNext("leave the choice to the node: another member has it open")
		state.Keys["room-01"] = k
	})
	h.Press("tab", "enter")
	h.Settle()
	assertShows(t, h, "Not done: room rekey", "Bruno-00 does not have the room open.", "Do: leave the choice to the node")
}

// TestRoomsWithoutHealth: an older node, or one whose key health is not known,
// raises no alarm.
func TestRoomsWithoutHealth(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	for i := range state.Rooms {
		state.Rooms[i].Keys = nil
	}
	state.Keys = nil
	h, _ := newHarness(t, state)
	h.Press("5")
	assertShows(t, h, "? unknown", "room-01")
	assertHides(t, h, "Rekey required")
	h.Press("down", "enter")
	assertShows(t, h, "? The state of the key is not known: n1 does not report it.", "20 ", "bruno-00")
}

// TestRoomThatCannotBeRead shows the reason, and the room once it can be read.
func TestRoomThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press("5", "down")
	f.Fail(core.Errorf(core.KindUnavailable, "no node that can be reached serves the control plane").WithNext("`unibus-tui status` says why"))
	h.Press("down", "down", "enter")
	assertShows(t, h, "So far: no node that can be reached serves the control plane.", "Do: `unibus-tui status` says why")
	f.Fail(nil)
	h.Tick()
	assertShows(t, h, "Rekey required: a removed")
}

// TestRoomFilterDoesNotFilterMembers: the filter that found a room does not apply
// to its members; one typed in the room does.
func TestRoomFilterDoesNotFilterMembers(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("5", "/", "rekey", "enter")
	assertShows(t, h, "8 match /rekey.", "room-01")
	assertHides(t, h, "room-02")
	h.Press("enter")
	assertShows(t, h, "petra-00", "chidi-01")
	h.Press("/", "backspace", "backspace", "backspace", "backspace", "backspace", "still", "enter")
	assertShows(t, h, "kemal-02")
	assertHides(t, h, "petra-00")
	h.Press("esc", "esc", "enter") // the cursor is still on the room
	assertShows(t, h, "room-01", "petra-00")
}

// TestLargeRoomIsFetchedPageByPage: a page of members is fetched at a time, and
// all of them for a filter.
func TestLargeRoomIsFetchedPageByPage(t *testing.T) {
	t.Parallel()
	const n = 10_000
	state := tuitest.Healthy()
	var all []admin.RoomMember
	for i := range n {
		name := fmt.Sprintf("worker-%05d", i)
		all = append(all, admin.RoomMember{
			Member: core.Member{Room: "room-01", User: core.UserID(fmt.Sprintf("U%055d", i)), Role: core.MemberMember, State: core.MemberActive},
			Name:   &name, Status: core.UserActive, Boxed: true,
		})
	}
	state.Members["room-01"] = all
	h, _ := newHarness(t, state)
	h.Press("5", "down", "enter")
	assertShows(t, h, "1 000 of 10 000 members are listed; more are fetched at the end of the list.", "worker-00000")
	h.Press("end")
	assertShows(t, h, "2 000 of 10 000", "worker-00999")
	h.Press("down", "end")
	assertShows(t, h, "3 000 of 10 000", "worker-01999")
	h.Press("/", "worker-09998", "enter")
	h.Screen() // drawing finds that the row is missing
	h.Tick()
	h.Tick()
	assertShows(t, h, "worker-09998")
	assertHides(t, h, "are listed", "worker-09999")
}

// TestExpiredMembersCountAsInactive: as the node counts them, and as those that were revoked.
func TestExpiredMembersCountAsInactive(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	for i := range state.Members["room-01"] {
		m := &state.Members["room-01"][i]
		if m.Name != nil && *m.Name == "bruno-00" {
			m.Status, m.Boxed = core.UserExpired, true
		}
		if m.Name != nil && *m.Name == "petra-00" {
			m.Status, m.Boxed = core.UserExpired, false
		}
	}
	h, _ := newHarness(t, state)
	h.Press("5", "down", "enter")
	assertShows(t, h, "Rekey required: a removed, revoked or expired user still knows")
	for _, line := range strings.Split(h.Screen(), "\n") {
		if strings.Contains(line, "bruno-00") && strings.Contains(line, "expired") && !strings.Contains(line, "▲ still has") ||
			strings.Contains(line, "petra-00") && !strings.Contains(line, "none") {
			t.Errorf("an expired member: %s", line)
		}
	}
}

// TestRoomAdviceCanBeCopied: with the flags of the connection, and without a full stop after the command.
func TestRoomAdviceCanBeCopied(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.CopyingAsViewer())
	h.Press("5", "down", "enter")
	if got := strings.Join(strings.Fields(h.Screen()), " "); !strings.Contains(got, "unibusd room rekey room-01 --server") {
		t.Errorf("no flags:\n%s", h.Screen())
	}

	state := tuitest.Healthy()
	k := state.Keys["room-01"]
	k.CannotAsk = core.Errorf(core.KindRefused, "nobody can").WithNext("leave the choice to the node, or see `unibusd room get room-01`")
	state.Keys["room-01"] = k
	h, _ = newHarness(t, state)
	h.Press("5", "down", "enter")
	assertShows(t, h, "see `unibusd room get room-01`")
	assertHides(t, h, "room-01`.")
}
