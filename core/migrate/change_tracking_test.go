package migrate

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"unibus/core"
)

// trackingSource is a source that notes what differs from its backup, as a log of
// every change would, and keys that were changed and changed back.
type trackingSource struct {
	fakeSource
	notes *fakeTracking
}

type fakeTracking struct {
	enabled   bool
	before    tables // when the noting began
	extraKeys map[core.Table][]string

	damaged bool // a part of what notes was taken away by hand
}

func (s trackingSource) Track(context.Context) error {
	return s.op("track", func() error {
		if s.notes.damaged {
			return core.Errorf(core.KindFailed, "the log of changes is not whole").WithNext("abort the move, which takes the log away, and start it again")
		}
		if !s.notes.enabled {
			s.notes.enabled, s.notes.before = true, s.source.clone()
		}
		return nil
	})
}

func (s trackingSource) Untrack(context.Context) error {
	return s.op("untrack", func() error { s.notes.enabled, s.notes.damaged = false, false; return nil })
}

func (s trackingSource) Tracked(context.Context) (on bool, err error) {
	err = s.op("tracked", func() error { on = s.notes.enabled && !s.notes.damaged; return nil })
	return on, err
}

func (s trackingSource) Changed(_ context.Context, t core.Table) (keys []string, err error) {
	err = s.op("changed", func() error {
		found := map[string]bool{}
		for _, k := range s.notes.extraKeys[t] {
			found[k] = true
		}
		for _, side := range []map[string][]byte{s.source[t], s.notes.before[t]} {
			for k := range side {
				if string(s.source[t][k]) != string(s.notes.before[t][k]) || (s.source[t][k] == nil) != (s.notes.before[t][k] == nil) {
					found[k] = true
				}
			}
		}
		keys = slices.Sorted(maps.Keys(found))
		return nil
	})
	return keys, err
}

func (s trackingSource) RowsOf(_ context.Context, t core.Table, keys []string) iter.Seq2[core.Row, error] {
	return s.seq("source.rowsof", func() []core.Row { return chosen(s.source, t, keys) })
}

func chosen(from tables, t core.Table, keys []string) []core.Row {
	return slices.DeleteFunc(from.rows(t), func(r core.Row) bool { return !slices.Contains(keys, r.Key) })
}

// fakeBackupWithLookup is a backup whose rows can be chosen.
type fakeBackupWithLookup struct{ fakeBackup }

func (c fakeBackupWithLookup) RowsOf(_ context.Context, t core.Table, keys []string) iter.Seq2[core.Row, error] {
	return c.seq("copy.rowsof", func() []core.Row { return chosen(c.data, t, keys) })
}

// withTracking lets a job of the world have a source that notes its changes.
func (w *fakeCluster) withTracking(n *fakeTracking) func(*Config) {
	return func(c *Config) {
		c.Source = trackingSource{fakeSource{w}, n}
		c.Backup = func(ctx context.Context, path string) (Backup, error) {
			if _, err := w.backup(ctx, path); err != nil {
				return Backup{}, err
			}
			return hashFile(path)
		}
		c.OpenBackup = func(_ context.Context, path string) (BackupReader, error) {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, core.Errorf(core.KindFailed, "reading: %w", err)
			}
			out := fakeBackupWithLookup{fakeBackup{fakeCluster: w}}
			return out, json.Unmarshal(data, &out.data)
		}
	}
}

func newVerifiedTracking(t *testing.T) (*fakeCluster, *Job, *fakeTracking) {
	t.Helper()
	w, n := newFakeCluster(t, 40), &fakeTracking{extraKeys: map[core.Table][]string{}}
	j := w.job(t, w.withTracking(n))
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	return w, j, n
}

// A source that notes its changes is not read while the fence stands, nor is anything else in full.
func TestFenceUsesTrackedChanges(t *testing.T) {
	t.Parallel()
	w, j, n := newVerifiedTracking(t)
	n.extraKeys[core.TableRooms] = []string{"k0007", "gone"}
	w.change()
	puts, ops := w.puts, w.countOps()
	reads := 0
	w.locked(func() {
		count := w.before
		w.before = func(op string) error {
			if op == "put authority" {
				reads = ops["source.rows"] + ops["copy.rows"] + ops["target.rows"] + ops["replica.rows"]
			}
			return count(op)
		}
	})
	s := cutOverAndWait(t, j)
	wantState(t, s, StateSoak)
	if !w.target.equal(w.source) || w.puts-puts != 2 || reads != 0 {
		t.Errorf("equal %v, put %d, tables read before the cutover: %d", w.target.equal(w.source), w.puts-puts, reads)
	}
	for i, p := range s.Buckets { // summed up afterwards
		want, _ := core.DigestRows(w.source.rows(core.Tables()[i]))
		if !p.Equal() || p.Source != want || len(p.Nodes) != 3 {
			t.Errorf("%+v", p)
		}
	}
	if s.Buckets[0].Changed != 2 || s.Buckets[2].Changed != 1 {
		t.Errorf("changed: %d, %d", s.Buckets[0].Changed, s.Buckets[2].Changed)
	}
}

// Where the notes cannot be relied on everything is compared.
func TestFenceWithoutNotesComparesEverything(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"notes gone", "backup altered"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w, j, n := newVerifiedTracking(t)
			w.change()
			switch how {
			case "notes gone":
				w.locked(func() { n.enabled = false })
			case "backup altered": // it is what the source is now: the notes would find nothing to bring
				if _, err := w.backup(t.Context(), j.Status().Backup.Path); err != nil {
					t.Fatal(err)
				}
			}
			ops := w.countOps()
			wantState(t, cutOverAndWait(t, j), StateSoak)
			if !w.target.equal(w.source) || ops["changed"] != 0 || ops["source.rows"] == 0 {
				t.Errorf("equal %v, did %v", w.target.equal(w.source), ops)
			}
		})
	}
}

// TestAbortForgetsTheNotes: an abort leaves no trace in the file.
func TestAbortForgetsTheNotes(t *testing.T) {
	t.Parallel()
	w, j, n := newVerifiedTracking(t)
	if !n.enabled {
		t.Fatal("nothing was noted")
	}
	if _, err := j.Abort(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	if n.enabled {
		t.Error("the notes go on")
	}
	w.locked(func() { n.enabled = true }) // as after a crash in the middle of it
	_ = j.Close()
	if w.job(t, w.withTracking(n)); n.enabled {
		t.Error("the notes go on after the next start")
	}
}

// TestDamagedTrackingStopsTheMigration stop a move, and what the refusal says leads out of it.
func TestDamagedTrackingStopsTheMigration(t *testing.T) {
	t.Parallel()
	w, j, n := newVerifiedTracking(t)
	w.locked(func() { n.damaged = true })
	s := startAndWait(t, j, w.options())
	if s.State != StateBackup || core.KindOf(errOf(s)) != core.KindFailed || s.Error.Next != "abort the move, which takes the log away, and start it again" {
		t.Fatalf("%s, %v", s.State, s.Error)
	}
	if _, err := j.Abort(t.Context(), "ana"); err != nil || n.enabled || n.damaged {
		t.Fatalf("%v, left of the notes: %v, torn %v", err, n.enabled, n.damaged)
	}
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	if _, err := j.Abort(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	w.locked(func() { n.enabled, n.damaged = true, true }) // as an abort that left them
	_ = j.Close()
	if w.job(t, w.withTracking(n)); n.enabled {
		t.Error("they are left after the next start")
	}
}

// TestNotesFindEveryChange: whatever changes in the source and in the target
// between the verification and the fence, the target is the source in the end.
func TestNotesFindEveryChange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w, j, n := newVerifiedTracking(t)
		for range rapid.IntRange(0, 12).Draw(rt, "changes") {
			table := rapid.SampledFrom(core.Tables()).Draw(rt, "table")
			key := rapid.SampledFrom([]string{"k0000", "k0001", "k0039", "new", "a", "z"}).Draw(rt, "key")
			value := rapid.SampledFrom([]string{"", "x", "y", "-"}).Draw(rt, "value")
			target := rapid.IntRange(0, 3).Draw(rt, "in the target") == 0
			w.locked(func() {
				switch {
				case target: // what an earlier cutover brought, that came to nothing
					w.target[table][key] = []byte(value)
					w.recordWrite(table, key)
				case value == "-":
					delete(w.source[table], key)
				default:
					w.source[table][key] = []byte(value)
				}
				n.extraKeys[table] = append(n.extraKeys[table], "k0002")
			})
		}
		wantState(t, cutOverAndWait(t, j), StateSoak)
		if !w.target.equal(w.source) {
			rt.Fatalf("the target is not the source")
		}
		_ = j.Close()
	})
}
