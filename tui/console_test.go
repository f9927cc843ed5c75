package tui_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/cluster"
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

func TestKeysTypedBeforeADialogDoNotAnswerIt(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Legacy())
	s.Press("6", "b", "tab", "tab", "enter", "y", "enter")
	shows(t, s, "Move the control plane of demo to KV?", "a question has opened")
	s.Step()
	shows(t, s, "a question has opened") // keys came meanwhile: it waits for a pause
	s.Settle()
	shows(t, s, "enter choose")
	calls(t, f)
	s.Press("enter", "enter", "enter") // in the fields: on to the button
	s.Press("enter")
	s.Settle()
	calls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 3")
	shows(t, s, "The move has begun on n1.")
}

func TestCancelHasTheFocus(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Verified())
	s.Press("6", "A")
	s.Settle()
	shows(t, s, "Give up the move?", "Same as: unibusd migration abort --server", "--tls-ca ca.pem")
	s.Press("enter")
	s.Settle()
	calls(t, f)
	hides(t, s, "Give up the move?")
	s.Press("A")
	s.Settle()
	s.Press("y")
	s.Settle()
	calls(t, f, "migrate-abort n1")
}

func TestCutoverTakesTheClustersName(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Verified())
	s.Press("6", "X")
	s.Settle()
	s.Press("demi", "enter")
	shows(t, s, "That is not demo.")
	s.Press("tab", "tab", "enter") // straight to the button does not help
	s.Settle()
	calls(t, f)
	s.Press("backspace", "o", "enter", "enter")
	s.Settle()
	calls(t, f, "migrate-cutover n1")
}

func TestStartTakesWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Drifted())
	s.Press("6", "b")
	s.Settle()
	s.Press("enter", "fast", "enter")
	shows(t, s, "Give a number of rows a second")
	s.Press("backspace", "backspace", "backspace", "backspace", "500", "enter", "backspace", "backspace", "backspace", "no", "enter", "n3", "enter")
	shows(t, s, "Only n2 can be left behind.")
	s.Press("backspace", "2")
	shows(t, s, "--replicas 3 --rate 500", "--no-backup --ignore-node n2 --server")
	s.Press("enter", "enter")
	s.Settle()
	calls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 3 rate=500 no-backup discard=[n2]")
}

func TestTheSourceIsNamedWhereSeveralNodesServe(t *testing.T) {
	t.Parallel()
	w := tuitest.Legacy()
	info := *w.Status.Nodes[1].Info
	info.Serving = cluster.Serving{Backend: core.BackendSQLite, File: "/other.db"}
	w.Status.Nodes[1].Info = &info
	s, f := still(t, w)
	s.Press("6", "b")
	s.Settle()
	s.Press("n3", "enter")
	shows(t, s, "Name the one that counts: n1 and n2.")
	s.Press("backspace", "2", "enter", "enter", "enter", "enter", "enter")
	s.Settle()
	calls(t, f, "migrate-start n2 /other.db 3")

	s, f = still(t, tuitest.Several())
	s.Press("6")
	shows(t, s, "There are two SQLite files", "/var/lib/unibus/unibus.db on n1", "/var/lib/unibus/unibus.db on n2")
	hides(t, s, "alone")
	s.Press("b")
	s.Settle()
	shows(t, s, "A backup of the file is taken first", "--db FILE --node NODE")
	s.Press("n2")
	shows(t, s, "--db /var/lib/unibus/unibus.db --node n2")
	s.Press("esc", "D")
	s.Settle()
	calls(t, f)
	shows(t, s, "Which file is to be checked?")
	s.Press("n3", "enter")
	shows(t, s, "Name the one that counts: n1 and n2.")
	s.Press("backspace", "2", "enter", "enter")
	s.Settle()
	calls(t, f, "migrate-start n2 /var/lib/unibus/unibus.db 0 dry-run")
	shows(t, s, "--node n2 --dry-run")
}

func TestTheFileThatIsMovedCannotBeLeftBehind(t *testing.T) {
	t.Parallel()
	w := tuitest.Several()
	w.Migration = tuitest.Drifted().Migration // n2 differs from n1
	s, f := still(t, w)
	s.Press("6", "b")
	s.Settle()
	shows(t, s, "rows that the one of n1 lacks")
	s.Press("n2", "tab", "tab", "tab", "tab", "n2", "enter", "enter")
	shows(t, s, "The file of n2 is the one that is moved")
	s.Press("tab", "tab", "tab", "tab", "backspace", "1", "enter", "enter")
	s.Settle()
	calls(t, f, "migrate-start n2 /var/lib/unibus/unibus.db 3 discard=[n1]")
}

func TestLimitAsksForANumber(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Moving())
	s.Press("6", "L")
	s.Settle()
	s.Press("-1", "enter")
	shows(t, s, "Give a number of rows a second")
	s.Press("backspace", "backspace", "250", "enter", "enter")
	s.Settle()
	calls(t, f, "migrate-limit n1 250")
	shows(t, s, "The copy writes at most 250 rows a second.")
}

func TestRollbackTakesTheClustersName(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Moved())
	s.Press("6", "U")
	s.Settle()
	shows(t, s, "Nothing written since the cutover is lost", "told \"the", "Same as: unibusd migration rollback")
	s.Press("tab", "tab", "enter")
	s.Settle()
	calls(t, f)
	s.Press("demo", "enter", "enter")
	s.Settle()
	calls(t, f, "migrate-rollback n1")
	shows(t, s, "The rollback has begun.")
}

func TestADryRunNeedsNoQuestion(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Legacy())
	s.Press("6", "D")
	s.Settle()
	calls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 0 dry-run")
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

func TestBulkRevokeTakesTheNumberTyped(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Healthy())
	s.Press("4", "down", "m", "m", "r")
	s.Settle()
	shows(t, s, "Revoke 2 users?", "bruno-00, chidi-00")
	s.Press("2 users", "enter", "enter")
	s.Settle()
	got := f.Calls()
	if len(got) != 2 || !strings.HasPrefix(got[0], "user-revoke U") {
		t.Errorf("calls %q", got)
	}
	shows(t, s, "2 users are revoked", "n1: 4 sessions ended in 9 ms", "n2: no session")
	s.Press("esc")
	shows(t, s, "189 active, 11 revoked")
	hides(t, s, "marked")
}

func TestRevokeTakesTheUsersName(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Healthy())
	s.Press(":", "user revoke dora-01", "enter") // dora-01 is not on the screen: commands name users
	s.Settle()
	shows(t, s, "Not done: user revoke", `No user is called "dora-01"`)
	s.Press("esc", "4", ":", "user revoke dora-01", "enter")
	s.Settle()
	s.Press("dora-01", "enter", "enter")
	s.Settle()
	if got := f.Calls(); len(got) != 1 {
		t.Errorf("calls %q", got)
	}
}

func TestUserAddChecksItsFields(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Healthy())
	id := string(tuitest.Healthy().Users[9].ID)
	s.Press("4", "a")
	s.Settle()
	s.Press("UABC", "enter")
	shows(t, s, "is not a user's public nkey")
	for range 4 {
		s.Press("backspace")
	}
	s.Send(tea.PasteMsg{Content: id + "\n"})
	s.Press("enter", "newbie", "enter", "x", "enter")
	shows(t, s, "A user is member or admin.")
	s.Press("backspace", "enter", "enter")
	s.Settle()
	calls(t, f, "user-add "+id+" member")
	shows(t, s, "Not done: user add", "is a user already.", "Do: ")
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

func TestTooSmallAndNoWindowAtAll(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Lost())
	s.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
	shows(t, s, "This console needs 80 x 24; the window is 60 x 20.", "✖ critical", "n2 and n3 do not answer.")
	s.Send(tea.WindowSizeMsg{})
	if got := strings.TrimSpace(s.Screen()); got != "" {
		t.Errorf("0x0 shows %q", got)
	}
	s.Press("4", "r", "?", "esc", ":", "esc") // nothing may divide by the width
	s.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	shows(t, s, "4 users")
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

func TestNamesCannotWriteToTheScreen(t *testing.T) {
	t.Parallel()
	w := tuitest.Healthy()
	w.Status.Cluster = "de\x1b]0;pwned\amo"
	w.Status.Sentence = "a\x1b[2Jb\rc"
	s, _ := still(t, w)
	for _, page := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		s.Press(page)
		for _, bad := range []string{"\x1b[2J", "\x1b]0", "\r", "\a", "\u202e"} {
			if strings.Contains(s.Model.View().Content, bad) {
				t.Errorf("page %s writes %q", page, bad)
			}
		}
	}
	if title := s.Model.View().WindowTitle; strings.ContainsAny(title, "\x1b\a") {
		t.Errorf("title %q", title)
	}
}

// A byte of a glyph, 0x9C, may end the title too early, and its rest is then written into the page.
func TestTitleIsPlain(t *testing.T) {
	t.Parallel()
	for _, world := range []tuitest.World{tuitest.Healthy(), tuitest.Degraded(), tuitest.Lost()} {
		s, _ := still(t, world)
		for _, b := range []byte(s.Model.View().WindowTitle) {
			if b < ' ' || b > '~' {
				t.Errorf("title %q", s.Model.View().WindowTitle)
			}
		}
	}
}

func TestTitleNamesClusterAndVerdict(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Degraded())
	if got, want := s.Model.View().WindowTitle, "demo degraded - unibus"; got != want {
		t.Errorf("title %q, want %q", got, want)
	}
}

func TestPauseHoldsThePicture(t *testing.T) {
	t.Parallel()
	s, f := still(t, tuitest.Healthy())
	s.Press("space")
	shows(t, s, "picture held 0 s", "space go on")
	f.Set(tuitest.Lost())
	s.Tick()
	shows(t, s, "● healthy")
	s.Press("space")
	shows(t, s, "✖ critical", "live from n1")
}

func TestCommandBarCompletesAndRemembers(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press(":", "ev", "tab", "enter")
	shows(t, s, "4 events, the newest first.")
	s.Press(":", "up")
	shows(t, s, ":events")
	s.Press("esc", ":", "nonsense", "enter")
	shows(t, s, `There is no command "nonsense".`)
	s.Press(":", "theme mono", "enter")
	if strings.Contains(s.Model.View().Content, "38;5") {
		t.Error("mono has colours")
	}
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
