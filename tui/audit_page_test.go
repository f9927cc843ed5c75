package tui_test

import (
	"testing"

	"unibus/core/admin"
	"unibus/tui/tuitest"
)

func TestAuditFetchesOlderRecordsAtTheEndOfTheList(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	s, f := newHarness(t, state)
	s.Press("9")
	assertShows(t, s, "100 actions, the newest first; older ones are fetched at the end of the list.")
	s.Press("down")
	assertShows(t, s, "100 actions")
	s.Press("end")
	assertShows(t, s, "200 actions")
	f.Change(func(state *tuitest.ClusterState) { // something new, and an outcome: neither costs what was read
		now := append([]admin.AuditRecord(nil), state.Audit...)
		now[0].Outcome, now[0].TookMS = "ok", 21_000
		fresh := now[0]
		fresh.Seq, fresh.ID, fresh.Verb = 514, "A00514", "user-activate"
		state.Audit = append([]admin.AuditRecord{fresh}, now...)
	})
	s.Tick()
	assertShows(t, s, "201 actions")
	s.Press("home")
	assertShows(t, s, "user-activate", "bucket-scale     ● ok        21 s")
	s.Press("end", "end")
	assertShows(t, s, "246 actions, the newest first.", "worker-001")
}

func TestAuditFiltersSortsAndOpens(t *testing.T) {
	t.Parallel()
	s, _ := newHarness(t, tuitest.Healthy())
	s.Press(":", "audit", "enter", "/", "cutover", "enter")
	assertShows(t, s, "1 match /cutover.", "✖ failed")
	assertHides(t, s, "user-add")
	s.Press("enter")
	assertShows(t, s, "✖ failed  migrate-cutover", "failed, took 1.8 s: UNIBUS_members is not equal on n3", "ana (admin)")
	s.Press("esc", "esc", "s", "s", "s", "s") // the verb
	assertShows(t, s, "VERB↑", "> 09:04:31")
	s.Press("s", "home", "enter") // the outcome: what wants a look first
	assertShows(t, s, "? unknown  bucket-scale", "none is recorded: the action is still running, or its node stopped.")
}

func TestEmptyAuditSaysWhatWouldFillIt(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Audit, state.Status.Clustered = nil, false
	s, _ := newHarness(t, state)
	s.Press("9", "down", "end", "enter", "y")
	assertShows(t, s, "0 actions", "n1's own record", "No operator has changed anything yet.", "nothing to copy")
}

func TestAuditPageIsPolled(t *testing.T) {
	t.Parallel()
	term, f := startTerminal(t, tuitest.Healthy(), 100, 30)
	waitFor(t, term, "live from n1")
	term.Press("9")
	waitFor(t, term, "100 actions", "? unknown")
	f.Change(func(state *tuitest.ClusterState) {
		now := append([]admin.AuditRecord(nil), state.Audit...)
		now[0].Outcome, now[0].TookMS = "ok", 34
		state.Audit = now
	})
	waitFor(t, term, "34 ms")
	term.Press("end")
	waitFor(t, term, "200 actions")
}
