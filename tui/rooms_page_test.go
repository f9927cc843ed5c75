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

// TestOperatorAsksForANewKey through the terminal: who is asked is who the
// dialog named, and the page shows the new epoch by itself.
func TestOperatorAsksForANewKey(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		term, f := start(t, tuitest.Healthy(), size[0], size[1])
		wait(t, term, "live from n1")
		term.Press("5")
		wait(t, term, "Rekey required in 8 rooms")
		term.Press("down")
		wait(t, term, "r rekey")
		term.Press("enter")
		wait(t, term, "Rekey required: somebody removed or revoked", "could rekey", "bruno-00 (owner, n2)")
		term.Press("r")
		wait(t, term, "Ask for a new key of room-01?", "Asked is bruno-00 (owner), online at n2.", "kemal-02 may not read any more and still knows the key", "enter choose")
		term.Press("tab", "enter")
		wait(t, term, "bruno-00 was asked at n2; room-01 is at epoch 1")
		owner := tuitest.Healthy().Rooms[1].Owner
		calls(t, f, fmt.Sprintf("room-rekey room-01 %s", owner))
		f.Change(func(w *tuitest.World) {
			w.Rooms = append([]admin.RoomSummary(nil), w.Rooms...)
			w.Rooms[1].Epoch = 2
			w.Keys["room-01"] = admin.RoomKeys{KeyHealth: admin.KeyHealth{State: admin.KeysOK, Since: core.MillisOf(tuitest.Now.Add(-3 * time.Second))}, Why: core.Errorf(core.KindRefused, "no new key is needed")}
		})
		wait(t, term, "● Every active member has the current key", "2   for 3 s")
	}
}

// TestNewKeyIsNotAskedForInVain: each reason, where the key says it.
func TestNewKeyIsNotAskedForInVain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		world  func() tuitest.World
		keys   []string
		change func(*tui.Config)
		text   string
	}{
		{"plain", tuitest.Healthy, []string{"5", "r"}, nil, "Not possible: the room room-00 is not encrypted: it has no key."},
		{"well", tuitest.Healthy, []string{"5", "down", "down", "r"}, nil, "Not possible: the room room-02 needs no new key"},
		{"archived", tuitest.Healthy, []string{":", "rekey room-09", "enter"}, nil, ""},
		{"archived in the list", tuitest.Healthy, []string{"5", "/", "room-09", "enter", "r"}, nil, "Not possible: the room room-09 is archived: nothing is changed in it."},
		{"nobody is online", tuitest.Healthy, []string{"5", "/", "room-11", "enter", "r"}, nil, "Not possible: nobody who could make a new key for the room room-11 has it open."},
		{"no such room", tuitest.Healthy, []string{"5", ":", "room rekey nowhere", "enter"}, nil, `There is no room "nowhere".`},
		{"no such name", tuitest.Healthy, []string{"5", ":", "room rekey a.b", "enter"}, nil, "Not done: room rekey"},
		{"a viewer", tuitest.Watched, []string{"5", "down", "r"}, nil, "only an admin may do this."},
		{"a viewer in the room", tuitest.Watched, []string{"5", "down", "enter"}, nil, "Do: an admin asks a member who is online: unibusd room rekey room-01"},
		{"read-only", tuitest.Healthy, []string{"5", "down", "r"}, func(c *tui.Config) { c.ReadOnly = true }, "--read-only."},
		{"no rooms", func() tuitest.World { w := tuitest.Healthy(); w.Rooms = nil; return w }, []string{"5", "r"}, nil, "Not possible: no room is selected."},
	} {
		var changes []func(*tui.Config)
		if c.change != nil {
			changes = append(changes, c.change)
		}
		s, f := still(t, c.world(), changes...)
		for _, k := range c.keys {
			s.Press(k)
			s.Screen() // the selected room is asked for once it is shown
			s.Tick()
		}
		if !strings.Contains(strings.Join(strings.Fields(s.Screen()), " "), c.text) {
			t.Errorf("%s: the screen does not show %q:\n%s", c.name, c.text, s.Screen())
		}
		if got := f.Calls(); len(got) > 0 {
			t.Errorf("%s: asked for %q", c.name, got)
		}
	}
}

// TestAnyRoomIsAskedForByName also where nobody has looked at it: the node chooses then.
func TestAnyRoomIsAskedForByName(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Healthy())
	s.Press(":", "rekey room-03", "enter")
	shows(t, s, "Ask for a new key of room-03?", "The node asks a member who is online and has the key", "unibusd room rekey room-03 --server")
	s.Settle()
	s.Press("tab", "enter")
	s.Settle()
	shows(t, s, "was asked at n2; room-03 is at epoch 3")
	calls(t, f, "room-rekey room-03 ")
}

// TestRefusalOfANewKeyIsShown: who was there when the dialog opened may be gone.
func TestRefusalOfANewKeyIsShown(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Healthy())
	s.Press("5", "down", "enter", "r")
	s.Settle()
	f.Change(func(w *tuitest.World) {
		k := w.Keys["room-01"]
		k.Why = core.Errorf(core.KindRefused, "bruno-00 does not have the room open").WithNext("leave the choice to the node: somebody else has")
		w.Keys["room-01"] = k
	})
	s.Press("tab", "enter")
	s.Settle()
	shows(t, s, "Not done: room rekey", "Bruno-00 does not have the room open.", "Do: leave the choice to the node")
}

// TestRoomsWithoutHealth: an older node, or one whose survey failed, raises no alarm.
func TestRoomsWithoutHealth(t *testing.T) {
	t.Parallel()
	w := tuitest.Healthy()
	for i := range w.Rooms {
		w.Rooms[i].Keys = nil
	}
	w.Keys = nil
	s, _ := still(t, w)
	s.Press("5")
	shows(t, s, "? unknown", "room-01")
	hides(t, s, "Rekey required")
	s.Press("down", "enter")
	shows(t, s, "? How it stands with its key is not known: n1 does not say.", "20 ", "bruno-00")
}

// TestRoomThatCannotBeRead says why, and goes on once it can.
func TestRoomThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Healthy())
	s.Press("5", "down")
	f.Fail(core.Errorf(core.KindUnavailable, "no node that can be reached serves the control plane").WithNext("`unibus-tui status` says why"))
	s.Press("down", "down", "enter")
	shows(t, s, "So far: no node that can be reached serves the control plane.", "Do: `unibus-tui status` says why")
	f.Fail(nil)
	s.Tick()
	shows(t, s, "Rekey required: somebody removed")
}

// TestFilterThatFoundARoomIsNotForItsPeople, and one that is typed there is.
func TestFilterThatFoundARoomIsNotForItsPeople(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("5", "/", "rekey", "enter")
	shows(t, s, "8 match /rekey.", "room-01")
	hides(t, s, "room-02")
	s.Press("enter")
	shows(t, s, "petra-00", "chidi-01")
	s.Press("/", "backspace", "backspace", "backspace", "backspace", "backspace", "still", "enter")
	shows(t, s, "kemal-02")
	hides(t, s, "petra-00")
	s.Press("esc", "esc", "down", "enter")
	shows(t, s, "room-01", "petra-00")
}

// TestLargeRoomIsFetchedPageByPage: ten thousand members, of whom a page is
// fetched at a time, and everybody where somebody is looked for.
func TestLargeRoomIsFetchedPageByPage(t *testing.T) {
	t.Parallel()
	const n = 10_000
	w := tuitest.Healthy()
	var all []admin.RoomMember
	for i := range n {
		name := fmt.Sprintf("worker-%05d", i)
		all = append(all, admin.RoomMember{
			Member: core.Member{Room: "room-01", User: core.UserID(fmt.Sprintf("U%055d", i)), Role: core.MemberMember, State: core.MemberActive},
			Name:   &name, Status: core.UserActive, Boxed: true,
		})
	}
	w.Members["room-01"] = all
	s, _ := still(t, w)
	s.Press("5", "down", "enter")
	shows(t, s, "1 000 of 10 000 members are listed; more are fetched at the end of the list.", "worker-00000")
	s.Press("end")
	shows(t, s, "2 000 of 10 000", "worker-00999")
	s.Press("down", "end")
	shows(t, s, "3 000 of 10 000", "worker-01999")
	s.Press("/", "worker-09998", "enter")
	s.Screen() // what is drawn finds out that it is not there
	s.Tick()
	s.Tick()
	shows(t, s, "worker-09998")
	hides(t, s, "are listed", "worker-09999")
}
