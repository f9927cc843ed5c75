package tui_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui"
	"unibus/tui/theme"
	"unibus/tui/tuitest"
)

// fakeClusters are a demo, a lab and one that cannot be opened.
type fakeClusters struct {
	lab    *tuitest.FakeClient
	closed atomic.Int32 // connections to the lab
}

func (f *fakeClusters) Known() []tui.KnownCluster {
	return []tui.KnownCluster{
		{Name: "broken", Servers: []string{"tls://b:4222"}, From: "nats CLI"},
		{Name: "ops", Servers: []string{"tls://n1:4222"}, From: "console.toml:3"},
		{Name: "lab", Servers: []string{"tls://lab:4222"}, From: "console.toml:7", Color: "#123456"},
	}
}

func (f *fakeClusters) Status(ctx context.Context, name string) (admin.Status, error) {
	if name == "broken" {
		return admin.Status{}, core.Errorf(core.KindUnavailable, "b: connection refused")
	}
	return f.lab.Status(ctx)
}

func (f *fakeClusters) Open(name string) (tui.OpenCluster, error) {
	if name == "broken" {
		return tui.OpenCluster{}, core.Errorf(core.KindInvalid, "the seed file x.nk does not exist").WithNext("make one")
	}
	return tui.OpenCluster{Client: f.lab, Flags: "--context " + name, Color: "#123456", Close: func() { f.closed.Add(1) }}, nil
}

// labState is another cluster than the samples: no user, room or node of them.
func labState() tuitest.ClusterState {
	s := tuitest.Degraded()
	s.Status.Cluster, s.Status.From = "lab-1", "x1"
	s.Status.Nodes = nil
	s.Status.Sentence, s.Status.Do, s.Status.Findings = "This is the laboratory.", "", nil
	s.Users, s.Rooms, s.Events, s.Incidents = nil, nil, nil, nil
	return s
}

// withClusters connects the console to ops, and counts how often that is closed.
func withClusters(f *fakeClusters, closed *atomic.Int32) func(*tui.Config) {
	return func(c *tui.Config) {
		c.Clusters, c.Context, c.Flags, c.Close = f, "ops", "--context ops", func() { closed.Add(1) }
	}
}

func TestSwitcherShowsVerdictsAndColors(t *testing.T) {
	t.Parallel()
	f, closed := &fakeClusters{lab: tuitest.NewFakeClient(labState())}, &atomic.Int32{}
	h, _ := newHarness(t, tuitest.Healthy(), withClusters(f, closed))
	h.Press(":", "context", "enter")
	assertShows(t, h, "broken    ? asked, no answer yet", "> ops       ● demo: healthy, shown now", "tls://n1:4222   from console.toml:3", "enter switch")
	h.Settle()
	assertShows(t, h, "broken    ? b: connection refused", "lab       ▲ lab-1: degraded. This is the laboratory.")
	if want := theme.New(theme.Dark, false).NameStyle("", "#123456").Render("lab     "); !strings.Contains(h.Model.View().Content, want) {
		t.Errorf("the lab's name has not its color %q", want)
	}
	h.Press("up", "enter")
	h.Settle()
	assertShows(t, h, "Not switched: The seed file x.nk does not exist. Make one.", "demo")
	if closed.Load() != 0 {
		t.Error("the present connection was closed although nothing was switched")
	}
	h.Press("esc")
	assertShows(t, h, "RECENT", "? help")
}

// TestSwitchKeepsNothingOfTheOldCluster: not a row, a filter, a mark, a guide or a toast.
func TestSwitchKeepsNothingOfTheOldCluster(t *testing.T) {
	t.Parallel()
	f, closed := &fakeClusters{lab: tuitest.NewFakeClient(labState())}, &atomic.Int32{}
	h, _ := newHarness(t, tuitest.Healthy(), withClusters(f, closed))
	h.Press("4", "m", "/", "dora-", "enter", ":", "theme light", "enter", ":", "context lab", "enter")
	h.Settle()
	h.Tick()
	if closed.Load() != 1 {
		t.Errorf("the old connection was closed %d times", closed.Load())
	}
	assertShows(t, h, "lab-1", "This is the laboratory.")
	for page := range 9 {
		h.Press(string(rune('1' + page)))
		for _, old := range []string{"demo", "dora-", "bruno", "marked", "room-0", "clear /"} {
			assertHides(t, h, old)
		}
	}
	if want := theme.New(theme.Light, false).NameStyle("", "#123456").Render("lab-1"); !strings.Contains(h.Model.View().Content, want) {
		t.Error("theme and color were not kept")
	}
	h.Press("4", "a")
	h.Settle()
	assertShows(t, h, "--context lab")
	h.Press("esc", ":", "context lost", "enter")
	assertShows(t, h, `There is no context "lost".`)
}

// TestLateAnswerOfASwitcherIsDropped: the operator has closed it; the opened connection is closed
// again.
func TestLateAnswerOfASwitcherIsDropped(t *testing.T) {
	t.Parallel()
	f, closed := &fakeClusters{lab: tuitest.NewFakeClient(labState())}, &atomic.Int32{}
	h, _ := newHarness(t, tuitest.Healthy(), withClusters(f, closed))
	h.Press(":", "context lab", "enter", "esc")
	h.Settle()
	assertShows(t, h, "demo")
	if f.closed.Load() != 1 || closed.Load() != 0 {
		t.Errorf("closed: the lab %d times, the present cluster %d times", f.closed.Load(), closed.Load())
	}
}

// TestSwitchInATerminal: the real loop polls the new cluster, and no longer the old one.
func TestSwitchInATerminal(t *testing.T) {
	t.Parallel()
	f, closed := &fakeClusters{lab: tuitest.NewFakeClient(labState())}, &atomic.Int32{}
	cfg, old := newConfig(tuitest.Healthy())
	withClusters(f, closed)(&cfg)
	term := tuitest.StartTerminal(cfg, 100, 30)
	t.Cleanup(func() {
		if err := term.Close(); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, term, "live from n1")
	term.Press(":", "context", "enter")
	waitFor(t, term, "lab-1: degraded")
	term.Press("down", "enter")
	waitFor(t, term, "This is the laboratory.", "live from")
	if err := term.Wait("no trace of the old cluster", waitTimeout, func(screen string) bool { return !strings.Contains(screen, "demo") }); err != nil {
		t.Error(err)
	}
	if closed.Load() != 1 {
		t.Errorf("the old connection was closed %d times", closed.Load())
	}
	before := old.StatusPolls()
	<-f.lab.AfterPolls(3)
	if n := old.StatusPolls() - before; n > 1 {
		t.Errorf("the old cluster was asked %d times more", n)
	}
	if !strings.HasPrefix(term.Title(), "lab-1 ") {
		t.Errorf("title %q", term.Title())
	}
}
