package tui_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui"
	"unibus/tui/tuitest"
)

func TestHeldPictureDoesNotGrowOld(t *testing.T) {
	t.Parallel()
	s, _, at := turned(t, tuitest.Healthy())
	s.Press("space")
	before := s.Screen()
	at.on(time.Minute)
	s.Tick()
	shows(t, s, "picture held 1 m 0 s", "12:05:31", "● healthy")
	hides(t, s, "No answer", "not known")
	body := func(screen string) string { return strings.Join(strings.Split(screen, "\n")[1:], "\n") }
	if got := s.Screen(); body(got) != body(before) {
		t.Errorf("the picture changed from\n%s\nto\n%s", before, got)
	}
}

func TestHeldPictureIsNoBetterThanItWas(t *testing.T) {
	t.Parallel()
	s, f, at := turned(t, tuitest.Healthy())
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	at.on(5 * time.Minute)
	s.Tick()
	shows(t, s, "? not known, was healthy")
	s.Press("space")
	shows(t, s, "? not known, was healthy", "picture held 0 s")
}

func TestPictureGoesOnForWhatWasNotInIt(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("space", "2", "7")
	shows(t, s, "picture held")
	s.Press("4")
	shows(t, s, "The picture goes on", "live from n1", "191 active")
	hides(t, s, "Waiting for")
	s.Press("5", "space", "down", "enter")
	shows(t, s, "live from n1")
	hides(t, s, "Waiting for")
}

func TestActionsAreAskedOfWhatIs(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"r"}, {":", "user revoke", "enter"}} {
		s, f := still(t, tuitest.Healthy())
		s.Press("4", "down", "space")
		f.Change(func(w *tuitest.World) {
			w.Users = append([]core.User(nil), w.Users...)
			for i := range w.Users {
				w.Users[i].Status = core.UserRevoked
			}
		})
		s.Tick()
		shows(t, s, "191 active")
		s.Press(keys...)
		shows(t, s, "live from n1", "is revoked already.")
	}
}

func TestHeadSaysHowTheMoveStands(t *testing.T) {
	t.Parallel()
	aborting := func() tuitest.World {
		w := tuitest.Moving()
		w.Migration.Aborting = "ana"
		return w
	}
	for want, worlds := range map[string][]func() tuitest.World{
		"· moving":               {tuitest.Moving, tuitest.Fencing, tuitest.Watched},
		"· move paused":          {tuitest.Paused},
		"· move stopped":         {tuitest.Interrupted, tuitest.Refused, tuitest.Drifted, tuitest.Unequal},
		"· move: n1 silent":      {tuitest.Orphaned},
		"· awaits cutover":       {tuitest.Verified},
		"· cutting over":         {tuitest.CuttingOver},
		"· rolling back":         {tuitest.RollingBack},
		"· taking the move back": {aborting},
		"● healthy  ":            {tuitest.Healthy, tuitest.Moved, tuitest.Aborted, tuitest.RolledBack, tuitest.DryRun},
	} {
		for i, w := range worlds {
			s, _ := still(t, w())
			s.Press("3")
			if head, _, _ := strings.Cut(s.Screen(), "\n"); !strings.Contains(head, want) {
				t.Errorf("%q, %d: the head is %q", want, i, head)
			}
		}
	}
}

func TestHeadKeepsClusterAndVerdict(t *testing.T) {
	t.Parallel()
	w := tuitest.Verified()
	w.Status.Cluster, w.Status.Operator.Name = "production", "christine"
	at := &moment{now: tuitest.Now}
	s, f := still(t, w, func(c *tui.Config) { c.Now, c.ReadOnly = func() time.Time { return at.now }, true })
	head := func(width int) string {
		s.Send(tea.WindowSizeMsg{Width: width, Height: 24})
		line, _, _ := strings.Cut(s.Screen(), "\n")
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
	at.on(12*time.Minute + 5*time.Second)
	s.Tick()
	if got := head(80); !strings.Contains(got, "production  ? not known, was healthy · awaits cutover") || !strings.Contains(got, "no answer for 12 m 5 s") {
		t.Errorf("at 80: %q", got)
	}
}

func TestEscDoesWhatTheFootSays(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("4", "/", "dora-", "enter", "M")
	shows(t, s, "9 match /dora-. 9 marked.", "esc clear /dora-")
	hides(t, s, "esc unmark")
	s.Press("esc")
	shows(t, s, "9 marked", "esc unmark", "chidi-01")
	s.Press("esc")
	hides(t, s, "marked", "unmark")

	s.Press("down", "m", "/", "dora-", "enter", "q") // marked, and not shown: it is kept
	if s.Step(); !s.Left {
		t.Error("q does not quit")
	}
	s.Press("esc")
	shows(t, s, "1 marked")

	s, _ = still(t, tuitest.Healthy())
	s.Press("5", "/", "room-11", "enter", "enter")
	shows(t, s, "esc back")
	hides(t, s, "esc clear")
}

func TestForeignTextCannotWriteToTheScreen(t *testing.T) {
	t.Parallel()
	const bad = "x\x1b]0;pwned\ay\x1b[2J\u202e"
	w := tuitest.Healthy()
	for i := range w.Users {
		n := fmt.Sprintf("%s-%d", bad, i)
		w.Users[i].Name, w.Users[i].Status = &n, core.UserRevoked
	}
	for i := range w.Status.Nodes {
		n := &w.Status.Nodes[i]
		info := *n.Info
		info.Version, info.Listen, info.Serving.File = bad, bad, bad
		n.Info, n.ID, n.Meta, n.Leads = &info, bad, bad, []string{bad}
	}
	w.Status.From = bad
	for i := range w.Events {
		w.Events[i].Text = bad
	}
	s, _ := still(t, w)
	for _, keys := range [][]string{{"1"}, {"2", "enter"}, {"3", "enter"}, {"4", "?"}, {"esc", "enter"}, {"5", "enter"}, {"6"}, {"7", "y"}, {"8"}, {"9"}} {
		s.Press(keys...)
		for _, x := range []string{"\x1b[2J", "\x1b]0", "\a", "\u202e"} {
			if strings.Contains(s.Model.View().Content, x) {
				t.Errorf("after %q the screen holds %q", keys, x)
			}
		}
	}
	for _, msg := range s.Messages() {
		if text := fmt.Sprint(msg); strings.ContainsAny(text, "\x1b\a\u202e") {
			t.Errorf("%q would be copied", text)
		}
	}
}

func TestCtrlCGivesUpWhatIsTyped(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press(":", "user rev", "ctrl+c")
	if s.Step(); s.Left {
		t.Error("ctrl+c in a half-typed command loses the console")
	}
	shows(t, s, "? help")
	s.Press("ctrl+c")
	if s.Step(); !s.Left {
		t.Error("ctrl+c does not quit")
	}
}

func TestPageIsNamedByWhatItAloneBeginsWith(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press(":", "ro", "enter")
	shows(t, s, `There is no command "ro".`)
	s.Press("esc", ":", "roo", "enter")
	shows(t, s, "50 rooms")
	s.Press(":", "pause", "enter")
	shows(t, s, ":hold holds the picture, :migrate pause the move.")
	s.Press("esc", ":", "hold", "enter")
	shows(t, s, "picture held")
}

func TestHelpIsWhole(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		cfg, _ := config(tuitest.Healthy())
		s := tuitest.NewStill(cfg, size[0], size[1])
		s.Press("?")
		all := s.Screen()
		for range 10 {
			s.Press("pgdown")
			all += s.Screen()
		}
		if strings.Contains(all, "…") {
			t.Errorf("at %v the help is cut off:\n%s", size, all)
		}
		if !strings.Contains(strings.Join(strings.Fields(all), " "), "what changes the cluster is recorded. This is unibus test.") {
			t.Errorf("at %v the help does not end:\n%s", size, all)
		}
	}
}
