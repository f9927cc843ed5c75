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

// manualClock is a clock that the test sets.
type manualClock struct{ now time.Time }

func (c *manualClock) advance(d time.Duration) { c.now = c.now.Add(d) }

func newHarnessWithClock(t *testing.T, state tuitest.ClusterState) (*tuitest.Harness, *tuitest.FakeClient, *manualClock) {
	t.Helper()
	clock := &manualClock{now: tuitest.Now}
	h, f := newHarness(t, state, func(c *tui.Config) { c.Now = func() time.Time { return clock.now } })
	return h, f, clock
}

// slowClient takes its time for each revocation and fails after the allowed
// number.
type slowClient struct {
	*tuitest.FakeClient
	allowed  int
	timeouts []time.Duration
}

func (s *slowClient) Revoke(ctx context.Context, id string) (admin.Revoked, error) {
	until, _ := ctx.Deadline()
	s.timeouts = append(s.timeouts, time.Until(until))
	if len(s.timeouts) > s.allowed {
		return admin.Revoked{}, core.Errorf(core.KindUnavailable, "no answer in time")
	}
	return s.FakeClient.Revoke(ctx, id)
}

func newSlowHarness(t *testing.T, patience int) (*tuitest.Harness, *slowClient) {
	t.Helper()
	c := &slowClient{allowed: patience}
	state := tuitest.Healthy()
	for i := range state.Users { // no user is skipped
		state.Users[i].Status = core.UserActive
	}
	h, _ := newHarness(t, state, func(cfg *tui.Config) {
		c.FakeClient = cfg.Client.(*tuitest.FakeClient)
		cfg.Client = c
	})
	return h, c
}

func confirmAction(h *tuitest.Harness, word string, keys ...string) {
	h.Press(keys...)
	h.Settle()
	h.Press(word, "enter", "enter")
}

func TestBulkRevokeTimeoutGrowsWithUsers(t *testing.T) {
	t.Parallel()
	h, c := newSlowHarness(t, 100)
	h.Press("4", "down")
	for range 20 {
		h.Press("m")
	}
	confirmAction(h, "20 users", "r")
	h.Settle()
	if len(c.timeouts) != 20 || c.timeouts[0] < 20*5*time.Second {
		t.Errorf("%d were revoked, within %v; each may take 5 s", len(c.timeouts), c.timeouts)
	}
}

func TestMarksGoBeforeAFailure(t *testing.T) {
	t.Parallel()
	h, _ := newSlowHarness(t, 2)
	h.Press("4", "down", "m", "m", "m", "m", "m")
	confirmAction(h, "5 users", "r")
	assertShows(t, h, "Waiting for the answer to user revoke: 0 of 5 so far.")
	h.Settle()
	assertShows(t, h, "No answer: user revoke")
	h.Press("esc")
	assertShows(t, h, "3 marked")
}

func TestMarksOfChangedUsersAreRemoved(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("4", "down", "m", "m")
	confirmAction(h, "2 users", "r")
	h.Press("3") // another page when the answer arrives
	h.Settle()
	h.Press("esc", "4")
	assertHides(t, h, "marked")

	h, f := newHarness(t, tuitest.Healthy())
	h.Press("3", "d")
	h.Settle()
	h.Press("tab", "tab", "enter")
	h.Press("4", "m", "m", "m") // while the action runs
	h.Settle()
	if len(f.Calls()) != 1 {
		t.Fatalf("calls %q", f.Calls())
	}
	h.Press("esc")
	assertShows(t, h, "3 marked")
}

func TestRevokeShowsSessionsPerNode(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Degraded())
	h.Press("4", ":", "user revoke chidi-00", "enter")
	h.Settle()
	h.Press("chidi-00", "enter", "enter")
	h.Settle()
	assertShows(t, h, "chidi-00 is revoked", "n1: 2 sessions ended in 9 ms", "n2: no session",
		"n3: unknown, it did not answer in time. Sessions may still be open there.",
		"Do: repeat this once every node answers: unibusd user revoke", "1 encrypted room needs a new key, because this user can read the old one: room-02")

	state := tuitest.Healthy()
	state.Rooms = nil
	h, _ = newHarness(t, state)
	h.Press("4", ":", "user revoke chidi-00", "enter")
	h.Settle()
	h.Press("chidi-00", "enter", "enter")
	h.Settle()
	assertShows(t, h, "chidi-00 is revoked; n1: 2 sessions ended in 9 ms, n2: no session, n3: no session.")
	assertHides(t, h, "[ Close ]")
}

func TestRevocationResultIsShown(t *testing.T) {
	t.Parallel()
	term, f := startTerminal(t, tuitest.Degraded(), 100, 30)
	waitFor(t, term, "live from n1")
	term.Press("4")
	waitFor(t, term, "bruno-00")
	term.Press("down")
	term.Press("r")
	waitFor(t, term, "Revoke bruno-00?", "enter choose")
	term.Press("bruno-00", "enter", "enter")
	waitFor(t, term, "n1: 2 sessions ended in 9 ms", "n3: unknown", "a new key")
	term.Press("esc")
	waitFor(t, term, "190 active, 10 revoked")
	if got := f.Calls(); len(got) != 1 || !strings.HasPrefix(got[0], "user-revoke U") {
		t.Errorf("calls %q", got)
	}
}

// TestBulkRevokeContinuesAfterAFailure: a retry reaches the users that are left.
func TestBulkRevokeContinuesAfterAFailure(t *testing.T) {
	t.Parallel()
	h, c := newSlowHarness(t, 2)
	h.Press("4", "down", "m", "m", "m", "m", "m")
	confirmAction(h, "5 users", "r")
	h.Settle()
	assertShows(t, h, "2 of 5 are revoked; then", "2 users are revoked", "n1: 4 sessions ended")
	c.allowed = 100
	h.Press("esc")
	h.Tick()
	confirmAction(h, "3 users", "r")
	h.Settle()
	assertShows(t, h, "3 users are revoked")
	if n := len(c.Calls()); n != 5 {
		t.Errorf("%d were revoked: %q", n, c.Calls())
	}
}

// TestResultIsShownInFullAfterAnotherCommand: a command that cannot run, typed while an action is under way,
// does not cost the result of that action.
func TestResultIsShownInFullAfterAnotherCommand(t *testing.T) {
	t.Parallel()
	h, _ := newSlowHarness(t, 2)
	h.Press("4", "down", "m", "m", "m", "m", "m")
	confirmAction(h, "5 users", "r")
	h.Press(":", "user revoke nobody-99", "enter")
	assertShows(t, h, "Still waiting for the answer to user revoke.")
	h.Settle()
	assertShows(t, h, "No answer: user revoke", "2 of 5 are revoked; then", "may have taken effect", "2 users are revoked")
}

// TestResultShowsTheWholeCommand: without the flags of the connection it would act on another cluster, or on none.
func TestResultShowsTheWholeCommand(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Copying(), func(c *tui.Config) { c.Flags = "--context ops" })
	h.Press("6", "P")
	h.Settle()
	assertShows(t, h, "Same as: unibusd migration pause --context ops")
}
