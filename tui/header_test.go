package tui_test

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui"
	"unibus/tui/tuitest"
)

func TestHeaderShowsMigrationState(t *testing.T) {
	t.Parallel()
	aborting := func() tuitest.ClusterState {
		state := tuitest.Copying()
		state.Migration.Aborting = "ana"
		return state
	}
	for want, worlds := range map[string][]func() tuitest.ClusterState{
		"· migrating":          {tuitest.Copying, tuitest.Fencing, tuitest.CopyingAsViewer},
		"· migration paused":   {tuitest.CopyPaused},
		"· migration stopped":  {tuitest.Interrupted, tuitest.PreflightFailed, tuitest.FilesDiffer, tuitest.ReplicaDiffers},
		"· migration: n1 down": {tuitest.MigrationNodeDown},
		"· awaits cutover":     {tuitest.Verified},
		"· cutting over":       {tuitest.CuttingOver},
		"· rolling back":       {tuitest.RollingBack},
		"· aborting":           {aborting},
		"● healthy  ":          {tuitest.Healthy, tuitest.AfterCutover, tuitest.Aborted, tuitest.RolledBack, tuitest.DryRun},
	} {
		for i, w := range worlds {
			h, _ := newHarness(t, w())
			h.Press("3")
			if head, _, _ := strings.Cut(h.Screen(), "\n"); !strings.Contains(head, want) {
				t.Errorf("%q, %d: the header is %q", want, i, head)
			}
		}
	}
}

func TestHeaderKeepsClusterAndVerdict(t *testing.T) {
	t.Parallel()
	state := tuitest.Verified()
	state.Status.Cluster, state.Status.Operator.Name = "production", "christine"
	clock := &manualClock{now: tuitest.Now}
	h, f := newHarness(t, state, func(c *tui.Config) { c.Now, c.ReadOnly = func() time.Time { return clock.now }, true })
	head := func(width int) string {
		h.Send(tea.WindowSizeMsg{Width: width, Height: 24})
		line, _, _ := strings.Cut(h.Screen(), "\n")
		return line
	}
	for _, c := range []struct {
		width    int
		has, not string
	}{
		{100, "christine (admin, read-only)   12:04:31   live from n1", "none"},
		{90, "(admin, read-only)   12:04:31   live from n1", "christine"},
		{80, "12:04:31   live from n1", "admin"},
	} {
		if got := head(c.width); !strings.Contains(got, c.has) || strings.Contains(got, c.not) || !strings.Contains(got, "production  ● healthy · awaits cutover") {
			t.Errorf("at %d: %q", c.width, got)
		}
	}
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	clock.advance(12*time.Minute + 5*time.Second)
	h.Tick()
	if got := head(80); !strings.Contains(got, "production  ? not known, was healthy · awaits cutover") || !strings.Contains(got, "no answer for 12 m 5 s") {
		t.Errorf("at 80: %q", got)
	}
}

func TestTitleNamesClusterAndVerdict(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Degraded())
	if got, want := h.Model.View().WindowTitle, "demo degraded - unibus"; got != want {
		t.Errorf("title %q, want %q", got, want)
	}
}
