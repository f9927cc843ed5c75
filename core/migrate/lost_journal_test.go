package migrate

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// TestAbortAfterARollbackKeepsTheAuthority: with a record of none another node
// would serve a file from before the first migration, with users who were revoked
// since.
func TestAbortAfterARollbackKeepsTheAuthority(t *testing.T) {
	t.Parallel()
	w, j, _ := newSoaking(t)
	wantState(t, rollBackAndWait(t, j), StateRolledBack)
	home := w.authority
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	s, err := j.Abort(t.Context(), "ana")
	if err != nil || s.State != StateAborted || strings.Contains(s.Result, "is none") {
		t.Errorf("%v, %s, %s", err, s.State, s.Result)
	}
	if w.authority != home {
		t.Errorf("the record says %+v, before the move it was %+v", w.authority, home)
	}
	e, err := j.cfg.Journal.Load()
	if err != nil || e.Authority == nil || *e.Authority != home || e.File != w.path() {
		t.Errorf("the journal: %+v, %q, %v", e.Authority, e.File, err)
	}

	// Once it has moved to KV and the file is the past, this is over.
	o := w.options()
	o.Cutover = true
	wantState(t, startAndWait(t, j, o), StateSoak)
	if e, err = j.cfg.Journal.Load(); err != nil || e.FileIsAuthority {
		t.Errorf("after the second cutover: %+v, %v", e, err)
	}
}

// After an abort the journal names no file.
func TestAbortGivesTheFileBackToTheConfiguration(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 3)
	j := w.job(t, nil)
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	if e, err := j.cfg.Journal.Load(); err != nil || e.File == "" {
		t.Fatalf("during the move the journal names no file: %v", err)
	}
	if _, err := j.Abort(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	if e, err := j.cfg.Journal.Load(); err != nil || e.File != "" {
		t.Errorf("after the abort the journal names %q, %v: --db would not count", e.File, err)
	}
}

// TestStartWaitsForARollback: its authority may be back in SQLite, and the file
// that is open is still the old one.
func TestStartWaitsForARollback(t *testing.T) {
	t.Parallel()
	w, j, g := newSoaking(t)
	w.locked(func() {
		w.before = func(op string) error {
			if op == "journal" && w.authority.Backend == core.BackendSQLite {
				return core.Errorf(core.KindFailed, "the disk is full")
			}
			return nil
		}
	})
	if s := rollBackAndWait(t, j); s.State != StateRollback || s.Error == nil {
		t.Fatalf("%s, %v", s.State, s.Error)
	}
	w.locked(func() { w.before = nil })
	if st, err := j.Start(t.Context(), "ana", w.options()); core.KindOf(err) != core.KindRefused || !w.fenced {
		t.Errorf("a start was not refused: %v, %s; fenced %v", err, st.State, w.fenced)
	}
	if _, err := j.Resume(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	wantState(t, awaitStopped(t, j), StateRolledBack)
	if w.authority.Backend != core.BackendSQLite || g.open {
		t.Errorf("%+v, KV open %v", w.authority, g.open)
	}
}

// It belongs to an earlier migration.
func TestPreflightRefusesAFencedFile(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 3)
	w.fenced = true
	s := startAndWait(t, w.job(t, nil), w.options())
	if s.State != StatePreflight || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Text, "fenced") || w.puts > 0 || w.authorityRevision > 0 {
		t.Errorf("%s, %+v, %d rows written, record at %d", s.State, s.Problems, w.puts, w.authorityRevision)
	}
}

// TestMigrationWithoutItsFile: a node whose file was taken away says so, in every
// state, and goes on once it is back.
func TestMigrationWithoutItsFile(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 3)
	j := w.job(t, nil)
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	_ = j.Close()

	gone := func(c *Config) { c.Source = nil }
	told := func(err error) {
		t.Helper()
		if core.KindOf(err) != core.KindFailed || !strings.Contains(err.Error(), w.path()) {
			t.Errorf("not told which file is missing: %v", err)
		}
	}
	j = w.job(t, gone)
	if _, err := j.Cutover(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	told(awaitStopped(t, j).Error)
	_, err := j.Abort(t.Context(), "ana")
	told(err)
	_ = j.Close()

	// A crash in the cutover, before its CAS: SQLite counts, and cannot be served.
	w.locked(func() { w.fenced = true })
	in := Intent{From: w.authority, To: core.Authority{Backend: core.BackendKV, Node: "n1", Generation: w.authority.Generation + 1}}
	if err := w.journal.Update(func(e *Entry) { e.Intent, e.Migration.State, e.Migration.Running = &in, StateCutover, true }); err != nil {
		t.Fatal(err)
	}
	j = w.job(t, gone)
	s := awaitStopped(t, j)
	if told(s.Error); s.State != StateCutover {
		t.Errorf("after the crash: %s", s.State)
	}
	_ = j.Close()

	s = awaitStopped(t, w.job(t, nil))
	if s.State != StateVerify || w.fenced || w.serving != core.BackendSQLite {
		t.Errorf("with the file back: %s, %v, fenced %v, serving %s", s.State, s.Error, w.fenced, w.serving)
	}
}

// TestRollbackOfANodeThatLostItsData: only the node that the record names may open
// the buckets that it closed, and its journal is lost.
func TestRollbackOfANodeThatLostItsData(t *testing.T) {
	t.Parallel()
	w, j, g := newSoaking(t)
	j.cfg.Limits.AdmissionLease = time.Hour // it waits there, with everything shut
	if _, err := j.Rollback(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, j, "the file", func(s Status) bool { return s.Export.Path != "" })
	_ = j.Close()
	w.locked(func() { w.journal.data = nil })
	anew := func(c *Config) {
		c.Source, c.BackupDir = nil, w.dir
	}
	j = w.job(t, anew)
	wantState(t, j.Status(), StateNone)
	if g.open {
		t.Fatal("the guards are open already")
	}
	if _, err := j.Abort(t.Context(), "ben"); err != nil {
		t.Fatal(err)
	}
	s := awaitStopped(t, j)
	if s.State != StateSoak || w.authority != (core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 3}) || !g.open {
		t.Errorf("%s, %v, %+v, open %v", s.State, s.Error, w.authority, g.open)
	}
	wantState(t, rollBackAndWait(t, j), StateRolledBack) // and a whole one
	if !w.target.equal(w.source) {
		t.Error("the rows differ")
	}
}

// An empty journal does not take another node's migration, or one that has not cut
// over.
func TestRecoverFromRecordTakesOwnMigrationOnly(t *testing.T) {
	t.Parallel()
	for _, st := range []Status{{State: StateSoak, Node: "n2"}, {State: StateVerify, Node: "n1"}, {State: StateRolledBack, Node: "n1"}} {
		w := newFakeCluster(t, 0)
		w.authority, w.authorityRevision = core.Authority{Backend: core.BackendKV, Node: st.Node, Generation: 2}, 1
		w.record, w.recordRevision = encoded(t, st), 1
		j := w.job(t, nil)
		if _, err := j.Abort(t.Context(), "ana"); core.KindOf(err) != core.KindRefused || j.Status().State != StateNone {
			t.Errorf("%s of %s: %v, %s", st.State, st.Node, err, j.Status().State)
		}
	}
}

func encoded(t *testing.T, st Status) []byte {
	t.Helper()
	data, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestRestartKeepsANewerRecord: this node's earlier step is not the cluster's present one.
func TestRestartKeepsANewerRecord(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 3)
	j := w.job(t, nil)
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	if _, err := j.Abort(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	updated := j.Status().Updated
	_ = j.Close()
	of := func(at core.Millis) []byte { return encoded(t, Status{State: StateSoak, Node: "n2", Updated: at}) }
	w.locked(func() { w.record = of(updated + 1) })
	_ = w.job(t, nil).Close() // which writes what is still to be written
	if string(w.record) != string(of(updated+1)) {
		t.Errorf("the newer record of n2 was written over: %s", w.record)
	}
	w.locked(func() { w.record = of(updated - 1) })
	_ = w.job(t, nil).Close()
	if string(w.record) == string(of(updated-1)) {
		t.Error("an older record of n2 was kept")
	}
}

// TestNothingBeginsAfterClose: a command that was under way when the node stopped must not leave a runner behind.
func TestNothingBeginsAfterClose(t *testing.T) {
	t.Parallel()
	j := newFakeCluster(t, 0).job(t, nil)
	_ = j.Close()
	err := j.spawn(func(context.Context) { t.Error("it began") })
	j.stopRun()
	if core.KindOf(err) != core.KindUnavailable {
		t.Errorf("spawned after Close: %v", err)
	}
}

// brokenReader is one whose reader is gone.
type brokenReader struct{ closed *int }

func (brokenReader) Changes(context.Context) ([]core.Row, int, int, error) {
	return nil, 0, 0, core.Errorf(core.KindUnavailable, "its node was killed")
}
func (b brokenReader) Close() { *b.closed++ }

// TestBrokenReaderIsClosed: the next question goes to the replica itself.
func TestBrokenReaderIsClosed(t *testing.T) {
	t.Parallel()
	w, left := newFakeCluster(t, 3), 0
	p := &replicaReaderPool{target: fakeTarget{w}, marks: Marks{}, readers: map[replicaKey]ReplicaReader{{core.TableUsers, "n2"}: brokenReader{&left}}, lastFailed: map[replicaKey]bool{}}
	for i, want := range []core.Kind{core.KindUnavailable, core.KindUnavailable, ""} {
		if _, _, _, err := p.changes(t.Context(), core.TableUsers, "n2"); core.KindOf(err) != want {
			t.Errorf("question %d: %v", i+1, err)
		}
	}
	if p.close(); left != 1 {
		t.Errorf("left %d times", left)
	}
}

// TestAbortAfterALostJournalKeepsTheAuthority: that a rollback made this node's file the
// authority was in the journal too; another node would serve what was left behind.
func TestAbortAfterALostJournalKeepsTheAuthority(t *testing.T) {
	t.Parallel()
	w, j, _ := newSoaking(t)
	wantState(t, rollBackAndWait(t, j), StateRolledBack)
	home := w.authority
	_ = j.Close()
	w.locked(func() { w.journal.data = nil })
	j = w.job(t, nil)
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	s, err := j.Abort(t.Context(), "ana")
	if err != nil || s.State != StateAborted || w.authority != home {
		t.Errorf("%v, %s, the record says %+v, before the move it was %+v", err, s.State, w.authority, home)
	}
}

// Before the cutover it starts again or is aborted, and is not shown as running
// for ever.
func TestMigrationOfANodeThatLostItsData(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"resume", "abort", "start"} {
		w := newFakeCluster(t, 3)
		j := w.job(t, nil)
		wantState(t, startAndWait(t, j, w.options()), StateVerify)
		_ = j.Close()
		w.locked(func() {
			w.journal.data = nil
			var st Status
			if err := json.Unmarshal(w.record, &st); err != nil {
				t.Fatal(err)
			}
			st.State, st.Running, st.Verified = StateCopy, true, false
			w.record = encoded(t, st)
		})
		j = w.job(t, nil)
		s, err := j.Current(t.Context())
		if err != nil || s.Running || s.State != StatePreflight || s.Error == nil || !strings.Contains(s.Error.Next, "migration abort") {
			t.Fatalf("%s, running %v, %v, %v", s.State, s.Running, s.Error, err)
		}
		switch then {
		case "resume":
			if _, err = j.Resume(t.Context(), "ana"); err == nil {
				s = awaitStopped(t, j)
			}
			wantState(t, s, StateVerify)
		case "start":
			wantState(t, startAndWait(t, j, w.options()), StateVerify)
		case "abort":
			if _, err = j.Abort(t.Context(), "ana"); err == nil {
				s = awaitStopped(t, j)
			}
			wantState(t, s, StateAborted)
			for table, rows := range w.target {
				if len(rows) > 0 {
					t.Errorf("%d rows of %s are left in KV", len(rows), table)
				}
			}
		}
		if err != nil {
			t.Error(then, err)
		}
	}
}

// A migration that starts after another node's is later in the record, even if
// that node's clock is ahead.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 3)
	ahead := core.MillisOf(time.Now().Add(time.Hour))
	w.record, w.recordRevision = encoded(t, Status{State: StateAborted, Node: "n2", Updated: ahead}), 1
	j := w.job(t, nil)
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	if s, err := j.Current(t.Context()); err != nil || s.Node != "n1" || s.State != StateVerify {
		t.Errorf("%s of %s, %v", s.State, s.Node, err)
	}
	_ = j.Close()
	var st Status
	if err := json.Unmarshal(w.record, &st); err != nil || st.Node != "n1" || st.State != StateVerify {
		t.Errorf("the record says %s of %s, %v", st.State, st.Node, err)
	}
}
