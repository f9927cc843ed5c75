package tui_test

import (
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/tuitest"
)

func footerOf(h *tuitest.Harness) string {
	lines := strings.Split(strings.TrimSuffix(h.Screen(), "\n"), "\n")
	return lines[len(lines)-1]
}

// TestFooterHasOnlyKeysThatWork: no key is offered for a list that is not there.
func TestFooterHasOnlyKeysThatWork(t *testing.T) {
	t.Parallel()
	empty := tuitest.Healthy()
	empty.Audit = nil
	for name, c := range map[string]struct {
		world tuitest.ClusterState
		keys  []string
		lacks []string
	}{
		"connecting":       {tuitest.Unreachable(), nil, []string{"open", "filter", "export"}},
		"users not read":   {tuitest.Unreachable(), []string{"4"}, []string{"open", "mark", "sort", "filter", "export"}},
		"nothing recorded": {empty, []string{"9"}, []string{"open", "sort", "repeat"}},
		"an open record":   {tuitest.Healthy(), []string{"9", "enter"}, []string{"filter"}},
		"an open node":     {tuitest.Healthy(), []string{"2", "enter"}, []string{"filter"}},
		"an open bucket":   {tuitest.Healthy(), []string{"3", "enter"}, []string{"filter"}},
		"an open user":     {tuitest.Healthy(), []string{"4", "enter"}, []string{"filter"}},
		"an open incident": {tuitest.Healthy(), []string{"7", "enter"}, []string{"filter"}},
	} {
		cfg, _ := newConfig(c.world)
		h := tuitest.NewHarness(cfg, 200, 60)
		h.Press(c.keys...)
		for _, word := range c.lacks {
			if strings.Contains(footerOf(h), " "+word) {
				t.Errorf("%s: the footer offers %q: %s", name, word, footerOf(h))
			}
		}
	}
}

// TestMigrationKeysAreInTheFooter: the footer has the keys that work on page 6, at 80 columns, and no line
// of what is known is hidden before the first migration.
func TestMigrationKeysAreInTheFooter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		world tuitest.ClusterState
		keys  []string
	}{
		"before":   {tuitest.OnSQLite(), []string{"b start", "D check"}},
		"copying":  {tuitest.Copying(), []string{"P pause", "L limit", "A abort", "W report"}},
		"verified": {tuitest.Verified(), []string{"A abort", "X cutover", "W report"}},
		"soak":     {tuitest.AfterCutover(), []string{"U rollback", "F finish", "W report"}},
	} {
		cfg, _ := newConfig(c.world)
		h := tuitest.NewHarness(cfg, 80, 24)
		h.Press("6")
		for _, key := range c.keys {
			if !strings.Contains(footerOf(h), key) {
				t.Errorf("%s: the footer lacks %q: %s", name, key, footerOf(h))
			}
		}
		if name == "before" {
			assertHides(t, h, "more line")
		}
	}
}

// TestLostConnectionNamesEachServer: once no node can be reached, the page says why of each, and what to do.
func TestLostConnectionNamesEachServer(t *testing.T) {
	t.Parallel()
	cfg, f := newConfig(tuitest.Healthy())
	now := tuitest.Now
	cfg.Now = func() time.Time { return now }
	h := tuitest.NewHarness(cfg, 100, 30)
	f.Change(func(s *tuitest.ClusterState) {
		s.Attempts = []admin.Attempt{
			{Server: "tls://10.0.0.1:4222", Why: "connection refused", Next: "start unibusd there", Since: now},
			{Server: "tls://10.0.0.2:4222", Why: "its process hangs", Next: "restart unibusd there", Since: now},
		}
	})
	f.Fail(core.Errorf(core.KindUnavailable, "there is no connection to a node just now; nothing was sent").WithNext("try again"))
	now = now.Add(20 * time.Second)
	h.Tick()
	for _, page := range []string{"1", "4"} {
		h.Press(page)
		assertShows(t, h, "10.0.0.1:4222  connection refused, since 12:04:31", "Do: start unibusd there", "10.0.0.2:4222  its process hangs", "Do: restart unibusd there", "The connection is lost")
		assertHides(t, h, "try again")
	}
}

// TestBucketsWithoutALeaderAreNamed: the sentence begins with the buckets that take no writes.
func TestBucketsWithoutALeaderAreNamed(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Status.Buckets[0].Leader = ""
	h, _ := newHarness(t, state)
	h.Press("3")
	assertShows(t, h, "Without a leader, and not to be written now: users.")
	for i := range state.Status.Buckets {
		state.Status.Buckets[i].Leader = ""
	}
	for i := range state.Status.InternalBuckets {
		state.Status.InternalBuckets[i].Leader = ""
	}
	h, _ = newHarness(t, state)
	h.Press("3")
	assertShows(t, h, "No bucket has a leader: none of them can be written")
}
