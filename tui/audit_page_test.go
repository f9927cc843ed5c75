package tui_test

import (
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/core/admin"
	"unibus/tui/tuitest"
)

func TestAuditFetchesOlderRecordsAtTheEndOfTheList(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	h, f := newHarness(t, state)
	h.Press("9")
	assertShows(t, h, "100 actions, the newest first; older ones are fetched at the end of the list.")
	h.Press("down")
	assertShows(t, h, "100 actions")
	h.Press("end")
	assertShows(t, h, "200 actions")
	f.Change(func(state *tuitest.ClusterState) { // neither a new record nor a new outcome drops older records
		now := append([]admin.AuditRecord(nil), state.Audit...)
		now[0].Outcome, now[0].TookMS = "ok", 21_000
		fresh := now[0]
		fresh.Seq, fresh.ID, fresh.Verb = 514, "A00514", "user-activate"
		state.Audit = append([]admin.AuditRecord{fresh}, now...)
	})
	h.Tick()
	assertShows(t, h, "201 actions")
	h.Press("home")
	assertShows(t, h, "user-activate", "bucket-scale     ● ok        21 s")
	h.Press("end", "end")
	assertShows(t, h, "246 actions, the newest first.", "worker-001")
}

func TestAuditFiltersSortsAndOpens(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press(":", "audit", "enter", "/", "cutover", "enter")
	assertShows(t, h, "1 match /cutover.", "✖ failed")
	assertHides(t, h, "user-add")
	h.Press("enter")
	assertShows(t, h, "✖ failed  migrate-cutover", "failed, took 1.8 s: UNIBUS_members is not equal on n3", "ana (admin)")
	h.Press("esc", "esc", "s", "s", "s", "s") // the verb
	assertShows(t, h, "VERB↑", "> 09:04:31")
	h.Press("s", "home", "enter") // by outcome
	assertShows(t, h, "? unknown  bucket-scale", "none is recorded: the action is still running, or its node stopped.")
}

func TestEmptyAuditSaysWhatWouldFillIt(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Audit, state.Status.Clustered = nil, false
	h, _ := newHarness(t, state)
	h.Press("9", "down", "end", "enter", "y")
	assertShows(t, h, "0 actions", "n1's own record", "No operator has changed anything yet.", "nothing to copy")
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

// TestAuditTellsUserAdminsFromOperators: a user may have an operator's name.
func TestAuditTellsUserAdminsFromOperators(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	r := state.Audit[1]
	r.Seq, r.ID, r.Name, r.Role, r.Key = 514, "A00514", "ana\x1b[2J", "user-admin", string(state.Users[2].ID)
	state.Audit = append([]admin.AuditRecord{r}, state.Audit...)
	h, _ := newHarness(t, state)
	short := state.Users[2].ID.Short()
	h.Press("9")
	assertShows(t, h, "user-admin "+short, "user-revoke")
	h.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	h.Tick()
	assertShows(t, h, " user-admin  ", " ana         ")
	h.Press("home", "enter")
	assertShows(t, h, "user-admin "+short+" ana", "no operator: a user of the bus", r.Key)
	assertHides(t, h, "operator  ana", "\x1b[2J")
}
