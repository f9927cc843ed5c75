package tui_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui"
	"unibus/tui/action"
	"unibus/tui/tuitest"
)

func newHarness(t *testing.T, state tuitest.ClusterState, change ...func(*tui.Config)) (*tuitest.Harness, *tuitest.FakeClient) {
	t.Helper()
	cfg, f := newConfig(state)
	cfg.ReportDir = t.TempDir()
	for _, c := range change {
		c(&cfg)
	}
	return tuitest.NewHarness(cfg, 100, 30), f
}

func assertShows(t *testing.T, h *tuitest.Harness, texts ...string) {
	t.Helper()
	screen := h.Screen()
	for _, x := range texts {
		if !strings.Contains(screen, x) {
			t.Errorf("the screen does not show %q:\n%s", x, screen)
		}
	}
}

func assertHides(t *testing.T, h *tuitest.Harness, texts ...string) {
	t.Helper()
	screen := h.Screen()
	for _, x := range texts {
		if strings.Contains(screen, x) {
			t.Errorf("the screen shows %q:\n%s", x, screen)
		}
	}
}

func assertCalls(t *testing.T, f *tuitest.FakeClient, want ...string) {
	t.Helper()
	if got := f.Calls(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("calls %q, want %q", got, want)
	}
}

func TestUnavailableActionsSayWhy(t *testing.T) {
	t.Parallel()
	for _, world := range []func() tuitest.ClusterState{tuitest.OnSQLite, tuitest.Copying, tuitest.Verified, tuitest.AfterCutover, tuitest.RollingBack, tuitest.CopyingAsViewer} {
		h, _ := newHarness(t, world())
		h.Press("6")
		screen := strings.Join(strings.Fields(h.Screen()), " ")
		for _, a := range action.Table() {
			name, ok := strings.CutPrefix(a.Name, "migrate ")
			switch {
			case !ok || strings.Contains(screen, a.Key+" "+name):
			case strings.Contains(screen, "a key says why") && (strings.Contains(screen, name+",") || strings.Contains(screen, name+";")):
				h.Press(a.Key)
				assertShows(t, h, "Not available: ")
				h.Press("esc")
			case !strings.Contains(screen, name+":") && !strings.Contains(screen, name+","):
				t.Errorf("the page does not name %s:\n%s", name, h.Screen())
			}
		}
		if strings.Contains(screen, "…:") {
			t.Errorf("a reason is truncated:\n%s", h.Screen())
		}
	}
}

func TestViewerAndReadOnlyCannotAct(t *testing.T) {
	t.Parallel()
	state := tuitest.Verified()
	state.Status.Operator = core.Operator{Name: "vic", Role: core.OperatorViewer}
	viewer, f := newHarness(t, state)
	viewer.Press("6", "X")
	viewer.Settle()
	assertShows(t, viewer, "vic (viewer)", "Not available: vic is a viewer: only an admin may do this.")
	assertCalls(t, f)

	ro, f := newHarness(t, tuitest.Healthy(), func(c *tui.Config) { c.ReadOnly = true })
	ro.Press("4", "r")
	ro.Settle()
	assertShows(t, ro, "ana (admin, read-only)", "Not available: this console was started with --read-only.")
	ro.Press("esc")
	assertHides(t, ro, "r revoke", "a add")
	assertCalls(t, f)
}

func TestFilterAppliesWhileTyping(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("4", "/", "dora-")
	assertShows(t, h, "dora-01", "9 match /dora-.")
	assertHides(t, h, "bruno-00")
	h.Press("enter", "7", "4") // each page keeps its own filter
	assertShows(t, h, "dora-01", "esc clear /dora-")
	h.Press("esc")
	assertShows(t, h, "bruno-01")
	h.Press("/", "nobody", "enter")
	assertShows(t, h, "No row of 200 matches /nobody. Esc clears the filter.")
}

func TestSortKeepsTheSelection(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("3", "down", "down")
	assertShows(t, h, "> ● members")
	h.Press("s", "s", "s", "s")
	assertShows(t, h, "KEYS↑", "> ● members")
	before := strings.Index(h.Screen(), "room_keys  ")
	h.Press("S")
	assertShows(t, h, "KEYS↓", "> ● members")
	if after := strings.Index(h.Screen(), "room_keys  "); after >= before {
		t.Errorf("the largest bucket did not move up")
	}
}

func TestStaleFiguresStayAndShowTheirAge(t *testing.T) {
	t.Parallel()
	now := tuitest.Now
	h, f := newHarness(t, tuitest.Healthy(), func(c *tui.Config) { c.Now = func() time.Time { return now } })
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers").WithNext("look whether unibusd runs"))
	now = now.Add(4 * time.Second)
	h.Tick()
	assertShows(t, h, "no answer for 4 s", "● healthy", "figures are from 12:04:31", "No node answers.", "Do: look whether unibusd runs", "n1 leads for")
	now = now.Add(8 * time.Second)
	h.Tick()
	assertShows(t, h, "? not known, was healthy", "no answer for 12 s")
	f.Fail(nil)
	h.Tick()
	assertShows(t, h, "● healthy", "live from n1")
	assertHides(t, h, "figures are from")
}

func TestWaitingNamesSubjectAndDuration(t *testing.T) {
	t.Parallel()
	now := tuitest.Now
	cfg, f := newConfig(tuitest.Healthy())
	cfg.Now = func() time.Time { return now }
	f.Fail(core.Errorf(core.KindUnavailable, "nobody answers at tls://127.0.0.1:4222"))
	h := tuitest.NewHarness(cfg, 100, 30)
	now = now.Add(5 * time.Second)
	h.Tick()
	assertShows(t, h, "? not known", "connecting", "Waiting for the first answer for 5 s", "So far: nobody answers")
}

func TestNoColorTakesAnyValue(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Send(tea.EnvMsg{"NO_COLOR=yes", "LANG=C.UTF-8"})
	if strings.Contains(h.Model.View().Content, "38;5") {
		t.Error("NO_COLOR=yes has colors")
	}
}

func TestReportIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, _ := newHarness(t, tuitest.Verified(), func(c *tui.Config) { c.ReportDir, c.ReadOnly = dir, true })
	h.Press("6", "W")
	h.Settle()
	assertShows(t, h, "Saved")
	words := strings.FieldsFunc(h.Screen(), func(r rune) bool { return unicode.IsSpace(r) || r == '│' }) // the length of the directory decides where the lines break
	if !strings.Contains(strings.Join(words, " "), "and .json.") {
		t.Errorf("the second file is not named:\n%s", h.Screen())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %q, %v", files, err)
	}
	h.Press("esc", "W")
	h.Settle()
	assertShows(t, h, "Not done: migrate report")
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	cfg, _ := newConfig(tuitest.Healthy())
	if err := tui.Run(ctx, cfg, tea.WithInput(nil), tea.WithOutput(&strings.Builder{})); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func BenchmarkKeyAmongTenThousandUsers(b *testing.B) {
	state := tuitest.Healthy()
	for len(state.Users) < 10_000 {
		state.Users = append(state.Users, state.Users[:200]...)
	}
	for i := range state.Users {
		state.Users[i].ID = core.UserID(strings.Repeat("U", 40) + string(rune('A'+i%26)) + time.Duration(i).String())
	}
	cfg, _ := newConfig(state)
	h := tuitest.NewHarness(cfg, 120, 40)
	h.Press("4")
	for b.Loop() {
		h.Send(tea.KeyPressMsg{Code: tea.KeyDown})
		_ = h.Model.View()
	}
}
