package tui_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/tuitest"
)

// mostBlankLines is how many lines of a large window may be blank together: what a page has to say is finite.
const mostBlankLines = 14

// mostBlankLinesUnknown is the same of 60 lines while no node has answered: there is nothing of the cluster to show.
const mostBlankLinesUnknown = 29

// TestLargeWindowsAreUsed: a large window shows more of the cluster, not more nothing.
func TestLargeWindowsAreUsed(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{120, 40}, {160, 48}, {200, 60}, {240, 70}} {
		for _, p := range goldenScreens {
			state := p.world()
			most := mostBlankLines
			if len(state.Attempts) > 0 { // nothing is known yet
				most = max(mostBlankLinesUnknown, size[1]-30)
			}
			for i := range 20 {
				at := core.MillisOf(tuitest.Now.Add(-time.Duration(i+1) * time.Hour))
				state.Events = append(state.Events, cluster.Event{Seq: uint64(100 + i), At: at, Level: cluster.Note, About: "n1", Text: "n1 started"})
			}
			cfg, _ := newConfig(state)
			h := tuitest.NewHarness(cfg, size[0], size[1])
			h.Press(p.keys...)
			assertFits(t, h.Screen(), size[0], size[1])
			if n := blankRun(h.Screen()); n > most {
				t.Errorf("%s at %dx%d has %d blank lines together:\n%s", p.name, size[0], size[1], n, h.Screen())
			}
		}
	}
}

func blankRun(screen string) (most int) {
	run := 0
	for _, l := range strings.Split(strings.TrimSuffix(screen, "\n"), "\n") {
		if strings.Trim(l, " │") != "" {
			run = 0
			continue
		}
		run++
		most = max(most, run)
	}
	return most
}

// TestVerdictIsBesideEveryPage: where two pages are side by side, one of them is the overview.
func TestVerdictIsBesideEveryPage(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"1"}, {"2"}, {"3"}, {"4"}, {"5"}, {"6"}, {"7"}, {"8"}, {"9"}, {"?"}} {
		cfg, _ := newConfig(tuitest.Degraded())
		h := tuitest.NewHarness(cfg, 200, 60)
		h.Press(keys...)
		assertShows(t, h, "n3 does not answer.", "Do: Start unibusd on n3.")
	}
}

// TestPanelsHaveNoKeys: the cursor is on one page.
func TestPanelsHaveNoKeys(t *testing.T) {
	t.Parallel()
	cfg, _ := newConfig(tuitest.Healthy())
	h := tuitest.NewHarness(cfg, 200, 60)
	h.Press("4", "down")
	if n := strings.Count(h.Screen(), " > "); n != 1 {
		t.Errorf("%d cursors:\n%s", n, h.Screen())
	}
}

// TestLeaderTimeline: a group whose leader changed says who led, for how long, and when nobody did.
func TestLeaderTimeline(t *testing.T) {
	t.Parallel()
	cfg, f := newConfig(tuitest.Healthy())
	now := tuitest.Now
	cfg.Now = func() time.Time { return now }
	h := tuitest.NewHarness(cfg, 120, 55)
	assertShows(t, h, "LEADERS, LAST 10 MIN", "users            n1"+strings.Repeat("─", 58))
	lead := func(leader string, after time.Duration) {
		now = now.Add(after)
		f.Change(func(s *tuitest.ClusterState) {
			s.Status.Buckets = append([]cluster.Bucket(nil), s.Status.Buckets...)
			s.Status.Buckets[0].Leader, s.Status.Buckets[0].Since = leader, core.MillisOf(now)
			s.Status.At = core.MillisOf(now)
		})
		h.Tick()
	}
	lead("", time.Minute)
	lead("n3", time.Minute)
	line := func() string {
		for _, l := range strings.Split(h.Screen(), "\n") {
			if strings.HasPrefix(l, " users      ") {
				return strings.TrimSpace(strings.TrimPrefix(l, " users"))
			}
		}
		return ""
	}
	if got, want := line(), "n1"+strings.Repeat("─", 51)+"none──n3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	lead("n3", 2*time.Minute)
	if got, want := line(), "n1"+strings.Repeat("─", 39)+"none──n3"+strings.Repeat("─", 11); got != want {
		t.Errorf("after two minutes %q, want %q", got, want)
	}
	if fmt.Sprint(len(h.Model.Feed().Snapshot().Leaders)) != "8" {
		t.Errorf("%d groups", len(h.Model.Feed().Snapshot().Leaders))
	}
}
