package tui_test

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/tuitest"
)

func TestCommandLineFollowsTheFields(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	for i := range state.Status.Buckets { // there is something to raise
		state.Status.Buckets[i].Wanted = 1
	}
	s, _ := newHarness(t, state)
	id := string(tuitest.Healthy().Users[9].ID)
	s.Press("4", "a")
	s.Settle()
	assertShows(t, s, "Same as: unibusd user add NKEY --role member")
	s.Press(id, "enter", "new bie")
	assertShows(t, s, "Same as: unibusd user add "+id, "--name 'new bie' --role member")
	s.Press("esc", "3", "c")
	s.Settle()
	assertShows(t, s, "bucket scale --replicas 1") // the current number
	s.Press("backspace", "3")
	assertShows(t, s, "bucket scale --replicas 3")
}

func TestKeysTypedBeforeADialogDoNotAnswerIt(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.OnSQLite())
	s.Press("6", "b", "tab", "tab", "enter", "y", "enter")
	assertShows(t, s, "Move the control plane of demo to KV?", "a dialog has opened")
	s.Step()
	assertShows(t, s, "a dialog has opened") // keys came meanwhile: it waits for a pause
	s.Settle()
	assertShows(t, s, "enter choose")
	assertCalls(t, f)
	s.Press("enter", "enter", "enter") // in the fields: on to the button
	s.Press("enter")
	s.Settle()
	assertCalls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 3")
	assertShows(t, s, "The migration has started on n1.")
}

func TestCancelHasFocus(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.Verified())
	s.Press("6", "A")
	s.Settle()
	assertShows(t, s, "Abort the migration?", "Same as: unibusd migration abort --server", "--tls-ca ca.pem")
	s.Press("enter")
	s.Settle()
	assertCalls(t, f)
	assertHides(t, s, "Abort the migration?")
	s.Press("A")
	s.Settle()
	s.Press("y")
	s.Settle()
	assertCalls(t, f, "migrate-abort n1")
}

func TestCutoverRequiresTheClusterName(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.Verified())
	s.Press("6", "X")
	s.Settle()
	s.Press("demi", "enter")
	assertShows(t, s, "That is not demo.")
	s.Press("tab", "tab", "enter") // straight to the button does not help
	s.Settle()
	assertCalls(t, f)
	s.Press("backspace", "o", "enter", "enter")
	s.Settle()
	assertCalls(t, f, "migrate-cutover n1")
}

func TestStartChecksItsFields(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.FilesDiffer())
	s.Press("6", "b")
	s.Settle()
	s.Press("enter", "fast", "enter")
	assertShows(t, s, "Enter rows per second")
	s.Press("backspace", "backspace", "backspace", "backspace", "500", "enter", "backspace", "backspace", "backspace", "no", "enter", "n3", "enter")
	assertShows(t, s, "Only the files of n2 can be ignored.")
	s.Press("backspace", "2")
	assertShows(t, s, "--replicas 3 --rate 500", "--no-backup --discard n2 --server")
	s.Press("enter", "enter")
	s.Settle()
	assertCalls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 3 rate=500 no-backup discard=[n2]")
}

func TestSourceIsNamedAmongSeveralFiles(t *testing.T) {
	t.Parallel()
	state := tuitest.OnSQLite()
	info := *state.Status.Nodes[1].Info
	info.Serving = cluster.Serving{Backend: core.BackendSQLite, File: "/other.db"}
	state.Status.Nodes[1].Info = &info
	s, f := newHarness(t, state)
	s.Press("6", "b")
	s.Settle()
	s.Press("n3", "enter")
	assertShows(t, s, "Enter one of n1 and n2.")
	s.Press("backspace", "2", "enter", "enter", "enter", "enter", "enter")
	s.Settle()
	assertCalls(t, f, "migrate-start n2 /other.db 3")

	s, f = newHarness(t, tuitest.SeveralFiles())
	s.Press("6")
	assertShows(t, s, "There are two SQLite files", "/var/lib/unibus/unibus.db on n1", "/var/lib/unibus/unibus.db on n2")
	assertHides(t, s, "alone")
	s.Press("b")
	s.Settle()
	assertShows(t, s, "The file is backed up first", "--db FILE --node NODE")
	s.Press("n2")
	assertShows(t, s, "--db /var/lib/unibus/unibus.db --node n2")
	s.Press("esc", "D")
	s.Settle()
	assertCalls(t, f)
	assertShows(t, s, "Check which file?")
	s.Press("n3", "enter")
	assertShows(t, s, "Enter one of n1 and n2.")
	s.Press("backspace", "2", "enter", "enter")
	s.Settle()
	assertCalls(t, f, "migrate-start n2 /var/lib/unibus/unibus.db 0 dry-run")
	assertShows(t, s, "--node n2 --dry-run")
}

func TestSourceFileCannotBeIgnored(t *testing.T) {
	t.Parallel()
	state := tuitest.SeveralFiles()
	state.Migration = tuitest.FilesDiffer().Migration // n2 differs from n1
	s, f := newHarness(t, state)
	s.Press("6", "b")
	s.Settle()
	assertShows(t, s, "rows that the file of n1 lacks")
	s.Press("n2", "tab", "tab", "tab", "tab", "n2", "enter", "enter")
	assertShows(t, s, "The file of n2 is the source")
	s.Press("tab", "tab", "tab", "tab", "backspace", "1", "enter", "enter")
	s.Settle()
	assertCalls(t, f, "migrate-start n2 /var/lib/unibus/unibus.db 3 discard=[n1]")
}

func TestLimitAsksForANumber(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.Copying())
	s.Press("6", "L")
	s.Settle()
	s.Press("-1", "enter")
	assertShows(t, s, "Enter rows per second")
	s.Press("backspace", "backspace", "250", "enter", "enter")
	s.Settle()
	assertCalls(t, f, "migrate-limit n1 250")
	assertShows(t, s, "The copy writes at most 250 rows per second.")
}

func TestRollbackRequiresTheClusterName(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.AfterCutover())
	s.Press("6", "U")
	s.Settle()
	assertShows(t, s, "Nothing written since the cutover is lost", "fail with \"the", "Same as: unibusd migration rollback")
	s.Press("tab", "tab", "enter")
	s.Settle()
	assertCalls(t, f)
	s.Press("demo", "enter", "enter")
	s.Settle()
	assertCalls(t, f, "migrate-rollback n1")
	assertShows(t, s, "The rollback has started.")
}

func TestDryRunNeedsNoDialog(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.OnSQLite())
	s.Press("6", "D")
	s.Settle()
	assertCalls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 0 dry-run")
}

func TestBulkRevokeRequiresTheNumber(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.Healthy())
	s.Press("4", "down", "m", "m", "r")
	s.Settle()
	assertShows(t, s, "Revoke 2 users?", "bruno-00, chidi-00")
	s.Press("2 users", "enter", "enter")
	s.Settle()
	got := f.Calls()
	if len(got) != 2 || !strings.HasPrefix(got[0], "user-revoke U") {
		t.Errorf("calls %q", got)
	}
	assertShows(t, s, "2 users are revoked", "n1: 4 sessions ended in 9 ms", "n2: no session")
	s.Press("esc")
	assertShows(t, s, "189 active, 11 revoked")
	assertHides(t, s, "marked")
}

func TestRevokeRequiresTheUserName(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.Healthy())
	s.Press(":", "user revoke dora-01", "enter") // dora-01 is not on the screen: commands name users
	s.Settle()
	assertShows(t, s, "Not done: user revoke", `No user is called "dora-01"`)
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
	s, f := newHarness(t, tuitest.Healthy())
	id := string(tuitest.Healthy().Users[9].ID)
	s.Press("4", "a")
	s.Settle()
	s.Press("UABC", "enter")
	assertShows(t, s, "is not a user's public nkey")
	for range 4 {
		s.Press("backspace")
	}
	s.Send(tea.PasteMsg{Content: id + "\n"})
	s.Press("enter", "newbie", "enter", "x", "enter")
	assertShows(t, s, "The role is member or admin.")
	s.Press("backspace", "enter", "enter")
	s.Settle()
	assertCalls(t, f, "user-add "+id+" member")
	assertShows(t, s, "Not done: user add", "is a user already.", "Do: ")
}
