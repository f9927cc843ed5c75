package migrate

import (
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// leftovers is a cluster whose source holds more than unibus keeps.
func leftovers(t *testing.T) *fakeCluster {
	w := newFakeCluster(t, 5)
	w.leftovers = []core.Leftover{{Table: "users", Column: "note", Rows: 3}, {Table: "More", Rows: 1}, {Table: "rooms", Column: "unused"}}
	w.oddTimes = []core.OddTimes{{Table: core.TableUsers, Column: "created_at", Unit: core.Seconds, Rows: 2, Example: 1764288000}}
	return w
}

// TestLeftoversAreNamed: a table or column that has rows and is not migrated stops the migration until it is named; the
// rest is a note.
func TestLeftoversAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		ignored         []string
		kind            core.Kind
		problems, notes []string
	}{
		{
			"nothing is named", nil, core.KindRefused,
			[]string{"the column users.note of", "3 rows hold something in it", "--ignore users.note", "the table More of", "1 row holds something"},
			[]string{"the column rooms.unused of", "is empty", "created_at looks like seconds in 2 rows", "2025-11-28"},
		},
		{"one is named", []string{"USERS.Note"}, core.KindRefused, []string{"the table More of"}, []string{"users.note of", "as the operator chose"}},
		{"no such", []string{"users.nope", "more", "users.note"}, core.KindInvalid, []string{`"users.nope"`, "it has users.note, More, rooms.unused"}, nil},
		{"all are named", []string{"users.note", "more"}, "", nil, []string{"More of", "as the operator chose"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := leftovers(t)
			o := w.options()
			o.Ignored = c.ignored
			st := startAndWait(t, w.job(t, nil), o)
			if kind := kindOfStatus(st); kind != c.kind {
				t.Fatalf("%q, want %q: %+v", kind, c.kind, st.Problems)
			}
			report := st.Report(time.Now())
			for _, want := range append(c.problems, c.notes...) {
				if !strings.Contains(report, want) {
					t.Errorf("%s\nlacks %q", report, want)
				}
			}
			if c.kind == "" && (len(st.Problems) > 0 || !st.Verified || !strings.Contains(report, "left behind: users.note, more")) {
				t.Errorf("%+v\n%s", st.Problems, report)
			}
		})
	}
}

// TestLeftoversOfLater: writes to a column of the owner's after preflight are looked for three times: before the
// cutover, before the file is fenced, and behind the fence, which does not keep tables of the owner's from being
// written.
func TestLeftoversOfLater(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]string{"before the fence": "", "behind the fence": "fence"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFakeCluster(t, 5)
			w.leftovers = []core.Leftover{{Table: "users", Column: "note"}, {Table: "old", Rows: 2}}
			j, o := w.job(t, nil), w.options()
			o.Ignored = []string{"old"}
			if st := startAndWait(t, j, o); st.Error != nil || st.State != StateVerify {
				t.Fatalf("%+v", st)
			}
			write := func() {
				w.leftovers = []core.Leftover{{Table: "users", Column: "note", Rows: 1}, {Table: "old", Rows: 3}}
			}
			fences := 0
			w.locked(func() {
				if when == "" {
					write()
				}
				w.after = func(op string) error {
					if op == "fence" {
						fences++
						if when == "fence" {
							write()
						}
					}
					return nil
				}
			})
			if _, err := j.Cutover(t.Context(), "ana"); err != nil {
				t.Fatal(err)
			}
			st := awaitStopped(t, j)
			if kindOfStatus(st) != core.KindRefused || st.State != StateVerify || w.fenced || w.authority.Backend != core.BackendSQLite {
				t.Fatalf("%+v, fenced %v, %+v", st, w.fenced, w.authority)
			}
			if e := st.Error; !strings.Contains(e.Text, "users.note") || !strings.Contains(e.Text, "1 row") || !strings.Contains(e.Next, "migration abort") || !strings.HasSuffix(e.Next, "--ignore users.note") {
				t.Errorf("%s: %s", e.Text, e.Next)
			}
			if want := map[string]int{"": 0, "fence": 1}[when]; fences != want {
				t.Errorf("fenced %d times, want %d", fences, want)
			}
		})
	}
}

func kindOfStatus(st Status) core.Kind {
	if st.Error == nil {
		return ""
	}
	return st.Error.Kind
}

// TestLeftoversInADryRun: a dry run keeps what it saw, for the page and the dialog.
func TestLeftoversInADryRun(t *testing.T) {
	t.Parallel()
	w := leftovers(t)
	o := w.options()
	o.DryRun = true
	st := startAndWait(t, w.job(t, nil), o)
	if len(st.Leftovers) != 3 || len(st.Notes) != 2 || len(st.Problems) != 2 {
		t.Errorf("%+v\n%+v\n%+v", st.Leftovers, st.Notes, st.Problems)
	}
}
