package tui_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui"
	"unibus/tui/action"
	"unibus/tui/tuitest"
)

func still(t *testing.T, w tuitest.World, change ...func(*tui.Config)) (*tuitest.Still, *tuitest.Fake) {
	t.Helper()
	cfg, f := config(w)
	cfg.Dir = t.TempDir()
	for _, c := range change {
		c(&cfg)
	}
	return tuitest.NewStill(cfg, 100, 30), f
}

func shows(t *testing.T, s *tuitest.Still, texts ...string) {
	t.Helper()
	screen := s.Screen()
	for _, x := range texts {
		if !strings.Contains(screen, x) {
			t.Errorf("the screen does not show %q:\n%s", x, screen)
		}
	}
}

func hides(t *testing.T, s *tuitest.Still, texts ...string) {
	t.Helper()
	screen := s.Screen()
	for _, x := range texts {
		if strings.Contains(screen, x) {
			t.Errorf("the screen shows %q:\n%s", x, screen)
		}
	}
}

func calls(t *testing.T, f *tuitest.Fake, want ...string) {
	t.Helper()
	if got := f.Calls(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked of the cluster: %q, want %q", got, want)
	}
}

func TestEveryActionThatIsNotPossibleSaysWhy(t *testing.T) {
	t.Parallel()
	for _, world := range []func() tuitest.World{tuitest.Legacy, tuitest.Moving, tuitest.Verified, tuitest.Moved, tuitest.RollingBack, tuitest.Watched} {
		s, _ := still(t, world())
		s.Press("6")
		screen := strings.Join(strings.Fields(s.Screen()), " ")
		for _, a := range action.Table() {
			if name, ok := strings.CutPrefix(a.Name, "migrate "); ok && !strings.Contains(screen, a.Key+" "+name) && !strings.Contains(screen, name+":") && !strings.Contains(screen, name+",") {
				t.Errorf("%s is nowhere:\n%s", name, s.Screen())
			}
		}
		if strings.Contains(screen, "…:") {
			t.Errorf("a reason is cut off:\n%s", s.Screen())
		}
	}
}

func TestViewerAndReadOnlyMayLookOnly(t *testing.T) {
	t.Parallel()
	w := tuitest.Verified()
	w.Status.Operator = core.Operator{Name: "vic", Role: core.OperatorViewer}
	viewer, f := still(t, w)
	viewer.Press("6", "X")
	viewer.Settle()
	shows(t, viewer, "vic (viewer)", "Not possible: vic is a viewer: only an admin may do this.")
	calls(t, f)

	ro, f := still(t, tuitest.Healthy(), func(c *tui.Config) { c.ReadOnly = true })
	ro.Press("4", "r")
	ro.Settle()
	shows(t, ro, "ana (admin, read-only)", "Not possible: this console was started with --read-only.")
	ro.Press("esc")
	hides(t, ro, "r revoke", "a add")
	calls(t, f)
}

func TestFilterNarrowsWhileItIsTyped(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("4", "/", "dora-")
	shows(t, s, "dora-01", "9 match /dora-.")
	hides(t, s, "bruno-00")
	s.Press("enter", "7", "4") // each page keeps its own
	shows(t, s, "dora-01", "esc clear /dora-")
	s.Press("esc")
	shows(t, s, "bruno-01")
	s.Press("/", "nobody", "enter")
	shows(t, s, "Nothing matches /nobody among 200. Esc clears the filter.")
}

func TestSortKeepsTheSelection(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("3", "down", "down")
	shows(t, s, "> ● UNIBUS_members")
	s.Press("s", "s", "s", "s")
	shows(t, s, "KEYS↑", "> ● UNIBUS_members")
	before := strings.Index(s.Screen(), "UNIBUS_room_keys")
	s.Press("S")
	shows(t, s, "KEYS↓", "> ● UNIBUS_members")
	if after := strings.Index(s.Screen(), "UNIBUS_room_keys"); after >= before {
		t.Errorf("the largest bucket did not move up")
	}
}

func TestStaleFiguresStayAndShowTheirAge(t *testing.T) {
	t.Parallel()
	now := tuitest.Now
	s, f := still(t, tuitest.Healthy(), func(c *tui.Config) { c.Now = func() time.Time { return now } })
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers").WithNext("look whether unibusd runs"))
	now = now.Add(4 * time.Second)
	s.Tick()
	shows(t, s, "no answer for 4 s", "● healthy", "figures are from 12:04:31", "No node answers.", "Do: look whether unibusd runs", "n1 leads for")
	now = now.Add(8 * time.Second)
	s.Tick()
	shows(t, s, "? not known, was healthy", "no answer for 12 s")
	f.Fail(nil)
	s.Tick()
	shows(t, s, "● healthy", "live from n1")
	hides(t, s, "figures are from")
}

func TestWaitingSaysForWhatAndSinceWhen(t *testing.T) {
	t.Parallel()
	now := tuitest.Now
	cfg, f := config(tuitest.Healthy())
	cfg.Now = func() time.Time { return now }
	f.Fail(core.Errorf(core.KindUnavailable, "nobody answers at tls://127.0.0.1:4222"))
	s := tuitest.NewStill(cfg, 100, 30)
	now = now.Add(5 * time.Second)
	s.Tick()
	shows(t, s, "? not known", "connecting", "Waiting for the first answer for 5 s", "So far: nobody answers")
}

func TestNoColorIsAskedForByAnyValue(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Send(tea.EnvMsg{"NO_COLOR=yes"})
	if strings.Contains(s.Model.View().Content, "38;5") {
		t.Error("NO_COLOR=yes has colours")
	}
}

func TestReportIsSavedAndNeverWrittenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := still(t, tuitest.Verified(), func(c *tui.Config) { c.Dir, c.ReadOnly = dir, true })
	s.Press("6", "W")
	s.Settle()
	shows(t, s, "Saved", "and .json.")
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %q, %v", files, err)
	}
	s.Press("esc", "W")
	s.Settle()
	shows(t, s, "Not done: migrate report")
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	cfg, _ := config(tuitest.Healthy())
	if err := tui.Run(ctx, cfg, tea.WithInput(nil), tea.WithOutput(&strings.Builder{})); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func BenchmarkKeyAmongTenThousandUsers(b *testing.B) {
	w := tuitest.Healthy()
	for len(w.Users) < 10_000 {
		w.Users = append(w.Users, w.Users[:200]...)
	}
	for i := range w.Users {
		w.Users[i].ID = core.UserID(strings.Repeat("U", 40) + string(rune('A'+i%26)) + time.Duration(i).String())
	}
	cfg, _ := config(w)
	s := tuitest.NewStill(cfg, 120, 40)
	s.Press("4")
	for b.Loop() {
		s.Send(tea.KeyPressMsg{Code: tea.KeyDown})
		_ = s.Model.View()
	}
}
