package tui_test

import (
	"context"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui"
	"unibus/tui/tuitest"
)

// moment is a clock that is turned by hand.
type moment struct{ now time.Time }

func (m *moment) on(d time.Duration) { m.now = m.now.Add(d) }

func turned(t *testing.T, w tuitest.World) (*tuitest.Still, *tuitest.Fake, *moment) {
	t.Helper()
	at := &moment{now: tuitest.Now}
	s, f := still(t, w, func(c *tui.Config) { c.Now = func() time.Time { return at.now } })
	return s, f, at
}

// slow is a cluster with a silent node: each revocation takes its time, and the
// one after the last that it has patience for fails.
type slow struct {
	*tuitest.Fake
	patience int
	bounds   []time.Duration
}

func (s *slow) Revoke(ctx context.Context, id string) (admin.Revoked, error) {
	until, _ := ctx.Deadline()
	s.bounds = append(s.bounds, time.Until(until))
	if len(s.bounds) > s.patience {
		return admin.Revoked{}, core.Errorf(core.KindUnavailable, "no answer in time")
	}
	return s.Fake.Revoke(ctx, id)
}

func revokers(t *testing.T, patience int) (*tuitest.Still, *slow) {
	t.Helper()
	c := &slow{patience: patience}
	w := tuitest.Healthy()
	for i := range w.Users { // nobody is passed over
		w.Users[i].Status = core.UserActive
	}
	s, _ := still(t, w, func(cfg *tui.Config) {
		c.Fake = cfg.Client.(*tuitest.Fake)
		cfg.Client = c
	})
	return s, c
}

func ask(s *tuitest.Still, word string, keys ...string) {
	s.Press(keys...)
	s.Settle()
	s.Press(word, "enter", "enter")
}

func TestBulkRevokeHasTimeForEveryUser(t *testing.T) {
	t.Parallel()
	s, c := revokers(t, 100)
	s.Press("4", "down")
	for range 20 {
		s.Press("m")
	}
	ask(s, "20 users", "r")
	s.Settle()
	if len(c.bounds) != 20 || c.bounds[0] < 20*5*time.Second {
		t.Errorf("%d were revoked, within %v; each may take 5 s", len(c.bounds), c.bounds)
	}
}

func TestWhatWasDoneBeforeAFailureIsUnmarked(t *testing.T) {
	t.Parallel()
	s, _ := revokers(t, 2)
	s.Press("4", "down", "m", "m", "m", "m", "m")
	ask(s, "5 users", "r")
	shows(t, s, "Waiting for the answer to user revoke: 0 of 5 so far.")
	s.Settle()
	shows(t, s, "No answer: user revoke")
	s.Press("esc")
	shows(t, s, "3 marked")
}

func TestMarksGoWithWhatWasDone(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("4", "down", "m", "m")
	ask(s, "2 users", "r")
	s.Press("3") // somewhere else when the answer comes
	s.Settle()
	s.Press("esc", "4")
	hides(t, s, "marked")

	s, f := still(t, tuitest.Healthy())
	s.Press("3", "d")
	s.Settle()
	s.Press("tab", "tab", "enter")
	s.Press("4", "m", "m", "m") // meanwhile
	s.Settle()
	if len(f.Calls()) != 1 {
		t.Fatalf("calls %q", f.Calls())
	}
	s.Press("esc")
	shows(t, s, "3 marked")
}

func TestLeavingAsksWhileAnActionIsAtWork(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"q"}, {"ctrl+c"}, {":", "quit", "enter"}} {
		s, _ := still(t, tuitest.Healthy())
		s.Press(keys...)
		if s.Step(); !s.Left {
			t.Errorf("%q does not quit", keys)
		}
		s, f := still(t, tuitest.Healthy())
		s.Press("4", "down", "m", "m")
		ask(s, "2 users", "r")
		s.Press("3")
		s.Press(keys...)
		shows(t, s, "Leave while user revoke is at work?", "0 of 2 so far")
		s.Settle()
		if s.Left || len(f.Calls()) != 2 {
			t.Errorf("%q: left %v with %q", keys, s.Left, f.Calls())
		}
		shows(t, s, "2 users are revoked")
		hides(t, s, "Leave while")
	}
}

func TestLeavingTwiceLeaves(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("4", "down", "m", "m")
	ask(s, "2 users", "r")
	s.Drop() // its answer never comes
	s.Press("ctrl+c")
	s.Press("ctrl+c") // a key bounced, nobody has read the question
	if s.Step(); s.Left {
		t.Fatal("it left before its question could be read")
	}
	s.Settle()
	s.Press("ctrl+c")
	if s.Step(); !s.Left {
		t.Error("ctrl+c does not leave when it is asked for again")
	}
}

func TestOpenOneIsWhatIsActedOn(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("3", "down", "enter", "/", "users", "enter")
	shows(t, s, "UNIBUS_rooms  3 of 3 current")
	s.Press("d")
	s.Settle()
	shows(t, s, "unibusd step-down UNIBUS_rooms")
	s.Press("esc", "y")
	shows(t, s, "Copied the id; or by hand: UNIBUS_rooms")

	s, f := still(t, tuitest.Healthy()) // it is missing from one status
	s.Press("3", "down", "enter")
	all := tuitest.Healthy().Status.Buckets
	f.Change(func(w *tuitest.World) { w.Status.Buckets = append(all[:1:1], all[2:]...) })
	s.Tick()
	f.Change(func(w *tuitest.World) { w.Status.Buckets = all })
	s.Tick()
	s.Press("d")
	s.Settle()
	shows(t, s, "unibusd step-down UNIBUS_rooms")
}

func TestOpenedFromElsewhereIsWhatOpens(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("2", "/", "n1", "enter", "1", "down", "down", "enter")
	shows(t, s, "● n3  answers", "IF N3 STOPS")
}

func TestOpenEntryIsWhatIsCopied(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Unsafe())
	keys := tuitest.Unsafe().Rollout.Nodes["n1"].WouldDeny
	s.Press("8", "down", "enter")
	shows(t, s, keys[1].Key)
	f.Change(func(w *tuitest.World) {
		n := w.Rollout.Nodes["n1"]
		n.WouldDeny = append(keys[:1:1], keys[2:]...)
		w.Rollout.Nodes["n1"] = n
	})
	s.Tick()
	s.Press("y")
	shows(t, s, "not listed any more", "There is nothing to copy here.")

	s, _ = still(t, tuitest.Healthy())
	s.Press("9", "enter", "/", "zzz", "enter", "y")
	shows(t, s, "Copied", tuitest.Healthy().Audit[0].Verb)
	s, _ = still(t, tuitest.Healthy())
	s.Press("7", "enter", "/", "zzz", "enter", "y")
	shows(t, s, "Copied the event")
}

func TestNothingIsDoneUnseen(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Healthy())
	s.Press("2")
	s.Send(tea.WindowSizeMsg{Width: 79, Height: 24})
	s.Press("d", "tab", "tab")
	s.Settle()
	s.Press("y", "enter")
	s.Settle()
	calls(t, f)
	s.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	shows(t, s, "SERVES")
	hides(t, s, "[ Cancel ]")
	s.Press("d")
	s.Send(tea.WindowSizeMsg{Width: 80, Height: 23})
	s.Settle()
	shows(t, s, "A question is open: esc cancels it.")
	s.Press("y")
	s.Settle()
	calls(t, f)
	s.Press("esc")
	hides(t, s, "A question is open")
	s.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	hides(t, s, "[ Cancel ]")
}

func TestSmallWindowsQQuitsAlways(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{"marks": {"4", "m"}, "a detail": {"4", "enter"}, "a question": {"4", "a"}, "a prompt": {":"}} {
		s, _ := still(t, tuitest.Healthy())
		s.Press(keys...)
		s.Settle()
		s.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
		s.Press("q")
		if s.Step(); !s.Left {
			t.Errorf("with %s q does not quit", name)
		}
	}
	s, _ := still(t, tuitest.Healthy())
	s.Press("4", "down", "m", "m")
	ask(s, "2 users", "r")
	s.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
	s.Press("q")
	shows(t, s, "q quits all the same")
}
