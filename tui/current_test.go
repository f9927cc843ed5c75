package tui_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui"
	"unibus/tui/theme"
	"unibus/tui/tuitest"
)

// partlyFailing answers everything but the users while it fails.
type partlyFailing struct {
	*tuitest.FakeClient
	fails atomic.Bool
}

func (c *partlyFailing) UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error) {
	if c.fails.Load() {
		return core.UserPage{}, core.Errorf(core.KindUnavailable, "the bucket users has no leader")
	}
	return c.FakeClient.UserPage(ctx, r)
}

func headLine(h *tuitest.Harness) string {
	line, _, _ := strings.Cut(h.Model.View().Content, "\n")
	return line
}

func colored(tone theme.Tone, text string) string {
	return theme.New(theme.Dark, false).Paint(tone, text)
}

// TestPageThatIsNotRefreshedSaysSoInTheHead, in amber, while the status is live; its rows are dim.
func TestPageThatIsNotRefreshedSaysSoInTheHead(t *testing.T) {
	t.Parallel()
	now := tuitest.Now
	c := &partlyFailing{FakeClient: tuitest.NewFakeClient(tuitest.Healthy())}
	h := tuitest.NewHarness(tui.Config{Client: c, Theme: "dark", Now: func() time.Time { return now }}, 100, 30)
	h.Press("4")
	c.fails.Store(true)
	now = now.Add(12 * time.Second)
	h.Tick()
	if got := headLine(h); !strings.Contains(got, colored(theme.Warn, "page not refreshed for 12 s")) || !strings.Contains(got, colored(theme.Good, "● healthy")) {
		t.Errorf("the head is %q", got)
	}
	assertShows(t, h, "The bucket users has no leader.", "bruno-00")
	if line := findLine(t, h, "bruno-00"); strings.Contains(line, colored(theme.Good, "● active")) {
		t.Errorf("a row that may be wrong is colored: %q", line)
	}
	h.Press("down", "enter")
	if line := findLine(t, h, "can connect to every node"); strings.Contains(line, colored(theme.Good, "● active")) {
		t.Errorf("the open row is colored: %q", line)
	}
	h.Press("esc", "3")
	if got := headLine(h); strings.Contains(got, "not refreshed") {
		t.Errorf("another page: %q", got)
	}
	c.fails.Store(false)
	h.Press("4", "home")
	h.Tick()
	if line := findLine(t, h, "bruno-00"); strings.Contains(headLine(h), "not refreshed") || !strings.Contains(line, colored(theme.Good, "● active")) {
		t.Errorf("after an answer: %q %q", headLine(h), line)
	}
}

// TestHeadIsGreenOnlyWithACurrentAnswer: an old verdict is no color, before it is called old.
func TestHeadIsGreenOnlyWithACurrentAnswer(t *testing.T) {
	t.Parallel()
	now := tuitest.Now
	cfg, f := newConfig(tuitest.Healthy())
	cfg.Theme, cfg.Now = "dark", func() time.Time { return now }
	h := tuitest.NewHarness(cfg, 100, 30)
	if got := headLine(h); !strings.Contains(got, colored(theme.Good, "live")) || !strings.Contains(got, colored(theme.Good, "● healthy")) {
		t.Errorf("the head is %q", got)
	}
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	now = now.Add(1300 * time.Millisecond)
	h.Send(tui.TickMsg{})
	if got := headLine(h); strings.Contains(got, colored(theme.Good, "live")) || strings.Contains(got, colored(theme.Good, "● healthy")) || !strings.Contains(got, "live") {
		t.Errorf("1.3 s later the head is %q", got)
	}
	f.Fail(nil)
	h.Tick()
	if got := headLine(h); !strings.Contains(got, colored(theme.Good, "live")) {
		t.Errorf("with an answer the head is %q", got)
	}
	h.Press("space")
	if got := headLine(h); strings.Contains(got, colored(theme.Good, "● healthy")) {
		t.Errorf("paused, the head is %q", got)
	}
}

// TestToastNeverHidesTheKeys, at any size, also one of several lines.
func TestToastNeverHidesTheKeys(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		h.Send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		h.Press("6", "C")
		assertShows(t, h, "no list here whose columns", "? help")
		assertFits(t, h.Screen(), size[0], size[1])
		h.Press("esc", "4", "r")
		h.Settle()
		h.Press("esc")
	}
}

// TestNothingIsTypedWithoutAQuorum: an action that cannot succeed says so, and takes no name. An action
// that needs no quorum goes on.
func TestNothingIsTypedWithoutAQuorum(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{
		{"4", "r"},
		{":", "user activate ana-00", "enter"},
		{":", "node remove n2", "enter"},
		{":", "node add", "enter"},
		{":", "bucket scale", "enter"},
		{":", "user add", "enter"},
	} {
		h, f := newHarness(t, tuitest.NoQuorum())
		h.Press(keys...)
		h.Settle()
		assertShows(t, h, "there is no quorum: 1 of 3 nodes answer and 2 are needed, so that nothing", "? help")
		assertHides(t, h, "Type ", "Cancel")
		assertCalls(t, f)
	}
	h, _ := newHarness(t, tuitest.NoQuorum())
	h.Press(":", "user rev")
	if got := suggested(h); !strings.Contains(strings.Join(got, "\n"), "not now: there is no quorum") {
		t.Errorf("suggested: %q", got)
	}
	h.Press("esc", "2", "down", "F")
	h.Settle()
	assertShows(t, h, "Not available: n1 did not say which streams are on its disk.") // the fence's own rule
}

// TestRevocationOnSQLiteNeedsNoQuorum: the node that serves the file does it by itself.
func TestRevocationOnSQLiteNeedsNoQuorum(t *testing.T) {
	t.Parallel()
	state := tuitest.OnSQLite()
	state.Status.Meta.Online = 1
	h, _ := newHarness(t, state)
	h.Press("4", "r")
	h.Settle()
	assertShows(t, h, "Revoke ana-00?", "Type ana-00")
	h.Press("esc", "a")
	assertShows(t, h, "there is no quorum")
}

// TestEmptyListIsNoLostAnswer: a list that could not be read is not said to be empty.
func TestEmptyListIsNoLostAnswer(t *testing.T) {
	t.Parallel()
	state := tuitest.NoQuorum()
	state.Status.Meta.Leader, state.Status.Buckets, state.Status.InternalBuckets = "", nil, nil
	h, _ := newHarness(t, state)
	h.Press("3")
	assertShows(t, h, "Which buckets there are cannot be read: the meta group has no leader.")
	h, f := newHarness(t, tuitest.Healthy())
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	for page, empty := range map[string]string{"4": "There are no users", "5": "There are no rooms", "8": "None", "9": "No operator has changed"} {
		h.Press(page)
		assertShows(t, h, "So far: no node answers.")
		assertHides(t, h, empty)
	}
}
