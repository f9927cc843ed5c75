package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"unibus/core"
)

// fakeCluster is a cluster of three in memory: a source on n1, a target with a
// replica on every node, the records, and the nodes' journals. Everything that
// touches it goes through op, where a test can refuse or count it.
type fakeCluster struct {
	mu                sync.Mutex
	dir               string
	file              string // the SQLite file that was adopted last
	journal           memoryJournal
	source            tables
	fenced            bool
	liftCount         int
	target            tables
	sequences         map[core.Table]map[string]uint64 // when each key of the target was last put or removed
	lastSequence      uint64
	internalKeys      int                              // keys of the mechanism, all written again after any verification
	replicaOverrides  map[string]map[core.Table]tables // by node: the rows that its replica has instead
	authority         core.Authority
	authorityRevision uint64
	record            []byte
	recordRevision    uint64
	journalBehind     map[string]bool // nodes whose journals do not follow
	peers             []Peer
	problems          []core.Problem
	leftovers         []core.Leftover
	oddTimes          []core.OddTimes
	otherFiles        map[string]otherFile // the SQLite files of other nodes
	free              map[string]int64     // bytes, by node; absent: not known
	findings          []core.Problem
	serving           core.Backend
	puts              int

	guards      fakeGuards
	tracking    fakeTracking
	bucketBytes int64 // what the target says that its buckets take
	exportLoses bool  // the file of a rollback lacks a row

	bucketsMissing bool       // the target has no buckets
	leaderless     core.Table // and nobody can look at this one

	before func(op string) error // may refuse an operation
	after  func(op string) error // may hide that one happened
}

type tables map[core.Table]map[string][]byte

func newTables() tables {
	t := tables{}
	for _, n := range core.Tables() {
		t[n] = map[string][]byte{}
	}
	return t
}

func (t tables) clone() tables {
	out := tables{}
	for n, m := range t {
		out[n] = maps.Clone(m)
	}
	return out
}

func (t tables) rows(n core.Table) []core.Row {
	var out []core.Row
	for _, k := range slices.Sorted(maps.Keys(t[n])) {
		out = append(out, core.Row{Table: n, Key: k, Value: t[n][k]})
	}
	return out
}

func (t tables) equal(o tables) bool {
	for _, n := range core.Tables() {
		if !maps.EqualFunc(t[n], o[n], func(a, b []byte) bool { return string(a) == string(b) }) {
			return false
		}
	}
	return true
}

func newFakeCluster(t *testing.T, rows int) *fakeCluster {
	w := &fakeCluster{
		dir: t.TempDir(), source: newTables(), target: newTables(), serving: core.BackendSQLite,
		sequences: map[core.Table]map[string]uint64{}, replicaOverrides: map[string]map[core.Table]tables{}, journalBehind: map[string]bool{},
		tracking: fakeTracking{extraKeys: map[core.Table][]string{}},
	}
	for _, n := range core.Tables() {
		w.sequences[n] = map[string]uint64{}
		for i := range rows {
			w.source[n][fmt.Sprintf("k%04d", i)] = []byte(fmt.Sprintf(`{"v":1,"n":%d}`, i))
		}
	}
	for _, n := range []string{"n1", "n2", "n3"} {
		w.peers = append(w.peers, Peer{Name: n, Online: true, Ready: true, Version: "1"})
	}
	w.peers[0].File, w.peers[0].Serving = w.path(), core.BackendSQLite
	if err := os.WriteFile(w.path(), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *fakeCluster) path() string {
	if w.file != "" {
		return w.file
	}
	return filepath.Join(w.dir, "unibus.db")
}

// op runs do as one operation of the cluster.
func (w *fakeCluster) op(name string, do func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.before != nil {
		if err := w.before(name); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if w.after != nil {
		return w.after(name)
	}
	return nil
}

func (w *fakeCluster) seq(name string, get func() []core.Row) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		var rows []core.Row
		if err := w.op(name, func() error { rows = get(); return nil }); err != nil {
			yield(core.Row{}, err)
			return
		}
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// write changes the source as a user would; false if it is fenced.
func (w *fakeCluster) write(n core.Table, key, value string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.fenced {
		w.source[n][key] = []byte(value)
	}
	return !w.fenced
}

func (w *fakeCluster) Authority(context.Context) (a core.Authority, rev uint64, err error) {
	err = w.op("authority", func() error {
		if w.authorityRevision == 0 {
			return core.Errorf(core.KindNotFound, "there is no authority record")
		}
		a, rev = w.authority, w.authorityRevision
		return nil
	})
	return a, rev, err
}

func (w *fakeCluster) PutAuthority(_ context.Context, a core.Authority, rev uint64) (next uint64, err error) {
	err = w.op("put authority", func() error {
		if rev != w.authorityRevision {
			return core.Errorf(core.KindConflict, "the authority has moved on")
		}
		w.authority, w.authorityRevision = a, w.authorityRevision+1
		next = w.authorityRevision
		return nil
	})
	return next, err
}

func (w *fakeCluster) Migration(context.Context) (data []byte, rev uint64, err error) {
	err = w.op("migration", func() error {
		if w.recordRevision == 0 {
			return core.Errorf(core.KindNotFound, "there is no migration record")
		}
		data, rev = w.record, w.recordRevision
		return nil
	})
	return data, rev, err
}

func (w *fakeCluster) PutMigration(_ context.Context, data []byte, rev uint64) (next uint64, err error) {
	err = w.op("put migration", func() error {
		if rev != w.recordRevision {
			return core.Errorf(core.KindConflict, "the record has moved on")
		}
		w.record, w.recordRevision = data, w.recordRevision+1
		next = w.recordRevision
		return nil
	})
	return next, err
}

func (w *fakeCluster) cluster(context.Context) (c Cluster, err error) {
	err = w.op("cluster", func() error {
		c = Cluster{Expected: 3, Peers: slices.Clone(w.peers)}
		c.Findings = slices.Clone(w.findings)
		for i, p := range c.Peers {
			if free, ok := w.free[p.Name]; ok {
				c.Peers[i].FreeBytes = &free
			}
			if a := w.authority; w.authorityRevision > 0 && !w.journalBehind[p.Name] {
				c.Peers[i].Journal = &a
			}
		}
		return nil
	})
	return c, err
}

func (w *fakeCluster) Withdraw(*core.Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serving = core.BackendNone
}

func (w *fakeCluster) Serve(_ context.Context, a core.Authority) error {
	if a.Backend == core.BackendSQLite {
		if err := w.journal.Update(func(e *Entry) { e.FileNeverServed = false }); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serving = a.Backend
	w.openGuards()
	return nil
}

// Adopt reads the file that a rollback has written. Nothing tracks changes in it.
func (w *fakeCluster) Adopt(_ context.Context, path string) (SourceStore, error) {
	err := w.op("adopt", func() error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		w.source, w.fenced, w.file = tables{}, false, path
		w.tracking.enabled = false
		return json.Unmarshal(data, &w.source)
	})
	return fakeSource{w}, err
}

func (w *fakeCluster) createFile(_ context.Context, path string) (FileWriter, error) {
	return fakeWriter{w, path, newTables()}, w.op("file create", func() error {
		if _, err := os.Lstat(path); err == nil {
			return core.Errorf(core.KindExists, "%s is there already", path)
		}
		return nil
	})
}

// fakeJournal is a journal whose writes are operations of the cluster.
type fakeJournal struct {
	*fakeCluster
	inner Journal
}

func (d fakeJournal) Load() (Entry, error) { return d.inner.Load() }
func (d fakeJournal) Update(f func(*Entry)) error {
	return d.op("journal", func() error { return d.inner.Update(f) })
}

// memoryJournal keeps what a FileJournal would, without waiting for a disk: the
// crash tests write it thousands of times.
type memoryJournal struct {
	mu   sync.Mutex
	data []byte
}

func (m *memoryJournal) Load() (e Entry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data != nil {
		err = json.Unmarshal(m.data, &e)
	}
	return e, err
}

func (m *memoryJournal) Update(f func(*Entry)) error {
	e, err := m.Load()
	if err != nil {
		return err
	}
	f(&e)
	data, err := json.Marshal(e)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = data
	return err
}

func (w *fakeCluster) config() Config {
	return Config{
		Node: "n1", Source: fakeSource{w}, Backup: w.backup, OpenBackup: w.openBackup, CreateFile: w.createFile, Target: fakeTarget{w},
		Authority: w, Record: w, Cluster: w.cluster, PeerRows: w.peerRows, PeerProblems: w.peerProblems, Host: w, Journal: fakeJournal{w, &w.journal},
		FreeSpace: func(string) (int64, error) { return 1 << 40, nil },
		Limits: Limits{
			BatchRows: 7, FenceTimeout: 20 * time.Second, RetryBudget: 300 * time.Millisecond, JournalTimeout: 100 * time.Millisecond,
			PollInterval: time.Millisecond, RecordInterval: time.Millisecond, CheckpointInterval: time.Nanosecond, AdmissionLease: time.Millisecond,
		},
	}
}

func (w *fakeCluster) job(t *testing.T, change func(*Config)) *Job {
	t.Helper()
	c := w.config()
	if change != nil {
		change(&c)
	}
	j := New(c)
	if err := j.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func (w *fakeCluster) options() Options { return Options{DB: w.path(), Replicas: 3} }

// awaitStopped waits until nothing is running and returns the status.
func awaitStopped(t *testing.T, j *Job) Status {
	t.Helper()
	return awaitStatus(t, j, "the move to rest", func(s Status) bool { return !s.Running })
}

func awaitStatus(t *testing.T, j *Job, what string, ok func(Status) bool) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		s := j.Status()
		if ok(s) {
			return s
		}
		if sleep(ctx, time.Millisecond) != nil {
			t.Fatalf("waited in vain for %s: state %s, running %v, error %v", what, s.State, s.Running, s.Error)
		}
	}
}

// startAndWait starts a migration and waits until it stops.
func startAndWait(t *testing.T, j *Job, o Options) Status {
	t.Helper()
	if _, err := j.Start(t.Context(), "ana", o); err != nil {
		t.Fatalf("start: %v", err)
	}
	return awaitStopped(t, j)
}

func (w *fakeCluster) locked(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

var errCrashed = errors.New("dead")
