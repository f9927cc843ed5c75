package migrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

func wantState(t *testing.T, s Status, want State) {
	t.Helper()
	if s.State != want || s.Error != nil {
		t.Fatalf("state %s, error %v; want %s", s.State, s.Error, want)
	}
}

func wantRefused(t *testing.T, err error, words ...string) {
	t.Helper()
	if core.KindOf(err) != core.KindRefused {
		t.Fatalf("got %v (%s), want refused", err, core.KindOf(err))
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not name %q", err, w)
		}
	}
}

func TestWholeMigration(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 40)
	w.target[core.TableUsers]["stray"] = []byte("x")
	j := w.job(t, nil)
	s := startAndWait(t, j, w.options())
	wantState(t, s, StateVerify)
	if !s.Verified || s.Written != 201 || !w.target.equal(w.source) || len(s.Buckets) != 5 {
		t.Fatalf("verified %v, written %d", s.Verified, s.Written)
	}
	for _, p := range s.Buckets {
		if !p.Equal() || len(p.Nodes) != 3 || p.Source.Count != 40 {
			t.Errorf("parity %+v", p)
		}
	}
	if w.serving != core.BackendSQLite || w.fenced {
		t.Errorf("serving %s, fenced %v before the cutover", w.serving, w.fenced)
	}
	if _, err := j.Cutover(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	s = awaitStopped(t, j)
	wantState(t, s, StateSoak)
	want := core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 2}
	if w.authority != want || w.serving != core.BackendKV || !w.fenced {
		t.Fatalf("authority %+v, serving %s, fenced %v", w.authority, w.serving, w.fenced)
	}
	again, err := j.Start(t.Context(), "ana", w.options())
	if err != nil || again.Written != 0 || again.State != StateSoak || !strings.Contains(again.Result, "already") {
		t.Errorf("a start after the cutover: %+v, %v", again, err)
	}
	if s, err = j.Finish(t.Context(), "ana"); err != nil || s.State != StateDone {
		t.Errorf("finish: %s, %v", s.State, err)
	}
	e, _ := j.cfg.Journal.Load()
	if e.Intent != nil || e.Authority == nil || *e.Authority != want {
		t.Errorf("journal %+v", e)
	}
	if text := s.Report(time.Now()); !strings.Contains(text, s.Backup.Path) || !strings.Contains(text, "n3") {
		t.Errorf("report:\n%s", text)
	}
}

func TestSecondRunWritesNothing(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 30)
	j := w.job(t, nil)
	first := startAndWait(t, j, w.options())
	puts := w.puts
	s := startAndWait(t, j, w.options())
	wantState(t, s, StateVerify)
	if s.Written != 0 || w.puts != puts || !s.Verified || s.ID == first.ID {
		t.Errorf("written %d, puts %d after %d", s.Written, w.puts, puts)
	}
	if s.Backup.Path == first.Backup.Path {
		t.Error("the first backup was replaced")
	}
}

func TestFenceBringsWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 30)
	o := w.options()
	o.Cutover, o.NoBackup = true, true
	n := 0
	w.before = func(op string) error { // users write during the copy, straight into the table: op holds the lock
		if op == "put" && !w.fenced {
			n++
			w.source[core.TableMembers][fmt.Sprintf("new%d", n)] = []byte("1")
			w.source[core.TableUsers]["k0001"] = []byte("changed")
			delete(w.source[core.TableRooms], "k0002")
		}
		return nil
	}
	j := w.job(t, nil)
	wantState(t, startAndWait(t, j, o), StateSoak)
	if !w.target.equal(w.source) || w.authority.Backend != core.BackendKV {
		t.Error("the target lacks what was changed during the copy")
	}
	if w.write(core.TableUsers, "late", "x") {
		t.Error("the source takes writes after the cutover")
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "*moving*")); len(left)+len(glob(w.dir, ".*moving*")) > 0 {
		t.Errorf("the temporary copy is still there: %v", left)
	}
}

func glob(dir, pattern string) []string {
	m, _ := filepath.Glob(filepath.Join(dir, pattern))
	return m
}

func TestProblemsStopBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*fakeCluster){
		"row": func(w *fakeCluster) {
			w.problems = []core.Problem{{Table: core.TableRooms, Key: "r1", Text: "orphan", Next: "x"}}
		},
		"offline": func(w *fakeCluster) { w.peers[2].Online = false },
		"unheard": func(w *fakeCluster) { w.peers = w.peers[:2] },
		"file": func(w *fakeCluster) {
			w.giveOtherFile(func(f *otherFile) { f.tables[core.TableUsers]["zz"] = []byte("x") })
		},
		"version": func(w *fakeCluster) { w.peers[1].Version = "2" },
		"kv":      func(w *fakeCluster) { w.peers[1].Serving = core.BackendKV },
		"owner": func(w *fakeCluster) {
			w.authority, w.authorityRevision = core.Authority{Backend: core.BackendSQLite, Node: "n2", Generation: 4}, 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFakeCluster(t, 5)
			spoil(w)
			arev := w.authorityRevision
			s := startAndWait(t, w.job(t, nil), w.options())
			if s.State != StatePreflight || core.KindOf(errOf(s)) != core.KindRefused || len(s.Problems) != 1 || s.Problems[0].Next == "" {
				t.Fatalf("%s: %v %+v", s.State, s.Error, s.Problems)
			}
			if w.authorityRevision != arev || w.puts != 0 || len(glob(w.dir, "unibus-*")) != 0 {
				t.Error("something was written")
			}
		})
	}
}

func errOf(s Status) error {
	if s.Error == nil {
		return nil
	}
	return s.Error
}

func TestNoSpace(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	j := w.job(t, func(c *Config) { c.FreeSpace = func(string) (int64, error) { return 3<<20 - 1, nil } })
	if s := startAndWait(t, j, w.options()); len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Text, "free") {
		t.Fatalf("%+v", s.Problems)
	}
}

func TestPreflightWaitsForEveryJournal(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	w.journalBehind["n3"] = true
	j := w.job(t, nil)
	s := startAndWait(t, j, w.options())
	if s.State != StatePreflight || s.Error == nil || !strings.Contains(s.Error.Text, "n3") {
		t.Fatalf("%s: %v", s.State, s.Error)
	}
	w.locked(func() { w.journalBehind["n3"] = false })
	if _, err := j.Resume(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	wantState(t, awaitStopped(t, j), StateVerify)
}

func TestBadOptionsAreRefused(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	j := w.job(t, nil)
	for name, c := range map[string]struct {
		o    Options
		kind core.Kind
		word string
	}{
		"other file": {Options{DB: "/else/unibus.db"}, core.KindRefused, w.path()},
		"relative":   {Options{DB: "unibus.db"}, core.KindInvalid, "absolute"},
		"no file":    {Options{}, core.KindInvalid, "absolute"},
		"replicas":   {Options{DB: w.path(), Replicas: 4}, core.KindRefused, "3"},
		"negative":   {Options{DB: w.path(), Replicas: -1}, core.KindInvalid, "-1"},
	} {
		_, err := j.Start(t.Context(), "ana", c.o)
		if core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.word) || core.AsError(err).Next == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.recordRevision != 0 || w.authorityRevision != 0 {
		t.Error("something was written")
	}
	for name, f := range map[string]func() (Status, error){
		"pause":   func() (Status, error) { return j.Pause(t.Context(), "a") },
		"resume":  func() (Status, error) { return j.Resume(t.Context(), "a") },
		"abort":   func() (Status, error) { return j.Abort(t.Context(), "a") },
		"cutover": func() (Status, error) { return j.Cutover(t.Context(), "a") },
		"finish":  func() (Status, error) { return j.Finish(t.Context(), "a") },
	} {
		if _, err := f(); core.KindOf(err) != core.KindRefused {
			t.Errorf("%s without a move: %v", name, err)
		}
	}
}

func TestNodeWithoutAFileStartsNothing(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	j := w.job(t, func(c *Config) { c.Source = nil })
	_, err := j.Start(t.Context(), "ana", w.options())
	wantRefused(t, err, "n1")
}

func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 12)
	j := w.job(t, nil)
	o := w.options()
	o.DryRun = true
	started, err := j.Start(t.Context(), "ana", o)
	if err != nil {
		t.Fatal(err)
	}
	s := awaitStopped(t, j)
	wantState(t, s, StateNone)
	if n := started.Buckets[0].Source.Count; n != 0 {
		t.Errorf("the answer to the start changes with the run: %d rows", n)
	}
	if !strings.Contains(s.Result, "60 keys") || s.Buckets[0].Source.Count != 12 {
		t.Errorf("%q %+v", s.Result, s.Buckets)
	}
	_ = j.Close()
	if w.authorityRevision != 0 || w.recordRevision != 0 || w.puts != 0 || len(glob(w.dir, "*")) != 1 {
		t.Errorf("written: %d %d %d %v", w.authorityRevision, w.recordRevision, w.puts, glob(w.dir, "*"))
	}
	w.problems = []core.Problem{{Text: "orphan"}}
	s = startAndWait(t, w.job(t, nil), o)
	if s.State != StateNone || len(s.Problems) != 1 || s.Error == nil {
		t.Errorf("%+v", s)
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 60)
	hold, held := make(chan struct{}), make(chan struct{})
	n := 0
	w.before = func(op string) error {
		if op == "put" {
			if n++; n == 3 {
				close(held)
			}
			if n >= 3 {
				w.mu.Unlock()
				<-hold
				w.mu.Lock()
			}
		}
		return nil
	}
	j := w.job(t, nil)
	if _, err := j.Start(t.Context(), "ana", w.options()); err != nil {
		t.Fatal(err)
	}
	<-held
	if s, err := j.Pause(t.Context(), "bob"); err != nil || !s.Paused {
		t.Fatalf("pause: %+v, %v", s, err)
	}
	joined, err := j.Start(t.Context(), "eve", Options{DB: w.path(), Replicas: 1})
	if err != nil || joined.By != "ana" || joined.Options.Replicas != 3 {
		t.Errorf("joining: %+v, %v", joined, err)
	}
	close(hold)
	s := awaitStopped(t, j)
	var putsBefore int
	w.locked(func() { putsBefore = w.puts })
	const most = (2 + 5) * 7 // two batches were written; each table ends the one it is at
	if !s.Paused || s.State != StateCopy || s.Written != putsBefore || s.Written > most {
		t.Fatalf("paused %v in %s, written %d of %d", s.Paused, s.State, s.Written, putsBefore)
	}
	if _, err := j.Resume(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	s = awaitStopped(t, j)
	wantState(t, s, StateVerify)
	if s.Paused || s.Written != 300 || w.puts != 300 {
		t.Errorf("paused %v, written %d, put after the pause %d", s.Paused, s.Written, w.puts-putsBefore)
	}
}

func TestAbortRestoresWhatWas(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"problems", "backup", "put", "replica.rows", "fence", "source.rows", ""} {
		t.Run("at "+op, func(t *testing.T) {
			t.Parallel()
			w := newFakeCluster(t, 30)
			was := w.source.clone()
			hold, held := make(chan struct{}), make(chan struct{})
			once := false
			w.before = func(name string) error {
				if name == op && !once {
					once = true
					close(held)
					w.mu.Unlock()
					<-hold
					w.mu.Lock()
				}
				return nil
			}
			j := w.job(t, nil)
			o := w.options()
			o.Cutover = op == "fence"
			if _, err := j.Start(t.Context(), "ana", o); err != nil {
				t.Fatal(err)
			}
			if op == "" {
				awaitStopped(t, j)
			} else {
				<-held
				time.AfterFunc(time.Millisecond, func() { close(hold) })
			}
			s, err := j.Abort(t.Context(), "bob")
			if err != nil || s.State != StateAborted || s.Running || s.Error != nil {
				t.Fatalf("%s: %v %v", s.State, err, s.Error)
			}
			if w.fenced || w.serving != core.BackendSQLite || !w.source.equal(was) {
				t.Errorf("fenced %v, serving %s", w.fenced, w.serving)
			}
			if w.authorityRevision != 0 && w.authority.Backend != core.BackendNone || !w.target.equal(newTables()) {
				t.Errorf("authority %+v, rows left in the target %v", w.authority, !w.target.equal(newTables()))
			}
			w.locked(func() { w.before = nil })
			wantState(t, startAndWait(t, j, w.options()), StateVerify)
		})
	}
}

func TestAbortAfterTheCutoverIsRefused(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	o := w.options()
	o.Cutover = true
	j := w.job(t, nil)
	wantState(t, startAndWait(t, j, o), StateSoak)
	_, err := j.Abort(t.Context(), "ana")
	wantRefused(t, err, "moved")
	if w.authority.Backend != core.BackendKV {
		t.Error("the authority was touched")
	}
}

func TestVerifyFindsWhatDiffersOnAFollower(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 10)
	bad := w.source.clone()
	delete(bad[core.TableMembers], "k0003")
	bad[core.TableMembers]["k0004"] = []byte("flipped")
	bad[core.TableMembers]["zzz"] = []byte("1")
	w.replicaOverrides["n2"] = map[core.Table]tables{core.TableMembers: bad}
	j := w.job(t, nil)
	s := startAndWait(t, j, w.options())
	if s.State != StateVerify || s.Verified || s.Error == nil {
		t.Fatalf("%s verified %v %v", s.State, s.Verified, s.Error)
	}
	p := s.Buckets[2]
	if fmt.Sprint(p.Missing, p.Different, p.Extra) != "[n2/k0003] [n2/k0004] [n2/zzz]" || p.Equal() {
		t.Errorf("%v %v %v", p.Missing, p.Different, p.Extra)
	}
	_, err := j.Cutover(t.Context(), "ana")
	wantRefused(t, err, "not verified")
	w.locked(func() { clear(w.replicaOverrides) })
	s = startAndWait(t, j, w.options())
	wantState(t, s, StateVerify)
	if s.Written != 0 || !s.Verified {
		t.Errorf("written %d", s.Written)
	}
}

func TestFenceLiftsByItself(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 10)
	hold := make(chan struct{})
	w.before = func(op string) error {
		if op == "since" && w.fenced {
			w.mu.Unlock()
			<-hold // a part that does not heed its context
			w.mu.Lock()
		}
		return nil
	}
	j := w.job(t, func(c *Config) { c.Limits.FenceTimeout = 30 * time.Millisecond })
	o := w.options()
	o.Cutover = true
	if _, err := j.Start(t.Context(), "ana", o); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, j, "the fence to lift", func(Status) (up bool) {
		w.locked(func() { up = w.liftCount > 0 })
		return up
	})
	close(hold)
	s := awaitStopped(t, j)
	if s.State != StateVerify || s.Error == nil || !strings.Contains(s.Error.Text, "fence") || !s.Verified {
		t.Fatalf("%s %v", s.State, s.Error)
	}
	if !w.write(core.TableUsers, "u", "1") || w.authority.Backend != core.BackendSQLite || w.serving != core.BackendSQLite {
		t.Error("SQLite does not serve as before")
	}
}

// TestCutoverOutcomeUnknown hides the answers of the CAS, and loses some.
func TestCutoverOutcomeUnknown(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{true, false} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			t.Parallel()
			w := newFakeCluster(t, 10)
			n := 0
			fail := func(op string) error {
				if op == "put authority" && w.fenced {
					if n++; n <= 3 {
						return core.Errorf(core.KindUnavailable, "no answer")
					}
				}
				return nil
			}
			if lost {
				w.before = fail
			} else {
				w.after = fail
			}
			o := w.options()
			o.Cutover = true
			wantState(t, startAndWait(t, w.job(t, nil), o), StateSoak)
			if w.authority != (core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 2}) {
				t.Errorf("%+v", w.authority)
			}
		})
	}
}

func TestCutoverIsCancelledByItsOwnWrite(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 10)
	begun := time.Time{}
	w.before = func(op string) error { // the authority is out of reach for longer than the cutover's patience
		if !w.fenced || op != "put authority" {
			return nil
		}
		if begun.IsZero() {
			begun = time.Now()
		}
		if time.Since(begun) < 400*time.Millisecond {
			return core.Errorf(core.KindUnavailable, "no answer")
		}
		return nil
	}
	o := w.options()
	o.Cutover = true
	s := startAndWait(t, w.job(t, nil), o)
	if s.State != StateVerify || s.Error == nil || w.fenced || w.serving != core.BackendSQLite {
		t.Fatalf("%s, %v, fenced %v, serving %s", s.State, s.Error, w.fenced, w.serving)
	}
	if w.authority != (core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 2}) {
		t.Errorf("%+v", w.authority)
	}
}

func TestStatusReachesTheRecord(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 10)
	j := w.job(t, nil)
	s := startAndWait(t, j, w.options())
	other := w.job(t, func(c *Config) {
		c.Node, c.Source = "n2", nil
		c.Journal = NewFileJournal(filepath.Join(t.TempDir(), "j"))
	})
	awaitStatus(t, j, "the record", func(Status) bool {
		got, err := other.Current(t.Context())
		return err == nil && got.ID == s.ID && got.State == StateVerify && !got.Running && got.Verified
	})
	_, err := other.Abort(t.Context(), "ana")
	wantRefused(t, err)
}

func TestNoBackupFileLeftBehindWhenItCannotBeTaken(t *testing.T) {
	t.Parallel()
	for _, noBackup := range []bool{false, true} {
		w := newFakeCluster(t, 10)
		j := w.job(t, func(c *Config) {
			c.Backup = func(_ context.Context, path string) (Backup, error) {
				return Backup{}, errors.Join(os.WriteFile(path, []byte("a part"), 0o600), core.Errorf(core.KindFailed, "the disk is full"))
			}
		})
		o := w.options()
		o.NoBackup = noBackup
		s := startAndWait(t, j, o)
		if s.State != StateBackup || s.Error == nil || w.puts != 0 || !strings.Contains(s.Error.Next, "migration resume") {
			t.Fatalf("%s %v", s.State, s.Error)
		}
		if left := listFiles(t, w.dir); !slices.Equal(left, []string{"unibus.db"}) {
			t.Errorf("left behind: %v", left)
		}
	}
}

// TestMissingBucketsAreCreatedAgain, also where what they held was verified.
func TestMissingBucketsAreCreatedAgain(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	w.locked(func() {
		w.bucketsMissing, w.target = true, newTables()
		w.before = func(op string) error {
			if op == "prepare" {
				w.bucketsMissing = false
			}
			return nil
		}
	})
	s := startAndWait(t, j, w.options())
	wantState(t, s, StateVerify)
	if s.Written != 200 || w.bucketsMissing {
		t.Errorf("%d written, unmade %v", s.Written, w.bucketsMissing)
	}
}

// TestCutoverIsRefusedWhileANodeIsSilent: at once, naming it, without a fence.
func TestCutoverIsRefusedWhileANodeIsSilent(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	w.locked(func() { w.peers[2].Online = false })
	ops := w.countOps()
	s := cutOverAndWait(t, j)
	if s.State != StateVerify || !s.Verified || core.KindOf(s.Error) != core.KindUnavailable || !strings.Contains(s.Error.Text, "n3 does not answer") {
		t.Errorf("%s, verified %v, %v", s.State, s.Verified, s.Error)
	}
	if ops.of("fence") != 0 {
		t.Error("the file was fenced")
	}
	w.locked(func() { w.peers[2].Online = true })
	wantState(t, cutOverAndWait(t, j), StateSoak)
}
