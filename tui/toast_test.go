package tui_test

import (
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/core/migrate"
	"unibus/tui/tuitest"
)

// TestToastEndsWhenWhatItSaysIsOver: a cutover that has ended, and a reason that no longer holds.
func TestToastEndsWhenWhatItSaysIsOver(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Verified())
	h.Press("6", "X")
	h.Settle()
	h.Press("demo", "enter", "enter")
	h.Settle()
	f.Change(func(s *tuitest.ClusterState) { s.Migration = tuitest.CuttingOver().Migration })
	h.Tick()
	h.Tick()
	assertShows(t, h, "The cutover has started")
	f.Change(func(s *tuitest.ClusterState) { s.Migration = tuitest.AfterCutover().Migration })
	h.Tick()
	h.Tick()
	assertHides(t, h, "The cutover has started")

	h, f = newHarness(t, tuitest.NoQuorum())
	h.Press("4", "r")
	assertShows(t, h, "Not available: there is no quorum")
	f.Set(tuitest.Healthy())
	h.Tick()
	assertHides(t, h, "there is no quorum")
}

// TestSoakIsOnTheOverview, and ends with the migration.
func TestSoakIsOnTheOverview(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.AfterCutover())
	assertShows(t, h, "kv, generation 2, soak", "200 users")
	h.Send(tea.WindowSizeMsg{Width: 120, Height: 40})
	assertShows(t, h, "soak: can be rolled back", "200 users")
	h.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	assertShows(t, h, ", soak", "200 users")
	f.Change(func(s *tuitest.ClusterState) { s.Migration.State = migrate.StateDone })
	h.Tick()
	assertHides(t, h, "soak")
}

// TestBackupIsAChoice: yes or no, and nothing else can be in the field.
func TestBackupIsAChoice(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.OnSQLite())
	h.Press("6", "b")
	h.Settle()
	h.Press("enter", "enter")
	assertShows(t, h, "keep backup      yes   space: yes or no")
	h.Press("maybe")
	assertShows(t, h, "keep backup      yes", "This is yes or no: space changes it.")
	h.Press("space")
	assertShows(t, h, "--no-backup")
	h.Press("enter", "enter")
	h.Settle()
	assertCalls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 3 no-backup")
}

// TestLimitIsNoOptionOfAnEndedMigration: it was of the copy.
func TestLimitIsNoOptionOfAnEndedMigration(t *testing.T) {
	t.Parallel()
	state := tuitest.CopyPaused()
	state.Migration.Options.Rate = 2345
	h, f := newHarness(t, state)
	h.Press("6")
	assertShows(t, h, "at most 2 345 rows/s")
	f.Change(func(s *tuitest.ClusterState) {
		s.Migration = tuitest.Aborted().Migration
		s.Migration.Options.Rate = 2345
	})
	h.Tick()
	assertHides(t, h, "2 345")
}

// TestBucketsHaveOneName on every page, and page 3 says whose keys it counts.
func TestBucketsHaveOneName(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	assertShows(t, h, "users, rooms")
	h.Press("3")
	assertShows(t, h, "● users  ", "Keys include those of unibus itself")
	assertHides(t, h, "UNIBUS_")
	h.Press("enter")
	assertShows(t, h, "200 keys, with those of unibus itself")
}
