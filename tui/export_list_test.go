package tui_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui"
	"unibus/tui/tuitest"
)

// exportTo presses x, replaces the name of the file, and confirms.
func exportTo(h *tuitest.Harness, name string) {
	h.Press("x")
	h.Settle()
	for range 60 {
		h.Press("backspace")
	}
	h.Press(name, "enter", "enter")
	h.Settle()
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestListIsExportedWhole: filtered and in its order, with rows that the page has not loaded, for its owner alone.
func TestListIsExportedWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, _ := newHarness(t, tuitest.Healthy(), func(c *tui.Config) { c.ReportDir = dir })
	h.Press("4", "s", "x")
	h.Settle()
	assertShows(t, h, "200 rows, not only those on the screen", "unibus-users-20261122-120431.csv")
	h.Press("enter", "enter")
	h.Settle()
	path := filepath.Join(dir, "unibus-users-20261122-120431.csv")
	rows := readCSV(t, path)
	if len(rows) != 201 || rows[0][0] != "id" || len(rows[1][0]) != 56 || rows[1][1] > rows[2][1] || !strings.HasPrefix(rows[1][4], "2026-11-") {
		t.Fatalf("%d rows: %q", len(rows), rows[:3])
	}
	assertShows(t, h, "Exported 200 rows of users")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v %v", info, err)
	}
	h.Press("esc", "/", "role:admin", "enter")
	exportTo(h, "admins.json")
	var users []map[string]any
	text, err := os.ReadFile(filepath.Join(dir, "admins.json"))
	if err != nil || json.Unmarshal(text, &users) != nil || len(users) != 6 || users[0]["role"] != "admin" {
		t.Fatalf("%v: %s", err, text)
	}
	if !strings.HasPrefix(string(text), "[\n{\"id\":\"U") {
		t.Errorf("the fields are not in their order: %.60s", text)
	}
}

// TestEveryListCanBeExported, as CSV and as JSON.
func TestEveryListCanBeExported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for page, want := range map[string]struct {
		rows  int
		shows string
	}{
		"1": {3, "3 rows"},
		"2": {3, "3 rows"},
		"3": {7, "7 rows"},
		"5": {50, "50 rows"},
		"7": {len(tuitest.Healthy().Events) + len(tuitest.Healthy().Incidents), "`unibusd events` shows all."},
		"8": {6, "n1 has 40 more than it reports."},
		"9": {len(tuitest.Healthy().Audit), "Exported 245 rows of audit"},
	} {
		for _, ext := range []string{".csv", ".json"} {
			state := tuitest.UnsafeToEnforce()
			if page != "8" {
				state = tuitest.Healthy()
			}
			h, _ := newHarness(t, state, func(c *tui.Config) { c.ReportDir = dir })
			h.Press(page)
			exportTo(h, "page"+page+ext)
			assertShows(t, h, want.shows)
			path := filepath.Join(dir, "page"+page+ext)
			if ext == ".csv" {
				if rows := readCSV(t, path); len(rows) != want.rows+1 {
					t.Errorf("page %s: %d rows: %q", page, len(rows), rows)
				}
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil || !json.Valid(text) {
				t.Errorf("page %s: %v %s", page, err, text)
			}
		}
	}
}

// TestExportNeverReplacesUnasked: the file stays as it is until the question is answered.
func TestExportNeverReplacesUnasked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.csv")
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	h, _ := newHarness(t, tuitest.Healthy(), func(c *tui.Config) { c.ReportDir = dir })
	h.Press("2")
	exportTo(h, "a.csv")
	assertShows(t, h, "Replace the file?", "a.csv exists. Its contents are lost")
	h.Press("enter") // Cancel has the focus
	h.Settle()
	if text, _ := os.ReadFile(path); string(text) != "mine" {
		t.Fatalf("it was replaced by %s", text)
	}
	exportTo(h, "a.csv")
	h.Press("y")
	h.Settle()
	if rows := readCSV(t, path); len(rows) != 4 {
		t.Errorf("%q", rows)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v", info.Mode())
	}
	assertLeftovers(t, dir, "a.csv")
}

func assertLeftovers(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(want) {
		t.Errorf("the directory has %v, %v", entries, err)
	}
}

// failingLater answers the first page of users and no other.
type failingLater struct{ *tuitest.FakeClient }

func (c failingLater) UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error) {
	if r.After != "" {
		return core.UserPage{}, core.Errorf(core.KindUnavailable, "no node answers")
	}
	if r.Limit == 0 {
		r.Limit = 10
	}
	return c.FakeClient.UserPage(ctx, r)
}

// TestExportThatFailsLeavesNothing: no part of a list looks like the whole.
func TestExportThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, _ := newHarness(t, tuitest.Healthy(), func(c *tui.Config) {
		c.ReportDir, c.Client = dir, failingLater{tuitest.NewFakeClient(tuitest.Healthy())}
	})
	h.Press("4")
	exportTo(h, "users.csv")
	assertShows(t, h, "Not exported: users", "No node answers.", "Nothing was written.")
	assertLeftovers(t, dir)
	for name, says := range map[string]string{"users.txt": "end in .csv or .json", ".csv": "Enter the name of a file", "no/such/dir.csv": "Nothing was written."} {
		h.Press("esc", "4")
		exportTo(h, name)
		assertShows(t, h, says)
	}
	h.Press("esc", "4")
	assertLeftovers(t, dir)
	if err := os.Mkdir(filepath.Join(dir, "d.csv"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.Press("2")
	exportTo(h, "d.csv")
	assertShows(t, h, "is no file that could be")
	h.Press("esc", "enter", "x")
	assertShows(t, h, "no list here that could be exported")
	h.Press("6", "x")
	assertShows(t, h, "no list here that could be exported")
}

// TestExportEndsByEsc: rows that were read until then are not written.
func TestExportEndsByEsc(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, _ := newHarness(t, tuitest.Healthy(), func(c *tui.Config) { c.ReportDir = dir })
	h.Press("4", "x")
	h.Settle()
	h.Press("enter", "enter")
	assertShows(t, h, "Exporting users; esc ends it")
	h.Press("x")
	assertShows(t, h, "Still exporting users.")
	h.Press("esc", "esc")
	assertShows(t, h, "was ended: nothing was written.")
	h.Settle()
	assertHides(t, h, "Exported")
	h.Press("esc", "2")
	exportTo(h, "n.csv")
	assertShows(t, h, "Exported 3 rows of nodes")
}

// TestFormulasAreTexts: a spreadsheet computes nothing that a user has chosen as a name.
func TestFormulasAreTexts(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), tuitest.Healthy()
	state.Users[0].Name = new("=1+1")
	state.Users[1].Name = new("a\x1b[2Jb")
	h, _ := newHarness(t, state, func(c *tui.Config) { c.ReportDir = dir })
	h.Press("4")
	exportTo(h, "u.csv")
	text, err := os.ReadFile(filepath.Join(dir, "u.csv"))
	if err != nil || !strings.Contains(string(text), ",'=1+1,") || strings.ContainsRune(string(text), '\x1b') {
		t.Errorf("%v: %s", err, text)
	}
}

// TestConsoleOnAnotherMachineWritesNoFiles: they would be on the node, as its user.
func TestConsoleOnAnotherMachineWritesNoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, _ := newHarness(t, tuitest.AfterCutover(), func(c *tui.Config) { c.NoFiles, c.ReportDir = true, dir })
	h.Press("2")
	assertHides(t, h, "x export")
	h.Press("x")
	assertShows(t, h, "writes no files")
	h.Press("6", "W")
	h.Settle()
	assertShows(t, h, "writes no files")
	assertLeftovers(t, dir)
}

// TestAuditIsExportedWhole, also the records that the list has not fetched, and the same rows with a filter.
func TestAuditIsExportedWhole(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), tuitest.Healthy()
	h, _ := newHarness(t, state, func(c *tui.Config) { c.ReportDir = dir })
	h.Press("9")
	assertShows(t, h, "older ones are fetched")
	exportTo(h, "audit.csv")
	rows := readCSV(t, filepath.Join(dir, "audit.csv"))
	if len(rows)-1 != len(state.Audit) || len(state.Audit) <= 100 {
		t.Errorf("%d rows of %d records", len(rows)-1, len(state.Audit))
	}
	verb, adds := 5, 0
	for _, r := range state.Audit {
		if r.Verb == "user-add" {
			adds++
		}
	}
	h.Press("esc", "/", "verb:user-add", "enter")
	exportTo(h, "adds.csv")
	rows = readCSV(t, filepath.Join(dir, "adds.csv"))
	if len(rows)-1 != adds || rows[len(rows)-1][verb] != "user-add" {
		t.Errorf("%d rows of %d: %q", len(rows)-1, adds, rows[len(rows)-1])
	}
}

// TestMembersOfAnOpenRoomAreExported: all of them, where the page has loaded a part, and those of a filter.
func TestMembersOfAnOpenRoomAreExported(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), tuitest.Healthy()
	room := state.Rooms[0].ID
	person := state.Members[room][0]
	for i := len(state.Members[room]); i < 2*admin.PageSize+10; i++ {
		person.User = core.UserID(fmt.Sprintf("UZ%054d", i))
		state.Members[room] = append(state.Members[room], person)
	}
	h, _ := newHarness(t, state, func(c *tui.Config) { c.ReportDir = dir })
	h.Press("5", "enter")
	exportTo(h, "members.csv")
	rows := readCSV(t, filepath.Join(dir, "members.csv"))
	if len(rows) != 2*admin.PageSize+11 || rows[0][0] != "user" || len(rows[1][0]) != 56 {
		t.Fatalf("%d rows: %q", len(rows), rows[:2])
	}
	assertShows(t, h, "rows of members-"+string(room))
	h.Press("esc", "/", "UZ", "enter")
	h.Screen() // a filter asks for all of them
	h.Tick()
	h.Tick()
	h.Press("x")
	h.Settle()
	assertShows(t, h, "that match /UZ")
}
