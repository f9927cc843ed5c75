package migrate

import (
	"testing"

	"pgregory.net/rapid"

	"unibus/core"
	"unibus/core/store/storetest"
)

// newVerifiedTracking is newVerified with the source's tracking at hand.
func newVerifiedTracking(t *testing.T) (*fakeCluster, *Job, *fakeTracking) {
	t.Helper()
	w, j := newVerified(t, nil, false)
	return w, j, &w.tracking
}

// With complete tracking no table is read while the fence stands.
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
				reads = ops.counts["source.rows"] + ops.counts["copy.rows"] + ops.counts["target.rows"] + ops.counts["replica.rows"]
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
		want, _ := storetest.DigestRows(w.source.rows(core.Tables()[i]))
		if !p.Equal() || p.Source != want || len(p.Nodes) != 3 {
			t.Errorf("%+v", p)
		}
	}
	if s.Buckets[0].Changed != 2 || s.Buckets[2].Changed != 1 {
		t.Errorf("changed: %d, %d", s.Buckets[0].Changed, s.Buckets[2].Changed)
	}
}

// Without complete tracking, or with an altered backup, whole tables are compared.
func TestFenceWithDamagedTrackingReadsTables(t *testing.T) {
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
			if !w.target.equal(w.source) || ops.of("changed") != 0 || ops.of("source.rows") == 0 {
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
	if w.job(t, nil); n.enabled {
		t.Error("the notes go on after the next start")
	}
}

// The refusal names a next step that works.
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
	if w.job(t, nil); n.enabled {
		t.Error("they are left after the next start")
	}
}

// TestNotesFindEveryChange: after any changes of the source and the target between
// verify and fence, the target equals the source.
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
