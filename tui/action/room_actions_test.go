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

// roomState is a console that has the rooms' list, and the whole of one room where opened is given.
func roomState(t *testing.T, w tuitest.World, sel action.Selection, opened string) action.State {
	t.Helper()
	f := feed.New(feed.Config{Source: tuitest.NewFake(w)})
	f.Subscribe(feed.Subscription{Rooms: true, Room: opened})
	return action.State{Snap: f.PollOnce(t.Context()), Selected: sel}
}

func TestRekeyNamesWhomItAsks(t *testing.T) {
	t.Parallel()
	w := tuitest.Healthy()
	for i := range 3 { // an owner's name is the owner's own
		k := w.Keys["room-01"]
		evil := "evil\x1b[2J"
		k.Can[i].Name = &evil
	}
	a := find(t, "room rekey")
	row := action.Selection{Kind: "room", IDs: []string{"room-01"}}
	for name, c := range map[string]struct {
		sel    action.Selection
		opened string
		asked  string
		same   string
	}{
		"row alone":   {row, "", "The node asks a member who is online", "unibusd room rekey room-01"},
		"row, opened": {row, "room-01", "Asked is evil\uFFFD[2J (owner), online at n2.", "unibusd room rekey room-01 --user " + string(w.Rooms[1].Owner)},
		"a member":    {action.Selection{Kind: "user", IDs: []string{"x"}, Room: "room-01"}, "room-01", "Asked is", "--user"},
		"nobody":      {action.Selection{Room: "room-01"}, "room-01", "Asked is", "--user"},
		"another":     {row, "room-03", "The node asks a member who is online", "unibusd room rekey room-01"},
	} {
		s := roomState(t, w, c.sel, c.opened)
		if why := a.Why(s); why != "" {
			t.Errorf("%s: not possible: %s", name, why)
		}
		if text := strings.Join(a.Ask(s).Lines, "\n"); !strings.Contains(text, c.asked) || strings.Contains(text, "\x1b") {
			t.Errorf("%s: the question is %q", name, text)
		}
		if same := a.Same(s, nil); !strings.Contains(same, c.same) {
			t.Errorf("%s: the same as %q", name, same)
		}
		f := tuitest.NewFake(w)
		if text, err := a.Run(context.Background(), f, s, nil); err != nil || !strings.Contains(text, "room-01 is at epoch 1") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if why := a.Why(roomState(t, w, action.Selection{}, "room-01")); why != "no room is selected" {
		t.Errorf("without a selection: %q", why)
	}
}

// TestRekeySaysHowManyItIsAbout where it is more than one.
func TestRekeySaysHowManyItIsAbout(t *testing.T) {
	t.Parallel()
	w := tuitest.Healthy()
	k := w.Keys["room-01"]
	k.MustRekey = 12
	w.Keys["room-01"] = k
	s := roomState(t, w, action.Selection{Kind: "room", IDs: []string{"room-01"}}, "room-01")
	if text := strings.Join(find(t, "room rekey").Ask(s).Lines, "\n"); !strings.Contains(text, "12 people may not read any more and still know the key") {
		t.Errorf("%q", text)
	}
	k.Why = core.Errorf(core.KindRefused, "nobody is left")
	w.Keys["room-01"] = k
	if why := find(t, "room rekey").Why(roomState(t, w, s.Selected, "room-01")); why != "nobody is left" {
		t.Errorf("%q", why)
	}
}
