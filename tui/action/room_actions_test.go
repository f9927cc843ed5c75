package action_test

import (
	"context"
	"strings"
	"testing"

	"unibus/core"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/tuitest"
)

// newRoomState is a console with the list of rooms and, if open is given, that
// room's detail.
func newRoomState(t *testing.T, state tuitest.ClusterState, sel action.Selection, opened string) action.Input {
	t.Helper()
	f := feed.New(feed.Config{Client: tuitest.NewFakeClient(state)})
	f.Subscribe(feed.Subscription{Rooms: &feed.RoomWindow{RoomPageRequest: core.RoomPageRequest{Limit: 100}}, Room: opened})
	return action.Input{Snapshot: f.PollOnce(t.Context()), Selected: sel}
}

func TestRekeyNamesTheMemberItAsks(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	for i := range 3 { // names may contain anything
		k := state.Keys["room-01"]
		evil := "evil\x1b[2J"
		k.CanRekey[i].Name = &evil
	}
	a := findAction(t, "room rekey")
	row := action.Selection{Kind: action.KindRoom, IDs: []string{"room-01"}}
	for name, c := range map[string]struct {
		sel    action.Selection
		opened string
		asked  string
		same   string
	}{
		"row alone":   {row, "", "The node asks an online member", "unibusd room rekey room-01"},
		"row, opened": {row, "room-01", "The request goes to evil\uFFFD[2J (owner), online on n2.", "unibusd room rekey room-01 --user " + string(state.Rooms[1].Owner)},
		"a member":    {action.Selection{Kind: action.KindUser, IDs: []string{"x"}, Room: "room-01"}, "room-01", "The request goes to", "--user"},
		"nobody":      {action.Selection{Room: "room-01"}, "room-01", "The request goes to", "--user"},
		"another":     {row, "room-03", "The node asks an online member", "unibusd room rekey room-01"},
	} {
		s := newRoomState(t, state, c.sel, c.opened)
		if why := a.Unavailable(s); why != "" {
			t.Errorf("%s: unavailable: %s", name, why)
		}
		if text := strings.Join(a.Question(s).Lines, "\n"); !strings.Contains(text, c.asked) || strings.Contains(text, "\x1b") {
			t.Errorf("%s: the question is %q", name, text)
		}
		if same := a.Command(s, nil); !strings.Contains(same, c.same) {
			t.Errorf("%s: the same as %q", name, same)
		}
		f := tuitest.NewFakeClient(state)
		if text, err := a.Run(context.Background(), f, s, nil); err != nil || !strings.Contains(text, "room-01 stays at epoch 1") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if why := a.Unavailable(newRoomState(t, state, action.Selection{}, "room-01")); why != "no room is selected" {
		t.Errorf("without a selection: %q", why)
	}
}

func TestRekeyCountsFormerReaders(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	k := state.Keys["room-01"]
	k.MustRekey = 12
	state.Keys["room-01"] = k
	s := newRoomState(t, state, action.Selection{Kind: action.KindRoom, IDs: []string{"room-01"}}, "room-01")
	if text := strings.Join(findAction(t, "room rekey").Question(s).Lines, "\n"); !strings.Contains(text, "12 users must no longer read but still know the key") {
		t.Errorf("%q", text)
	}
	k.CannotAsk = core.Errorf(core.KindRefused, "nobody is left")
	state.Keys["room-01"] = k
	if why := findAction(t, "room rekey").Unavailable(newRoomState(t, state, s.Selected, "room-01")); why != "nobody is left" {
		t.Errorf("%q", why)
	}
}
