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
// touches it goes through op, where a test may refuse it or count it.
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
	replicaOverrides  map[string]map[core.Table]tables // by node: what its replica has instead
	authority         core.Authority
	authorityRevision uint64
	record            []byte
	recordRevision    uint64
	journalBehind     map[string]bool // nodes whose journals do not follow
	peers             []Peer
	problems          []core.Problem
	otherFiles        map[string]otherFile // the SQLite files of other nodes
	free              map[string]int64     // bytes, by node; absent: not known
	findings          []core.Problem
	serving           core.Backend
	puts              int

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

// op runs do as one operation of the world.
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

// write changes the source as a user would; false where it is fenced.
func (w *fakeCluster) write(n core.Table, key, value string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.fenced {
		w.source[n][key] = []byte(value)
	}
	return !w.fenced
}

type fakeSource struct{ *fakeCluster }

func (s fakeSource) Path() string       { return s.path() }
func (s fakeSource) Size() int64        { return 1 << 20 }
func (s fakeSource) SchemaVersion() int { return 1 }
func (s fakeSource) Integrity(context.Context) error {
	return s.op("integrity", func() error { return nil })
}

func (s fakeSource) Problems(context.Context, int) (ps []core.Problem, err error) {
	err = s.op("problems", func() error { ps = s.problems; return nil })
	return ps, err
}

func (s fakeSource) Rows(_ context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return s.seq("source.rows", func() []core.Row { return s.source.rows(t) })
}

func (s fakeSource) Fence(context.Context) error {
	return s.op("fence", func() error { s.fenced = true; return nil })
}

func (s fakeSource) Lift(context.Context) error {
	return s.op("lift", func() error { s.fenced = false; s.liftCount++; return nil })
}

func (s fakeSource) Fenced(context.Context) (f bool, err error) {
	err = s.op("fenced", func() error { f = s.fenced; return nil })
	return f, err
}

// fakeBackup is a backup: the tables as JSON in a file.
type fakeBackup struct {
	*fakeCluster
	data tables
}

func (c fakeBackup) Rows(_ context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return c.seq("copy.rows", func() []core.Row { return c.data.rows(t) })
}
func (fakeBackup) Close() error { return nil }

func (w *fakeCluster) backup(_ context.Context, path string) (b Backup, err error) {
	err = w.op("backup", func() error {
		data, err := json.Marshal(w.source)
		if err != nil {
			return err
		}
		b = Backup{Path: path, SHA256: "00", Bytes: int64(len(data))}
		return os.WriteFile(path, data, 0o600)
	})
	return b, err
}

func (w *fakeCluster) openCopy(_ context.Context, path string) (BackupReader, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "reading: %w", err)
	}
	c := fakeBackup{fakeCluster: w}
	return c, json.Unmarshal(data, &c.data)
}

type fakeTarget struct{ *fakeCluster }

func (f fakeTarget) Prepare(context.Context, int) error {
	return f.op("prepare", func() error { return nil })
}

func (f fakeTarget) Rows(_ context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return f.seq("target.rows", func() []core.Row { return f.target.rows(t) })
}

func (f fakeTarget) PutRows(_ context.Context, rows []core.Row) (int, error) {
	err := f.op("put", func() error {
		for _, r := range rows {
			f.target[r.Table][r.Key] = r.Value
			f.recordWrite(r.Table, r.Key)
		}
		f.puts += len(rows)
		return nil
	})
	return len(rows), err
}

func (f fakeTarget) DeleteKeys(_ context.Context, t core.Table, keys []string) (int, error) {
	err := f.op("delete", func() error {
		for _, k := range keys {
			delete(f.target[t], k)
			f.recordWrite(t, k)
		}
		return nil
	})
	return len(keys), err
}

func (f fakeTarget) Nodes(_ context.Context, t core.Table) ([]string, error) {
	return []string{"n1", "n2", "n3"}, f.op("nodes", func() error {
		switch {
		case f.bucketsMissing:
			return core.Errorf(core.KindNotFound, "there is no bucket %s", t.Bucket())
		case f.leaderless == t:
			return core.Errorf(core.KindUnavailable, "%s has no leader", t.Bucket())
		}
		return nil
	})
}

func (f fakeTarget) ReplicaRows(_ context.Context, t core.Table, node string) iter.Seq2[core.Row, error] {
	return f.seq("replica.rows", func() []core.Row {
		if other, ok := f.replicaOverrides[node][t]; ok {
			return other.rows(t)
		}
		return f.target.rows(t)
	})
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
	return nil
}

func (w *fakeCluster) Adopt(context.Context, string) (SourceStore, error) { return fakeSource{w}, nil }

// fakeJournal is a journal whose writes are operations of the world.
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
		Node: "n1", Source: fakeSource{w}, Backup: w.backup, OpenBackup: w.openCopy, Target: fakeTarget2{fakeTarget{w}},
		Authority: w, Record: w, Cluster: w.cluster, PeerRows: w.peerRows, PeerProblems: w.peerProblems, Host: w, Journal: fakeJournal{w, &w.journal},
		Limits: Limits{
			BatchRows: 7, FenceTimeout: 20 * time.Second, RetryBudget: 300 * time.Millisecond, JournalTimeout: 100 * time.Millisecond,
			PollInterval: time.Millisecond, RecordInterval: time.Millisecond, CheckpointInterval: time.Nanosecond,
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

// awaitStopped waits until nothing runs and returns where it stands.
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

// moved starts a move and returns its end.
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
