package tui_test

import (
	"context"
	"strings"
	"testing"
	"time"

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

func TestRevokeShowsItsProof(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Degraded())
	s.Press("4", ":", "user revoke chidi-00", "enter")
	s.Settle()
	s.Press("chidi-00", "enter", "enter")
	s.Settle()
	shows(t, s, "chidi-00 is revoked", "n1: 2 sessions ended in 9 ms", "n2: no session",
		"n3: unknown, it did not answer in time. Sessions may still be open there.",
		"Do: ask again once every node answers: unibusd user revoke", "1 encrypted room needs a new key, for this user can read the old one: room-02")

	w := tuitest.Healthy()
	w.Rooms = nil
	s, _ = still(t, w)
	s.Press("4", ":", "user revoke chidi-00", "enter")
	s.Settle()
	s.Press("chidi-00", "enter", "enter")
	s.Settle()
	shows(t, s, "chidi-00 is revoked; n1: 2 sessions ended in 9 ms, n2: no session, n3: no session.")
	hides(t, s, "[ Close ]")
}

func TestRevocationIsProvenOnTheScreen(t *testing.T) {
	t.Parallel()
	term, f := start(t, tuitest.Degraded(), 100, 30)
	wait(t, term, "live from n1")
	term.Press("4")
	wait(t, term, "bruno-00")
	term.Press("down")
	term.Press("r")
	wait(t, term, "Revoke bruno-00?", "enter choose")
	term.Press("bruno-00", "enter", "enter")
	wait(t, term, "n1: 2 sessions ended in 9 ms", "n3: unknown", "a new key")
	term.Press("esc")
	wait(t, term, "190 active, 10 revoked")
	if got := f.Calls(); len(got) != 1 || !strings.HasPrefix(got[0], "user-revoke U") {
		t.Errorf("asked of the cluster: %q", got)
	}
}

// A retry of a bulk revoke that failed half way reaches those who are left.
func TestABulkRevokeThatFailedGoesOn(t *testing.T) {
	t.Parallel()
	s, c := revokers(t, 2)
	s.Press("4", "down", "m", "m", "m", "m", "m")
	ask(s, "5 users", "r")
	s.Settle()
	shows(t, s, "2 of 5 are revoked; then", "2 users are revoked", "n1: 4 sessions ended")
	c.patience = 100
	s.Press("esc")
	s.Tick()
	ask(s, "3 users", "r")
	s.Settle()
	shows(t, s, "3 users are revoked")
	if n := len(c.Calls()); n != 5 {
		t.Errorf("%d were revoked: %q", n, c.Calls())
	}
}
