package tui_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"unibus/core/admin"
	"unibus/tui/tuitest"
)

// copied is the text that the console has just sent to the clipboard.
func copied(t *testing.T, h *tuitest.Harness) string {
	t.Helper()
	for _, msg := range h.PendingMessages() {
		if fmt.Sprintf("%T", msg) == "tea.setClipboardMsg" {
			return fmt.Sprint(msg)
		}
	}
	t.Errorf("nothing was copied:\n%s", h.Screen())
	return ""
}

// TestCopyGoesOn: y copies the id; again the row, the command, the report; then the id. The console says what it
// copied.
func TestCopyGoesOn(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	u := tuitest.Healthy().Users[1]
	h.Press("4", "down", "enter")
	h.DropPending()
	for _, c := range []struct{ says, text string }{
		{"Copied the id;", string(u.ID)},
		{"Copied the row;", *u.Name + "\t● active\t" + string(u.Role) + "\t"},
		{"Copied the command;", "unibusd user get " + string(u.ID) + " " + flags},
		{"Copied the report, ", "encryption key"},
		{"Copied the id;", string(u.ID)},
	} {
		h.Press("y")
		assertShows(t, h, c.says)
		if got := copied(t, h); !strings.Contains(got, c.text) {
			t.Errorf("%s %q", c.says, got)
		}
	}
	h.Press("esc", "esc", "3", "y")
	assertShows(t, h, "Copied the id; to copy by hand: UNIBUS_users", "y again: the row")
	h.Press("down", "y") // another row begins anew
	assertShows(t, h, "Copied the id; to copy by hand: UNIBUS_rooms")
}

// TestBulkCommandCanBePasted: however many users are marked, the copied command is one line that a shell takes.
func TestBulkCommandCanBePasted(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	h, _ := newHarness(t, state)
	h.Press("4", "M", "r")
	h.Settle()
	assertShows(t, h, "ctrl+y copy the command")
	h.Press("ctrl+y")
	text := copied(t, h)
	if strings.Count(text, "\n") != 0 || strings.Contains(text, "…") {
		t.Fatalf("%.200q", text)
	}
	script := "unibusd() { echo \"$@\"; }\n" + text
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != len(state.Users) || !strings.HasPrefix(lines[7], "user revoke "+string(state.Users[7].ID)[:5]) || !strings.HasSuffix(lines[7], flags) {
		t.Errorf("%v, %d lines: %.300s", err, len(lines), out)
	}
}

// TestReportOfAnActionCanBeCopied: y in a message copies all of it.
func TestReportOfAnActionCanBeCopied(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press(":", "user activate nobody-like-this", "enter")
	h.Settle()
	assertShows(t, h, "Not done: user activate", "y copy")
	h.Press("y")
	if got := copied(t, h); !strings.Contains(got, "Not done: user activate\nNo user is called") {
		t.Errorf("%q", got)
	}
	assertShows(t, h, "Not done: user activate") // it stays
	h.Press("esc")
	assertHides(t, h, "Not done")
}

// TestPastActIsRepeatedAsACommand: with its arguments, and never unasked.
func TestPastActIsRepeatedAsACommand(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	id := string(state.Users[0].ID)
	for args, want := range map[string][2]string{
		"user-revoke id=" + id:                               {"unibusd user revoke " + id, ":user revoke " + id},
		"user-add id=" + id + ` name="ana lee" role=member`:  {"unibusd user add " + id + " --name 'ana lee' --role member", ":user add"},
		"user-extend id=" + id:                               {"unibusd user extend " + id + " --expires never", ":user extend"},
		"node-drain name=n2 for_ms=7200000":                  {"unibusd node drain n2 --for 2h0m0s", ":node drain n2"},
		"bucket-scale replicas=3":                            {"unibusd bucket scale --replicas 3", ":bucket scale"},
		"step-down group=UNIBUS_users to=n2":                 {"unibusd step-down UNIBUS_users --to n2", ":bucket step-down UNIBUS_users"},
		"migrate-start db=/a/b.db replicas=3 no_backup=true": {"unibusd migrate-to-kv --db /a/b.db --replicas 3 --no-backup", ":migrate start"},
		"session-end session=n2/57":                          {"unibusd session end n2/57", "Only the command repeats this"},
		"user-replace id=" + id + " to=\"UAB…\"":             {"not by a command: a value is too long", "cannot be repeated"},
		"support": {"not by a command: no command does it", "cannot be repeated"},
	} {
		verb, rest, _ := strings.Cut(args, " ")
		record := tuitest.Healthy().Audit[1]
		record.Verb, record.Args = verb, rest
		state.Audit = []admin.AuditRecord{record}
		h, f := newHarness(t, state)
		h.Press("9", "enter")
		if got := strings.Join(strings.Fields(h.Screen()), " "); !strings.Contains(got, want[0]) {
			t.Errorf("%s: no %q in\n%s", args, want[0], h.Screen())
		}
		h.Press("esc", "r")
		assertShows(t, h, want[1])
		assertCalls(t, f)
	}
	h, f := newHarness(t, tuitest.Healthy())
	h.Press("9", "down", "r", "enter")
	h.Settle()
	assertCalls(t, f)
	h.Press("esc", "9", "y", "y", "y")
	assertShows(t, h, "Copied the command;", "unibusd user revoke")
}

// TestRecordWithoutATargetIsNotRepeated: half a command would be about something else.
func TestRecordWithoutATargetIsNotRepeated(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	record := state.Audit[1]
	record.Verb, record.Args = "user-revoke", "a request that cannot be read"
	state.Audit = []admin.AuditRecord{record}
	h, _ := newHarness(t, state)
	h.Press("9", "enter")
	assertShows(t, h, "not by a command: no command does it")
}
