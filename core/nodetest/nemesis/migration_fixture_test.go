//go:build nemesis && linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
	"unibus/core/migrate"
	"unibus/core/nodetest"
	"unibus/core/store/sqlite"
)

// eventTimeout is how long anything may take that must happen: the machine may be
// busy.
const eventTimeout = 4 * time.Minute

// sourceFiles are the SQLite files that migrations start with, in two sizes.
type sourceFiles struct {
	dir   string
	mu    sync.Mutex
	files map[int]seedFile
}

// seedFile is one of them. The identities are active users in it, beside the rows.
type seedFile struct {
	path    string
	ids     []keys.Identity
	digests map[core.Table]core.Digest
}

// The sizes in rows; with -short they have few.
const (
	manyRows  = 200_000
	shortRows = 5_000
)

// file writes the file of a size if it does not exist.
func (s *sourceFiles) file(t *testing.T, rows int) seedFile {
	t.Helper()
	if testing.Short() {
		rows = shortRows
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.files[rows]; ok {
		return f
	}
	ids, known := users(t, 64)
	all := nodetest.SampleRows(t, rows)
	all.Users = append(all.Users, known.Users...)
	f := seedFile{path: filepath.Join(s.dir, fmt.Sprintf("seed-%d.db", rows)), ids: ids}
	nodetest.Seed(t, f.path, all)
	f.digests = digests(t, f.path)
	if s.files == nil {
		s.files = map[int]seedFile{}
	}
	s.files[rows] = f
	return f
}

// digests computes the digests of a SQLite file, also while it is open elsewhere
// or fenced.
func digests(t *testing.T, path string) map[core.Table]core.Digest {
	t.Helper()
	db := sqlite.New(sqlite.Config{Path: path, ReadOnly: true, AllowFenced: true})
	if err := db.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	out := map[core.Table]core.Digest{}
	for _, table := range core.Tables() {
		d := core.NewDigester()
		for r, err := range db.Rows(t.Context(), table) {
			if err != nil {
				t.Fatal(err)
			}
			d.Add(r.Key, r.Value)
		}
		sum, err := d.Sum()
		if err != nil {
			t.Fatal(err)
		}
		out[table] = sum
	}
	return out
}

// runningMigration is a cluster whose control plane moves from n1's file to KV, or
// back.
type runningMigration struct {
	*nodetest.Net
	t    *testing.T
	cl   *admin.Client // of n1
	seed seedFile
	rate int // of the migrations that are begun
}

func newMigration(t *testing.T, rows int) *runningMigration {
	t.Helper()
	s := seed.file(t, rows)
	n := nodetest.PrepareNet(t, programs.Program(t, "unibusd"), nodetest.Config{SeedDB: s.path})
	return newMigrationOn(t, n, s)
}

func newMigrationOn(t *testing.T, n *nodetest.Net, s seedFile) *runningMigration {
	t.Helper()
	n.StartAll()
	m := &runningMigration{Net: n, t: t, seed: s, cl: n.Client(0)}
	m.requireServing(core.BackendSQLite, 0)
	return m
}

// source is n1's name.
func (m *runningMigration) source() string { return m.Configs[0].Name }

// journalEntry is the journal of n1, whether it runs or not.
func (m *runningMigration) journalEntry() migrate.Entry {
	m.t.Helper()
	e, err := readJournal(m.Net, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	return e
}

// readJournal reads a node's journal; one without a migration is in StateNone.
func readJournal(n *nodetest.Net, i int) (migrate.Entry, error) {
	e, err := migrate.NewFileJournal(filepath.Join(n.Configs[i].Data, "journal.json")).Load()
	if e.Migration == nil {
		e.Migration = &migrate.Status{State: migrate.StateNone}
	}
	return e, err
}

// awaitStopped waits until nothing is running, and returns the status from n1.
func (m *runningMigration) awaitStopped() migrate.Status {
	m.t.Helper()
	var st migrate.Status
	nodetest.Wait(m.t, eventTimeout, func() (err error) {
		e := m.journalEntry()
		if e.Migration.Running {
			return fmt.Errorf("it works at %s", e.Migration.State)
		}
		if st, err = m.cl.Migration(m.t.Context()); err != nil {
			return err
		}
		if st.Running || st.ID != e.Migration.ID || st.State != e.Migration.State {
			return fmt.Errorf("%s says %s, its journal %s", m.source(), st.State, e.Migration.State)
		}
		return nil
	})
	return st
}

// awaitStoppedIn waits until the migration has stopped in that state without an
// error.
func (m *runningMigration) awaitStoppedIn(want migrate.State) migrate.Status {
	m.t.Helper()
	st := m.awaitStopped()
	if st.State != want || st.Error != nil {
		m.t.Fatalf("the move rests at %s, not at %s: %v", st.State, want, st.Error)
	}
	return st
}

// stateOrder is the way of a migration from its beginning to its way back.
var stateOrder = []migrate.State{
	migrate.StateNone, migrate.StateAborted, migrate.StateRolledBack, migrate.StatePreflight, migrate.StateBackup, migrate.StateCopy,
	migrate.StateVerify, migrate.StateFence, migrate.StateCutover, migrate.StateSoak, migrate.StateRollback,
}

// advanceTo gives the command that brings a stopped migration nearer to a state.
// One beyond the state starts again, or returns by a rollback.
func (m *runningMigration) advanceTo(st migrate.Status, target migrate.State) error {
	ctx, cl := m.t.Context(), m.cl
	at, to := slices.Index(stateOrder, st.State), slices.Index(stateOrder, target)
	var err error
	switch {
	case st.State == migrate.StateSoak && target == migrate.StateSoak:
	case st.State == migrate.StateSoak || st.State == migrate.StateRollback:
		_, err = cl.MigrateRollback(ctx, m.source())
	case st.State == migrate.StateVerify && st.Verified && to > at:
		_, err = cl.MigrateCutover(ctx, m.source())
	case at > to || at < slices.Index(stateOrder, migrate.StatePreflight) || st.Verified && to == at:
		_, err = m.start()
	default:
		_, err = cl.MigrateResume(ctx, m.source())
	}
	return err
}

// start starts a migration of n1's file, or another one.
func (m *runningMigration) start() (migrate.Status, error) {
	st, err := nodetest.Status(m.t.Context(), m.cl)
	if err != nil {
		return migrate.Status{}, err
	}
	return m.cl.MigrateStart(m.t.Context(), m.source(), migrate.Options{DB: st.Serving.File, Replicas: len(m.Configs), Rate: m.rate})
}

// awaitState advances the migration to a state until at holds for n1's journal.
func (m *runningMigration) awaitState(target migrate.State, at func(migrate.Entry) bool) {
	m.t.Helper()
	deadline := time.NewTimer(eventTimeout)
	defer deadline.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	var last error
	for was := ""; ; {
		e := m.journalEntry()
		if at(e) {
			return
		}
		if now := fmt.Sprint(e.Migration.State, copiedRows(e.Migration.Progress)); now != was { // patience is for each step of the way
			was = now
			deadline.Reset(eventTimeout)
		}
		if !e.Migration.Running {
			last = errors.Join(m.advanceTo(*e.Migration, target), asError(e.Migration.Error))
		}
		select {
		case <-deadline.C:
			m.Signal(0, syscall.SIGQUIT) // its stacks are in its log
			nodetest.Wait(m.t, 10*time.Second, func() error {
				if syscall.Kill(m.PID(0), 0) == nil {
					return errors.New("it still runs")
				}
				return nil
			})
			m.t.Fatalf("%s was not reached within %s, it is at %s: %v", target, eventTimeout, e.Migration.State, last)
		case <-look.C:
		}
	}
}

func asError(e *core.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// awaitVerified advances the migration until it waits for the cutover.
func (m *runningMigration) awaitVerified() migrate.Status {
	m.t.Helper()
	m.awaitState(migrate.StateVerify, func(e migrate.Entry) bool {
		return e.Migration.State == migrate.StateVerify && e.Migration.Verified && !e.Migration.Running
	})
	return m.awaitStopped()
}

// rollBackAndWait starts n1 again and waits until its state is settled.
func (m *runningMigration) rollBackAndWait() migrate.Status {
	m.t.Helper()
	m.Start(0)
	return m.awaitStopped()
}

// requireServing waits until the named nodes, or all, serve a store of the backend.
func (m *runningMigration) requireServing(backend core.Backend, nodes ...int) {
	m.t.Helper()
	if len(nodes) == 0 {
		nodes = []int{0, 1, 2}
	}
	for _, i := range nodes {
		cl := m.Client(i)
		nodetest.Wait(m.t, eventTimeout, func() error {
			st, err := nodetest.Status(m.t.Context(), cl)
			if err == nil && (st.From != m.Configs[i].Name || st.Serving.Backend != backend) {
				err = fmt.Errorf("%s serves %s: %s", st.From, st.Serving.Backend, st.Serving.Reason)
			}
			return err
		})
		cl.Close()
	}
}

// requireConsistent is what holds for every stopped migration: the store of its
// state is served and admits users, no other node serves another one, and a
// migration stopped by an error says what to do.
func (m *runningMigration) requireConsistent(st migrate.Status) {
	m.t.Helper()
	in := []int{0}
	switch st.State {
	case migrate.StateSoak, migrate.StateDone:
		m.requireServing(core.BackendKV)
		in = []int{0, 1, 2}
	default:
		m.requireServing(core.BackendSQLite, 0)
		m.requireServing(core.BackendNone, 1, 2)
	}
	for _, i := range in {
		nodetest.Wait(m.t, eventTimeout, func() error { return mustConnect(m.Net, i, m.seed.ids[0]) })
	}
	if st.Active() && (st.Error == nil || st.Error.Next == "") && !st.Verified {
		m.t.Errorf("stopped in %s it does not say what to do: %v", st.State, st.Error)
	}
}

// requireEqual fails the test if a replica of a node does not equal the file.
func (m *runningMigration) requireEqual(st migrate.Status, want map[core.Table]core.Digest) {
	m.t.Helper()
	for _, p := range st.Buckets {
		for _, table := range core.Tables() {
			if table.Bucket() != p.Name {
				continue
			}
			if len(p.Nodes) != len(m.Configs) {
				m.t.Errorf("%s was compared on %d nodes, not on %d", p.Name, len(p.Nodes), len(m.Configs))
			}
			for node, d := range p.Nodes {
				if d != want[table] {
					m.t.Errorf("%s on %s is %+v, the file holds %+v", p.Name, node, d, want[table])
				}
			}
		}
	}
	if len(st.Buckets) != len(core.Tables()) {
		m.t.Errorf("%d buckets were compared", len(st.Buckets))
	}
}

// requireEqualEverywhere requires the same rows in the source and on every node.
func (m *runningMigration) requireEqualEverywhere(want map[core.Table]core.Digest) migrate.Status {
	m.t.Helper()
	m.rate = 0
	st := m.awaitVerified()
	m.requireEqual(st, want)
	return st
}

// requireComplete ends a test before its cutover: the rows are on every node, and
// another run writes nothing and finds them equal again. That takes as long as a
// migration, so a test with several checks only the last one this way.
func (m *runningMigration) requireComplete(want map[core.Table]core.Digest) {
	m.t.Helper()
	first := m.requireEqualEverywhere(want)
	nodetest.Wait(m.t, eventTimeout, func() error { _, err := m.start(); return err })
	again := m.awaitStoppedIn(migrate.StateVerify)
	if again.ID == first.ID || again.Written != 0 || !again.Verified {
		m.t.Errorf("a run again wrote %d keys, verified %v, anew %v", again.Written, again.Verified, again.ID != first.ID)
	}
	m.requireEqual(again, want)
}

// roundTrip cuts over and rolls back, and compares the file of the rollback with
// what was migrated: no part of the migration itself says that.
func (m *runningMigration) roundTrip(want map[core.Table]core.Digest) {
	m.t.Helper()
	m.awaitState(migrate.StateSoak, func(e migrate.Entry) bool { return e.Migration.State == migrate.StateSoak && !e.Migration.Running })
	m.requireConsistent(m.awaitStoppedIn(migrate.StateSoak))
	if st, err := m.start(); err != nil || st.Written != 0 {
		m.t.Errorf("a run after the cutover wrote %d keys, %v", st.Written, err)
	}
	m.awaitState(migrate.StateRollback, func(e migrate.Entry) bool {
		return e.Migration.State == migrate.StateRolledBack && !e.Migration.Running
	})
	st := m.awaitStoppedIn(migrate.StateRolledBack)
	m.requireConsistent(st)
	if diff := cmp.Diff(want, digests(m.t, st.Export.Path)); diff != "" {
		m.t.Errorf("what came back is not what was moved (-moved +back):\n%s", diff)
	}
}

// requireAborted ends a test with an abort: SQLite serves, the authority is none,
// the buckets are empty, and the file has its rows. A migration that had cut over
// returned to a file of its own, which stays the authority: an abort never undoes
// a rollback.
func (m *runningMigration) requireAborted(want map[core.Table]core.Digest) {
	m.t.Helper()
	nodetest.Wait(m.t, eventTimeout, func() error { return m.abort(m.t.Context()) })
	st := m.awaitStoppedIn(migrate.StateAborted)
	m.requireConsistent(st)
	file := ""
	nodetest.Wait(m.t, eventTimeout, func() error {
		st, err := nodetest.Status(m.t.Context(), m.cl)
		if err != nil {
			return err
		}
		file = st.Serving.File
		given := st.Authority != nil && st.Authority.Backend != core.BackendNone
		if back := file != m.Configs[0].DB; given != back || given && st.Authority.Backend != core.BackendSQLite {
			return fmt.Errorf("%s is served, the authority is %+v", file, st.Authority)
		}
		return nil
	})
	if diff := cmp.Diff(want, digests(m.t, file)); diff != "" {
		m.t.Errorf("the file is not what it was (-was +is):\n%s", diff)
	}
}

// requireEmptyKV ends a test after its last abort: KV is empty, so a migration
// writes every row, and the next one none.
func (m *runningMigration) requireEmptyKV() {
	m.t.Helper()
	rows := 0
	for _, d := range m.seed.digests {
		rows += d.Count
	}
	m.rate = 0
	if st := m.awaitVerified(); st.Written != rows {
		m.t.Errorf("after an abort a move wrote %d keys of %d", st.Written, rows)
	}
	m.requireComplete(m.seed.digests)
}

func (m *runningMigration) abort(ctx context.Context) error {
	if e := m.journalEntry(); e.Migration.State == migrate.StateAborted {
		return nil
	}
	_, err := m.cl.MigrateAbort(ctx, m.source())
	return err
}
