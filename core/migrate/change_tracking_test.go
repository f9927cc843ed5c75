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

// tracking is a source that notes what differs from its backup, as a log of
// every change would, and keys that were changed and changed back.
type tracking struct {
	fakeSource
	notes *notes
}

type notes struct {
	on  bool
	was tables // when the noting began
	too map[core.Table][]string

	torn bool // a part of what notes was taken away by hand
}

func (s tracking) Track(context.Context) error {
	return s.op("track", func() error {
		if s.notes.torn {
			return core.Errorf(core.KindFailed, "the log of changes is not whole").WithNext("abort the move, which takes the log away, and start it again")
		}
		if !s.notes.on {
			s.notes.on, s.notes.was = true, s.source.clone()
		}
		return nil
	})
}

func (s tracking) Untrack(context.Context) error {
	return s.op("untrack", func() error { s.notes.on, s.notes.torn = false, false; return nil })
}

func (s tracking) Tracked(context.Context) (on bool, err error) {
	err = s.op("tracked", func() error { on = s.notes.on && !s.notes.torn; return nil })
	return on, err
}

func (s tracking) Changed(_ context.Context, t core.Table) (keys []string, err error) {
	err = s.op("changed", func() error {
		found := map[string]bool{}
		for _, k := range s.notes.too[t] {
			found[k] = true
		}
		for _, side := range []map[string][]byte{s.source[t], s.notes.was[t]} {
			for k := range side {
				if string(s.source[t][k]) != string(s.notes.was[t][k]) || (s.source[t][k] == nil) != (s.notes.was[t][k] == nil) {
					found[k] = true
				}
			}
		}
		keys = slices.Sorted(maps.Keys(found))
		return nil
	})
	return keys, err
}

func (s tracking) RowsOf(_ context.Context, t core.Table, keys []string) iter.Seq2[core.Row, error] {
	return s.seq("source.rowsof", func() []core.Row { return chosen(s.source, t, keys) })
}

func chosen(from tables, t core.Table, keys []string) []core.Row {
	return slices.DeleteFunc(from.rows(t), func(r core.Row) bool { return !slices.Contains(keys, r.Key) })
}

// pickyCopy is a backup whose rows can be chosen.
type pickyCopy struct{ fakeCopy }

func (c pickyCopy) RowsOf(_ context.Context, t core.Table, keys []string) iter.Seq2[core.Row, error] {
	return c.seq("copy.rowsof", func() []core.Row { return chosen(c.data, t, keys) })
}

// tracks lets a job of the world have a source that notes its changes.
func (w *world) tracks(n *notes) func(*Config) {
	return func(c *Config) {
		c.Source = tracking{fakeSource{w}, n}
		c.Backup = func(ctx context.Context, path string) (Backup, error) {
			if _, err := w.backup(ctx, path); err != nil {
				return Backup{}, err
			}
			return sumFile(path)
		}
		c.OpenCopy = func(_ context.Context, path string) (Copy, error) {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, core.Errorf(core.KindFailed, "reading: %w", err)
			}
			out := pickyCopy{fakeCopy{world: w}}
			return out, json.Unmarshal(data, &out.data)
		}
	}
}

func verifiedTracking(t *testing.T) (*world, *Job, *notes) {
	t.Helper()
	w, n := newWorld(t, 40), &notes{too: map[core.Table][]string{}}
	j := w.job(t, w.tracks(n))
	wantState(t, started(t, j, w.options()), StateVerify)
	return w, j, n
}

// A source that notes its changes is not read while the fence stands, nor is anything else in full.
func TestFenceAsksTheNotes(t *testing.T) {
	t.Parallel()
	w, j, n := verifiedTracking(t)
	n.too[core.TableRooms] = []string{"k0007", "gone"}
	w.change()
	puts, ops := w.puts, w.tally()
	reads := 0
	w.look(func() {
		count := w.before
		w.before = func(op string) error {
			if op == "put authority" {
				reads = ops["source.rows"] + ops["copy.rows"] + ops["target.rows"] + ops["replica.rows"]
			}
			return count(op)
		}
	})
	s := cutover(t, j)
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
			w, j, n := verifiedTracking(t)
			w.change()
			switch how {
			case "notes gone":
				w.look(func() { n.on = false })
			case "backup altered": // it is what the source is now: the notes would find nothing to bring
				if _, err := w.backup(t.Context(), j.Status().Backup.Path); err != nil {
					t.Fatal(err)
				}
			}
			ops := w.tally()
			wantState(t, cutover(t, j), StateSoak)
			if !w.target.equal(w.source) || ops["changed"] != 0 || ops["source.rows"] == 0 {
				t.Errorf("equal %v, did %v", w.target.equal(w.source), ops)
			}
		})
	}
}

// TestAbortForgetsTheNotes: an abort leaves no trace in the file.
func TestAbortForgetsTheNotes(t *testing.T) {
	t.Parallel()
	w, j, n := verifiedTracking(t)
	if !n.on {
		t.Fatal("nothing was noted")
	}
	if _, err := j.Abort(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	if n.on {
		t.Error("the notes go on")
	}
	w.look(func() { n.on = true }) // as after a crash in the middle of it
	_ = j.Close()
	if w.job(t, w.tracks(n)); n.on {
		t.Error("the notes go on after the next start")
	}
}

// TestNotesThatAreNotWhole stop a move, and what the refusal says leads out of it.
func TestNotesThatAreNotWhole(t *testing.T) {
	t.Parallel()
	w, j, n := verifiedTracking(t)
	w.look(func() { n.torn = true })
	s := started(t, j, w.options())
	if s.State != StateBackup || core.KindOf(errOf(s)) != core.KindFailed || s.Error.Next != "abort the move, which takes the log away, and start it again" {
		t.Fatalf("%s, %v", s.State, s.Error)
	}
	if _, err := j.Abort(t.Context(), "ana"); err != nil || n.on || n.torn {
		t.Fatalf("%v, left of the notes: %v, torn %v", err, n.on, n.torn)
	}
	wantState(t, started(t, j, w.options()), StateVerify)
	if _, err := j.Abort(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	w.look(func() { n.on, n.torn = true, true }) // as an abort that left them
	_ = j.Close()
	if w.job(t, w.tracks(n)); n.on {
		t.Error("they are left after the next start")
	}
}

// TestNotesFindEveryChange: whatever changes in the source and in the target
// between the verification and the fence, the target is the source in the end.
func TestNotesFindEveryChange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w, j, n := verifiedTracking(t)
		for range rapid.IntRange(0, 12).Draw(rt, "changes") {
			table := rapid.SampledFrom(core.Tables()).Draw(rt, "table")
			key := rapid.SampledFrom([]string{"k0000", "k0001", "k0039", "new", "a", "z"}).Draw(rt, "key")
			value := rapid.SampledFrom([]string{"", "x", "y", "-"}).Draw(rt, "value")
			target := rapid.IntRange(0, 3).Draw(rt, "in the target") == 0
			w.look(func() {
				switch {
				case target: // what an earlier cutover brought, that came to nothing
					w.target[table][key] = []byte(value)
					w.wrote(table, key)
				case value == "-":
					delete(w.source[table], key)
				default:
					w.source[table][key] = []byte(value)
				}
				n.too[table] = append(n.too[table], "k0002")
			})
		}
		wantState(t, cutover(t, j), StateSoak)
		if !w.target.equal(w.source) {
			rt.Fatalf("the target is not the source")
		}
		_ = j.Close()
	})
}
