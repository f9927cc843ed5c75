package tui_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui"
	"unibus/tui/theme"
	"unibus/tui/tuitest"
)

// newDisconnectedHarness is a console whose cluster answered once and then not
// for five minutes.
func newDisconnectedHarness(t *testing.T, state tuitest.ClusterState) *tuitest.Harness {
	t.Helper()
	now := tuitest.Now
	h, f := newHarness(t, state, func(c *tui.Config) { c.Now = func() time.Time { return now }; c.Theme = "dark" })
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	now = now.Add(5 * time.Minute)
	h.Tick()
	return h
}

func TestStaleFiguresAreDim(t *testing.T) {
	t.Parallel()
	h := newDisconnectedHarness(t, tuitest.Healthy())
	dark := theme.New(theme.Dark, false)
	for page, texts := range map[string][]string{
		"1": {"n1 leads for 3 h 12 m", "● n1"},
		"2": {"3 of 3 nodes answer.", "● n2"},
		"3": {"● rooms "},
	} {
		h.Press(page)
		for _, x := range texts {
			line := findLine(t, h, x)
			for _, tone := range []theme.Tone{theme.Good, theme.Warn, theme.Bad} {
				color, _, _ := strings.Cut(dark.Paint(tone, "x"), "x")
				if strings.Contains(line, color) {
					t.Errorf("page %s: %q is colored although it is stale", page, ansi.Strip(line))
				}
			}
		}
	}
	h.Press("2", "down", "enter")
	assertShows(t, h, "last heard    5 m 0 s ago, at 12:04:30", "started       08:44:31, 3 h 20 m ago")
}

func findLine(t *testing.T, h *tuitest.Harness, text string) string {
	t.Helper()
	for _, l := range strings.Split(h.Model.View().Content, "\n") {
		if strings.Contains(ansi.Strip(l), text) && !strings.Contains(ansi.Strip(l), "> ") {
			return l
		}
	}
	if !strings.Contains(h.Screen(), text) {
		t.Errorf("no line has %q:\n%s", text, h.Screen())
	}
	return ""
}

func TestDownNodeShowsItsLastReport(t *testing.T) {
	t.Parallel()
	state := tuitest.Degraded()
	state.Status.Nodes[2].Info.ProvenMS = 400
	h, _ := newHarness(t, state)
	h.Press("2", "end", "enter")
	assertShows(t, h, "○ n3  does not answer", "last heard    31 s ago, at 12:04:00", "LAST REPORT", "started       08:44:31")
	assertHides(t, h, "was current", "serves", "08:44:31, 3 h")
}

func TestFileBesideKVIsNotServed(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Status.Nodes[0].Info.Serving.File = "/var/lib/unibus/unibus-rollback.db"
	h, _ := newHarness(t, state)
	h.Press("2", "enter")
	assertShows(t, h, "serves        kv")
	assertHides(t, h, "unibus-rollback.db")
}

func TestFindingsThatDoNotFitAreCounted(t *testing.T) {
	t.Parallel()
	state := tuitest.NoQuorum()
	for _, x := range []string{"n4", "n5", "n6"} {
		state.Status.Findings = append(state.Status.Findings, cluster.Finding{Level: cluster.Degraded, About: "node." + x, Text: x + " was never heard.", Next: "Start it."})
	}
	cfg, _ := newConfig(state)
	h := tuitest.NewHarness(cfg, 80, 24)
	assertShows(t, h, "n2 was last heard 13 s ago.", "4 more findings: f lists them")
	lines := strings.Split(h.Screen(), "\n")
	if strings.TrimSpace(lines[len(lines)-4]) == "" && strings.TrimSpace(lines[len(lines)-5]) == "" {
		t.Errorf("lines are left empty though findings are hidden:\n%s", h.Screen())
	}
	h.Press("f")
	assertShows(t, h, "FINDINGS", "n3 was last heard 31 s ago.", "n6 was never heard. Do: Start it.", "esc back")
	h.Press("esc")
	assertShows(t, h, "meta group")
}

func TestMigrationWithoutItsNodeLooksStopped(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.MigrationNodeDown())
	h.Press("6")
	assertShows(t, h, "n1 runs the migration and does not answer", "? copy", "rollback, finish: n1, which runs the", "W report")
	assertHides(t, h, "24 100", "left  about", "it continues", "running", "P pause", "A abort")
	h.Press("A")
	h.Settle()
	assertShows(t, h, "Not available: n1, which runs the migration, does not answer.")
	assertCalls(t, f)
}

func TestCopyRateCoversAllTables(t *testing.T) {
	t.Parallel()
	state := tuitest.Copying()
	for i := range state.Migration.Progress {
		state.Migration.Progress[i].Done, state.Migration.Progress[i].Total = 10, 100
	}
	h, _ := newHarness(t, state)
	h.Press("6")
	assertShows(t, h, "rate  24 100 /s")
	if n := strings.Count(h.Screen(), "24 100 /s"); n != 1 {
		t.Errorf("the rate is shown %d times:\n%s", n, h.Screen())
	}
}

func TestUserDetailShowsALongName(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	name := strings.Repeat("Bartholomew ", 20) + "the Third"
	state.Users[1].Name = &name
	h, f := newHarness(t, state)
	h.Press("4", "down", "enter")
	assertShows(t, h, "the Third")
	h.Press("r")
	h.Settle()
	id := string(state.Users[1].ID)
	assertShows(t, h, "Full name: Bart", "the Third", "Type "+id[len(id)-4:]+":")
	h.Press(id[len(id)-4:], "enter", "enter")
	h.Settle()
	assertCalls(t, f, "user-revoke "+id)
}

func TestAuditShortensPaths(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Audit[0].Args = "node=n1 db=/tmp/some/where/rather/deep/in/the/tree/of/files/unibus.db dry-run"
	h, _ := newHarness(t, state)
	h.Press("9")
	assertShows(t, h, "db=unibus.db dry-run")
	h.Press("enter")
	assertShows(t, h, "db=/tmp/some/where/rather/deep")
}

func TestProvenColumn(t *testing.T) {
	t.Parallel()
	column := func(state tuitest.ClusterState) []string {
		h, _ := newHarness(t, state)
		h.Press("2")
		var out []string
		at := -1
		for _, l := range strings.Split(h.Screen(), "\n") {
			if i := strings.Index(l, "PROVEN"); i >= 0 {
				at = i
			} else if cells := []rune(l); at >= 0 && len(cells) > at+6 && len(out) < 3 {
				out = append(out, strings.TrimSpace(string(cells[at:at+6])))
			}
		}
		return out
	}
	lost := tuitest.NoQuorum()
	info := *lost.Status.Nodes[0].Info
	info.ProvenMS = -1
	lost.Status.Nodes[0].Info = &info
	for _, c := range []struct {
		name  string
		world tuitest.ClusterState
		want  []string
	}{
		{"healthy", tuitest.Healthy(), []string{"0.4 s", "idle", "0.2 s"}},
		{"sqlite", tuitest.OnSQLite(), []string{"-", "-", "-"}},
		{"no quorum", lost, []string{"quorum", "-", "-"}},
	} {
		if got := column(c.world); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestReopenedPageIsNotStaleAtOnce(t *testing.T) {
	t.Parallel()
	now := tuitest.Now
	cfg, f := newConfig(tuitest.Healthy())
	cfg.Now = func() time.Time { return now }
	h := tuitest.NewHarness(cfg, 100, 30)
	h.Press("9", "1")
	now = now.Add(time.Minute)
	h.Tick()
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	h.Press("9")
	assertHides(t, h, "No answer for", "awaited")
	now = now.Add(2 * time.Second)
	h.Tick()
	assertShows(t, h, "The figures are from 12:04:31; newer ones are on the way.", "100 actions")
	now = now.Add(10 * time.Second)
	h.Tick()
	assertShows(t, h, "No answer for 1 m 12 s: figures are from 12:04:31.")
	f.Fail(nil)
	h.Tick()
	assertHides(t, h, "No answer for", "Figures are")
}

func TestActionsApplyToTheOpenRow(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("3", "down", "enter", "/", "users", "enter")
	assertShows(t, h, "rooms  3 of 3 current", "stream      UNIBUS_rooms")
	h.Press("d")
	h.Settle()
	assertShows(t, h, "unibusd step-down UNIBUS_rooms")
	h.Press("esc", "y")
	assertShows(t, h, "Copied the id; to copy by hand: UNIBUS_rooms")

	h, f := newHarness(t, tuitest.Healthy()) // the bucket is missing from one status
	h.Press("3", "down", "enter")
	all := tuitest.Healthy().Status.Buckets
	f.Change(func(state *tuitest.ClusterState) { state.Status.Buckets = append(all[:1:1], all[2:]...) })
	h.Tick()
	f.Change(func(state *tuitest.ClusterState) { state.Status.Buckets = all })
	h.Tick()
	h.Press("d")
	h.Settle()
	assertShows(t, h, "unibusd step-down UNIBUS_rooms")
}

func TestOverviewOpensTheSelectedNode(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("2", "/", "n1", "enter", "1", "down", "down", "enter")
	assertShows(t, h, "● n3  answers", "IF N3 STOPS")
}

func TestCopyTakesTheOpenRow(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.UnsafeToEnforce())
	keys := tuitest.UnsafeToEnforce().Rollout.Nodes["n1"].WouldDeny
	h.Press("8", "down", "enter")
	assertShows(t, h, keys[1].Key)
	f.Change(func(state *tuitest.ClusterState) {
		n := state.Rollout.Nodes["n1"]
		n.WouldDeny = append(keys[:1:1], keys[2:]...)
		state.Rollout.Nodes["n1"] = n
	})
	h.Tick()
	h.Press("y")
	assertShows(t, h, "no longer listed", "There is nothing to copy here.")

	h, _ = newHarness(t, tuitest.Healthy())
	h.Press("9", "enter", "/", "zzz", "enter", "y")
	assertShows(t, h, "Copied", tuitest.Healthy().Audit[0].Verb)
	h, _ = newHarness(t, tuitest.Healthy())
	h.Press("7", "enter", "/", "zzz", "enter", "y")
	if got := strings.Join(strings.Fields(h.Screen()), " "); !strings.Contains(got, "Copied the event; to copy by hand: 2026-11-22T12:03:58Z UNIBUS_rooms_by_member n3 leads rooms_by_member, was n2") {
		t.Errorf("copied:\n%s", h.Screen())
	}
}

// TestOpenRowScrolls: an open row that is taller than the page says so, and shows the rest.
func TestOpenRowScrolls(t *testing.T) {
	t.Parallel()
	cfg, _ := newConfig(tuitest.Healthy())
	h := tuitest.NewHarness(cfg, 80, 24)
	h.Press("2", "enter")
	assertShows(t, h, "● n1  answers", "more lines: down")
	assertHides(t, h, "takes over the meta group")
	h.Press("pgdown")
	assertShows(t, h, "IF N1 STOPS", "takes over the meta group")
	assertHides(t, h, "● n1  answers", "more line")
	h.Press("home")
	assertShows(t, h, "● n1  answers")
	h.Press("end", "esc", "down", "enter")
	assertShows(t, h, "● n2  answers") // the next row begins at its top
}

// TestMaintenanceHidesNoOutage: a node in maintenance that is down, or has turned JetStream off, is shown as both.
func TestMaintenanceHidesNoOutage(t *testing.T) {
	t.Parallel()
	state := tuitest.Degraded() // n3 is down
	until := core.MillisOf(tuitest.Now.Add(time.Hour))
	for _, node := range []string{"n1", "n2", "n3"} {
		state.Status.Maintenance = append(state.Status.Maintenance, core.Maintenance{Node: node, By: "ana", Since: 1, Until: until})
	}
	state.Status.Nodes = slices.Clone(state.Status.Nodes)
	state.Status.Nodes[1].Off = true
	h, _ := newHarness(t, state)
	h.Press("2")
	assertShows(t, h, "● n1  maintenance", "▲ n2  JetStream off, maintenance", "○ n3  down, maintenance")
}
