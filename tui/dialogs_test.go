package tui_test

import (
	"context"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui"
	"unibus/tui/tuitest"
)

func TestCommandLineFollowsTheFields(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	for i := range state.Status.Buckets { // fewer than possible
		state.Status.Buckets[i].Wanted = 1
	}
	h, _ := newHarness(t, state)
	id := string(tuitest.Healthy().Users[9].ID)
	h.Press("4", "a")
	h.Settle()
	assertShows(t, h, "Same as: unibusd user add NKEY --role member")
	h.Press(id, "enter", "new bie")
	assertShows(t, h, "Same as: unibusd user add "+id, "--name 'new bie' --role member")
	h.Press("esc", "3", "c")
	h.Settle()
	assertShows(t, h, "bucket scale --replicas 1") // the current number
	h.Press("backspace", "3")
	assertShows(t, h, "bucket scale --replicas 3")
}

func TestKeysTypedBeforeADialogDoNotAnswerIt(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.OnSQLite())
	h.Press("6", "b", "tab", "tab", "enter", "y", "enter")
	assertShows(t, h, "Move the control plane of demo to KV?", "a dialog has opened")
	h.Step()
	assertShows(t, h, "a dialog has opened") // keys restart the delay
	h.Settle()
	assertShows(t, h, "enter choose")
	assertCalls(t, f)
	h.Press("enter", "enter", "enter") // enter moves through the fields to the button
	h.Press("enter")
	h.Settle()
	assertCalls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 3")
	assertShows(t, h, "The migration has started on n1.")
}

func TestCancelHasFocus(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Verified())
	h.Press("6", "A")
	h.Settle()
	assertShows(t, h, "Abort the migration?", "Same as: unibusd migration abort --server", "--tls-ca ca.pem")
	h.Press("enter")
	h.Settle()
	assertCalls(t, f)
	assertHides(t, h, "Abort the migration?")
	h.Press("A")
	h.Settle()
	h.Press("y")
	h.Settle()
	assertCalls(t, f, "migrate-abort n1")
}

func TestCutoverRequiresTheClusterName(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Verified())
	h.Press("6", "X")
	h.Settle()
	h.Press("demi", "enter")
	assertShows(t, h, "That is not demo.")
	h.Press("tab", "tab", "enter") // skipping the field does not confirm
	h.Settle()
	assertCalls(t, f)
	h.Press("backspace", "o", "enter", "enter")
	h.Settle()
	assertCalls(t, f, "migrate-cutover n1")
}

func TestStartChecksItsFields(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.FilesDiffer())
	h.Press("6", "b")
	h.Settle()
	h.Press("enter", "fast", "enter")
	assertShows(t, h, "Enter rows per second")
	h.Press("backspace", "backspace", "backspace", "backspace", "500", "enter", "backspace", "backspace", "backspace", "no", "enter", "n3", "enter")
	assertShows(t, h, "Only the files of n2 can be ignored.")
	h.Press("backspace", "2")
	assertShows(t, h, "--replicas 3 --rate 500", "--no-backup --ignore-node n2 --server")
	h.Press("enter", "enter")
	h.Settle()
	assertCalls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 3 rate=500 no-backup discard=[n2]")
}

func TestSourceIsNamedAmongSeveralFiles(t *testing.T) {
	t.Parallel()
	state := tuitest.OnSQLite()
	info := *state.Status.Nodes[1].Info
	info.Serving = cluster.Serving{Backend: core.BackendSQLite, File: "/other.db"}
	state.Status.Nodes[1].Info = &info
	h, f := newHarness(t, state)
	h.Press("6", "b")
	h.Settle()
	h.Press("n3", "enter")
	assertShows(t, h, "Enter one of n1 and n2.")
	h.Press("backspace", "2", "enter", "enter", "enter", "enter", "enter")
	h.Settle()
	assertCalls(t, f, "migrate-start n2 /other.db 3")

	h, f = newHarness(t, tuitest.SeveralFiles())
	h.Press("6")
	assertShows(t, h, "There are two SQLite files", "/var/lib/unibus/unibus.db on n1", "/var/lib/unibus/unibus.db on n2")
	assertHides(t, h, "alone")
	h.Press("b")
	h.Settle()
	assertShows(t, h, "The file is backed up first", "--db FILE --node NODE")
	h.Press("n2")
	assertShows(t, h, "--db /var/lib/unibus/unibus.db --node n2")
	h.Press("esc", "D")
	h.Settle()
	assertCalls(t, f)
	assertShows(t, h, "Check which file?")
	h.Press("n3", "enter")
	assertShows(t, h, "Enter one of n1 and n2.")
	h.Press("backspace", "2", "enter", "enter")
	h.Settle()
	assertCalls(t, f, "migrate-start n2 /var/lib/unibus/unibus.db 0 dry-run")
	assertShows(t, h, "--node n2 --dry-run")
}

func TestSourceFileCannotBeIgnored(t *testing.T) {
	t.Parallel()
	state := tuitest.SeveralFiles()
	state.Migration = tuitest.FilesDiffer().Migration // n2 differs from n1
	h, f := newHarness(t, state)
	h.Press("6", "b")
	h.Settle()
	assertShows(t, h, "rows that the file of n1 lacks")
	h.Press("n2", "tab", "tab", "tab", "tab", "n2", "enter", "enter")
	assertShows(t, h, "The file of n2 is the source")
	h.Press("tab", "tab", "tab", "tab", "backspace", "1", "enter", "enter")
	h.Settle()
	assertCalls(t, f, "migrate-start n2 /var/lib/unibus/unibus.db 3 discard=[n1]")
}

func TestLeftoversAreNamedInTheDialog(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Leftovers())
	h.Press("6")
	assertShows(t, h, "users.note", "--ignore users.note", "1 note of preflight", "rooms.topic")
	h.Press("b")
	h.Settle()
	assertShows(t, h, "The file also holds users.note")
	h.Press("tab", "tab", "tab", "users.nope", "enter")
	assertShows(t, h, "names \"users.nope\"")
	h.Press("backspace", "backspace", "backspace", "backspace", "note")
	assertShows(t, h, "users.note --server")
	h.Press("enter", "enter")
	h.Settle()
	assertCalls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 3 ignore=[users.note]")
}

func TestLimitAsksForANumber(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Copying())
	h.Press("6", "L")
	h.Settle()
	h.Press("-1", "enter")
	assertShows(t, h, "Enter rows per second")
	h.Press("backspace", "backspace", "250", "enter", "enter")
	h.Settle()
	assertCalls(t, f, "migrate-limit n1 250")
	assertShows(t, h, "The copy writes at most 250 rows per second.")
}

func TestRollbackRequiresTheClusterName(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.AfterCutover())
	h.Press("6", "U")
	h.Settle()
	assertShows(t, h, "Nothing written since the cutover is lost", "fail with \"the", "Same as: unibusd migration rollback")
	h.Press("tab", "tab", "enter")
	h.Settle()
	assertCalls(t, f)
	h.Press("demo", "enter", "enter")
	h.Settle()
	assertCalls(t, f, "migrate-rollback n1")
	assertShows(t, h, "The rollback has started.")
}

func TestDryRunNeedsNoDialog(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.OnSQLite())
	h.Press("6", "D")
	h.Settle()
	assertCalls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 0 dry-run")
}

func TestBulkRevokeRequiresTheNumber(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press("4", "down", "m", "m", "r")
	h.Settle()
	assertShows(t, h, "Revoke 2 users?", "bruno-00, chidi-00")
	h.Press("2 users", "enter", "enter")
	h.Settle()
	got := f.Calls()
	if len(got) != 2 || !strings.HasPrefix(got[0], "user-revoke U") {
		t.Errorf("calls %q", got)
	}
	assertShows(t, h, "2 users are revoked", "n1: 4 sessions ended in 9 ms", "n2: no session")
	h.Press("esc")
	assertShows(t, h, "189 active, 11 revoked")
	assertHides(t, h, "marked")
}

func TestRevokeRequiresTheUserName(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press(":", "user revoke dora-99", "enter")
	h.Settle()
	assertShows(t, h, "Not done: user revoke", `No user is called "dora-99"`)
	h.Press("esc", "1", ":", "user revoke dora-01", "enter")
	h.Settle()
	h.Press("dora-01", "enter", "enter")
	h.Settle()
	if got := f.Calls(); len(got) != 1 {
		t.Errorf("calls %q", got)
	}
}

// usersFail is a client that cannot list the users.
type usersFail struct{ *tuitest.FakeClient }

func (usersFail) UserPage(context.Context, core.UserPageRequest) (core.UserPage, error) {
	return core.UserPage{}, core.Errorf(core.KindUnavailable, "no answer in time").WithNext("try again")
}

// TestNamesAreNotCalledUnknownWithoutAnAnswer: a name that the console cannot know is not called unknown.
func TestNamesAreNotCalledUnknownWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy(), func(c *tui.Config) { c.Client = usersFail{c.Client.(*tuitest.FakeClient)} })
	h.Press(":", "user revoke dora-01", "enter")
	h.Settle()
	assertShows(t, h, "Not done: user revoke", "No answer in time.", "Try again.")
	assertHides(t, h, "No user is called")

	cfg, f := newConfig(tuitest.Healthy())
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	h = tuitest.NewHarness(cfg, 100, 30)
	for _, line := range []string{"node remove n3", "bucket step-down users"} {
		h.Press(":", line, "enter")
		h.Settle()
		assertShows(t, h, "Not done: ", "No node has answered yet.")
		h.Press("esc")
	}
}

// TestUserGetsAnEndAndANewKey: the dialogs of both show what the same command would be, refuse
// what the command refuses, and report what came of it.
func TestUserGetsAnEndAndANewKey(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	old, fresh := string(tuitest.Healthy().Users[1].ID), "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
	h.Press("4", ":", "user extend bruno-00", "enter")
	h.Settle()
	assertShows(t, h, "When does the access of bruno-00 end?", "Now: no end.", "--expires TIME")
	h.Press("soon", "enter")
	assertShows(t, h, "is no time at which a user can end")
	for range len("soon") {
		h.Press("backspace")
	}
	h.Press("90d")
	assertShows(t, h, "unibusd user extend "+old, "--expires 90d --server")
	h.Press("enter", "enter")
	h.Settle()
	assertShows(t, h, "bruno-00: until ")
	h.Press(":", "user replace bruno-00", "enter")
	h.Settle()
	h.Press(old, "enter")
	assertShows(t, h, "This is the old nkey.")
	for range old {
		h.Press("backspace")
	}
	h.Press(fresh, "enter", "bruno-00", "enter", "enter")
	h.Settle()
	assertShows(t, h, "1 room moved", "The room room-02 is encrypted", "has to be invited by ada", "n1: 1 session ended")
	if calls := f.Calls(); len(calls) != 2 || !strings.HasPrefix(calls[0], "user-extend "+old) || calls[1] != "user-replace "+fresh+" "+old {
		t.Errorf("calls %q", calls)
	}
	h.Press("esc", "4", "m", "down", "m", "e")
	assertShows(t, h, "it changes one user at a time")
}

func TestUserAddChecksItsFields(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	id := string(tuitest.Healthy().Users[9].ID)
	h.Press("4", "a")
	h.Settle()
	h.Press("UABC", "enter")
	assertShows(t, h, "is not a user's public nkey")
	for range 4 {
		h.Press("backspace")
	}
	h.Send(tea.PasteMsg{Content: id + "\n"})
	h.Press("enter", "newbie", "enter", "x")
	assertShows(t, h, "This is member or admin: space changes it.", "--role member")
	h.Press("space")
	assertShows(t, h, "--role admin")
	h.Press("left", "enter", "2024-01-01", "enter")
	assertShows(t, h, "is no time at which a user can end")
	for range len("never2024-01-01") {
		h.Press("backspace")
	}
	h.Press("30d", "enter", "enter")
	h.Settle()
	assertCalls(t, f, "user-add "+id+" member")
	assertShows(t, h, "Not done: user add", "is a user already.", "Do: ")
}

// TestLimitOfAnEndedMigration: the limit of a migration that was aborted was meant for that one.
func TestLimitOfAnEndedMigration(t *testing.T) {
	t.Parallel()
	state := tuitest.Aborted()
	state.Migration.Options.Rate = 2345
	h, _ := newHarness(t, state)
	h.Press("6", "b")
	assertShows(t, h, "rows per second")
	assertHides(t, h, "2345")
	assertHides(t, h, "2,345")
}
