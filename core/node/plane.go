package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/core/store/kv"
	"unibus/core/store/sqlite"
)

// plane decides which store this node serves and keeps the holder so. Alone it
// is the SQLite file. In a cluster it is what the record of authority says
// (DESIGN section 6); without a record, what --store says.
type plane struct {
	n   *Node
	log *slog.Logger

	opens   atomic.Pointer[sqlite.Store] // nil: this node has no file
	control *kv.Control                  // nil without routes
	store   *kv.Store
	job     *migrate.Job // nil without routes
	spare   sparing

	mu     sync.Mutex // one change of what is served at a time; nobody waits for rows with it
	closed bool

	opening  chan struct{} // holds a token while the KV store is opened
	opened   atomic.Bool   // the KV store has its rows in memory
	ahead    atomic.Bool   // somebody sees to that before the authority moves there
	attended atomic.Bool   // the KV store knows the guards

	guarded core.Authority // for which the KV store's guards were opened last

	served    atomic.Pointer[cluster.Serving]
	authority atomic.Pointer[core.Authority]
	moving    atomic.Pointer[migrate.Status] // the record of the move as last seen
	counted   atomic.Pointer[counted]
	print     atomic.Pointer[string] // the fingerprint of the file

	end  context.CancelFunc
	work sync.WaitGroup
}

// counted is what the store held at a moment.
type counted struct {
	counts core.Counts
	at     core.Millis
}

const (
	countEvery  = 2 * time.Second
	retryEvery  = 500 * time.Millisecond
	openTimeout = 120 * time.Second // D5: the budget of a bootstrap
)

func newPlane(n *Node) *plane {
	p := &plane{n: n, log: n.log, opening: make(chan struct{}, 1)}
	p.withdraw(core.Errorf(core.KindUnavailable, "%s has not started its control plane yet", n.cfg.Name))
	return p
}

func (n *Node) openPlane(ctx context.Context) error { return n.plane.open(ctx) }
func (n *Node) closePlane(context.Context) error    { return n.plane.close() }

func (p *plane) open(ctx context.Context) error {
	run, end := context.WithCancel(context.Background())
	p.end = end
	if err := p.openFile(ctx); err != nil {
		end()
		return err
	}
	if !p.n.cfg.Clustered() {
		if err := p.serveFile(ctx); err != nil {
			end()
			return errors.Join(err, p.db().Close())
		}
	} else if err := p.openCluster(ctx, run); err != nil {
		end()
		if db := p.db(); db != nil {
			err = errors.Join(err, db.Close())
		}
		return err
	}
	p.work.Go(func() { p.count(run) })
	return nil
}

// openFile opens the node's SQLite file. Alone it is created; in a cluster a
// missing one is not: such a node serves nothing until the authority is kv.
func (p *plane) openFile(ctx context.Context) error {
	entry, err := p.n.journal.Load()
	if err != nil {
		return err
	}
	path, alone := p.n.cfg.DB, !p.n.cfg.Clustered()
	if a := entry.Authority; alone && a != nil && (a.Backend == core.BackendKV || a.Backend == core.BackendSQLite && a.Node != p.n.cfg.Name) {
		return core.Errorf(core.KindRefused, "%s belongs to a cluster whose control plane is %s on %s: alone it would begin a second one", p.n.cfg.Name, a.Backend, a.Node).
			WithNext("start it with the cluster's flags, or give an empty --data directory")
	}
	if entry.File != "" && !sameFile(entry.File, path) {
		p.log.Warn("the journal names another SQLite file than --db; it wins", "file", entry.File, "db", path)
		path = entry.File
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		switch named := entry.Authority != nil && entry.Authority.Backend == core.BackendSQLite; {
		case !alone:
			return nil
		case named:
			return p.absent(path)
		}
	}
	db := sqlite.New(sqlite.Config{Path: path, Create: alone, AllowFenced: !alone})
	if err := db.Open(ctx); err != nil {
		return p.without(entry, path, err)
	}
	p.opens.Store(db)
	return nil
}

// backups is where a move puts the copies it takes first.
func (p *plane) backups() string { return filepath.Join(p.n.cfg.Data, "backups") }

// openCluster begins to follow the record of authority, which may take a quorum's time.
func (p *plane) openCluster(ctx, run context.Context) error {
	conn, cfg := p.n.conns.store, p.n.cfg
	if err := os.MkdirAll(p.backups(), 0o700); err != nil {
		return core.Errorf(core.KindFailed, "the directory for backups cannot be made: %w", err)
	}
	p.control = kv.NewControl(kv.ControlConfig{Conn: conn, Replicas: min(3, cfg.Size()), Budget: openTimeout, Logger: p.log})
	p.store = kv.New(kv.Config{
		Conn: conn, Replicas: cfg.Replicas, Nodes: cfg.Size(), Budget: openTimeout, Logger: p.log,
		Node: cfg.Name, TempDir: filepath.Join(cfg.Data, "tmp"), OnChange: p.n.sessions.changed, OnAlarm: p.n.sessions.alarmed,
	})
	move := p.moveConfig()
	move.CreateFile, move.OnRunning = createFile, p.spare.work
	p.job = migrate.New(move)
	p.withdraw(core.Errorf(core.KindUnavailable, "%s waits for a majority of the nodes, to read which store counts", cfg.Name).
		WithNext("start the other nodes; `unibus-tui status` says who is missing"))
	if err := p.job.Open(ctx); err != nil { // it lifts a fence that a crash left, and needs no quorum for it
		return err
	}
	if err := p.serveByJournal(ctx); err != nil {
		return errors.Join(err, p.job.Close())
	}
	p.work.Go(func() { p.follow(run) })
	p.work.Go(func() { p.identify(run) })
	p.work.Go(func() { p.awaitFile(run) })
	return nil
}

// serveByJournal is the rule for a node that cannot ask a quorum: it serves its
// file only where its journal names it the authority and holds no intent.
func (p *plane) serveByJournal(ctx context.Context) error {
	entry, err := p.n.journal.Load()
	if err != nil {
		return err
	}
	a := entry.Authority
	if a == nil {
		return nil
	}
	p.authority.Store(a)
	if a.Backend == core.BackendSQLite && a.Node == p.n.cfg.Name && entry.Intent == nil && p.db() != nil {
		return p.serveFile(ctx)
	}
	return nil
}

// follow opens the control record and serves what it says, until ctx ends.
func (p *plane) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := p.control.Open(ctx)
		if err == nil {
			break
		}
		p.log.Warn("the control record cannot be opened yet", "error", err)
		p.pause(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	for ctx.Err() == nil {
		if err := p.control.Watch(ctx, func(a *core.Authority, move []byte) { p.seen(ctx, a, move) }); err != nil && ctx.Err() == nil {
			p.log.Warn("the control record cannot be watched", "error", err)
		}
		p.pause(ctx)
	}
}

func (p *plane) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(retryEvery):
	}
}

// seen is called with every state of the control record.
func (p *plane) seen(ctx context.Context, a *core.Authority, move []byte) {
	if st, ok := decodeMove(move); ok {
		p.moving.Store(&st)
		p.openAhead(ctx)
	}
	for ctx.Err() == nil {
		err := p.Serve(ctx, orNone(a))
		if err == nil {
			return
		}
		p.log.Warn("what the authority says cannot be served yet", "authority", orNone(a), "error", err)
		if k := core.KindOf(err); k == core.KindConflict || k == core.KindRefused {
			return // the buckets are not this authority's: the next record decides
		}
		p.pause(ctx)
	}
}

func orNone(a *core.Authority) core.Authority {
	if a == nil {
		return core.Authority{Backend: core.BackendNone}
	}
	return *a
}

// Serve publishes what a says, and syncs a to the journal first. It is called
// for every record that is seen, and by the migration after its own cutover.
func (p *plane) Serve(ctx context.Context, a core.Authority) error {
	err := p.serve(ctx, a)
	if !errors.Is(err, errNotOpen) {
		return err
	}
	if err := p.openKV(ctx); err != nil { // without mu: it takes as long as there are rows
		return err
	}
	return p.serve(ctx, a)
}

// errNotOpen says that the KV store has to be opened before it can be served.
var errNotOpen = errors.New("the KV store is not open")

func (p *plane) serve(ctx context.Context, a core.Authority) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	if last := p.authority.Load(); last != nil && a.Generation < last.Generation {
		return nil // older than what this node has seen: a late delivery
	}
	if a.Generation > 0 {
		if err := p.n.journal.Update(func(e *migrate.Entry) { e.Authority = &a }); err != nil {
			p.withdraw(core.AsError(err))
			return err
		}
		p.authority.Store(&a)
	}
	switch {
	case a.Backend == core.BackendKV, a.Backend == core.BackendNone && p.n.cfg.Store == core.BackendKV:
		return p.serveKV(ctx, a)
	case a.Backend == core.BackendSQLite && a.Node != p.n.cfg.Name:
		p.withdraw(core.Errorf(core.KindUnavailable, "%s is the control plane now, not %s", a.Node, p.n.cfg.Name).
			WithNext("connect to %s until the move to KV", a.Node))
		p.n.sessions.elsewhere(a.Node)
		return nil
	case p.db() == nil && a.Backend == core.BackendSQLite:
		p.withdraw(p.absent(p.named()))
		return nil
	case p.db() == nil:
		p.withdraw(core.Errorf(core.KindUnavailable, "%s has no control plane of its own: %s is not there", p.n.cfg.Name, p.n.cfg.DB).
			WithNext("connect to the node that has one, or move it to KV"))
		return nil
	}
	return p.serveFileUnlessMoving(ctx)
}

// serveFileUnlessMoving leaves the holder empty while an intent stands: the
// authority may be given away already.
func (p *plane) serveFileUnlessMoving(ctx context.Context) error {
	entry, err := p.n.journal.Load()
	if err != nil {
		p.withdraw(core.AsError(err))
		return err
	}
	if entry.Intent != nil || entry.FileNeverServed && !p.has(entry.File) {
		return nil
	}
	return p.serveFile(ctx)
}

func (p *plane) serveFile(ctx context.Context) error {
	if p.serving().Backend == core.BackendSQLite {
		return nil
	}
	if p.db() == nil {
		return core.Errorf(core.KindFailed, "%s has no SQLite file", p.n.cfg.Name)
	}
	fenced, err := p.db().Fenced(ctx)
	if err != nil {
		return err
	}
	if fenced {
		p.withdraw(core.Errorf(core.KindUnavailable, "the SQLite file %s is fenced: its control plane was moved, or is being moved", p.db().Path()).
			WithNext("`unibusd migration status` says where the move stands"))
		return nil
	}
	if taken, err := p.noteServed(); err != nil || taken {
		return err
	}
	p.publish(p.db(), cluster.Serving{Backend: core.BackendSQLite, File: p.db().Path()})
	return nil
}

// serveKV opens the buckets' guards for the authority before it publishes them:
// until then nobody is admitted by them and nothing is written.
func (p *plane) serveKV(ctx context.Context, a core.Authority) error {
	entry, err := p.n.journal.Load()
	if err != nil {
		p.withdraw(core.AsError(err))
		return err
	}
	if in := entry.Intent; in != nil && a.Generation <= in.From.Generation {
		return nil // this node is giving it away
	}
	serving := p.serving().Backend == core.BackendKV
	if serving && p.guarded == a {
		return nil
	}
	if !p.opened.Load() {
		p.withdraw(core.Errorf(core.KindUnavailable, "%s reads the control plane from its buckets, and serves it once it has all of it", p.n.cfg.Name).
			WithNext("wait, or ask another node"))
		return errNotOpen
	}
	if err := p.store.OpenFor(ctx, a); err != nil {
		p.withdraw(core.AsError(err))
		return err
	}
	p.guarded = a
	if serving {
		return nil
	}
	if p.db() != nil && p.n.cfg.Store == core.BackendSQLite {
		p.log.Info("the control plane is in KV; the SQLite file is kept and not served", "file", p.db().Path())
	}
	p.publish(p.store, cluster.Serving{Backend: core.BackendKV, File: p.file()})
	return nil
}

// openKV opens the KV store once, which reads its rows into memory; the caller
// does not hold mu. Nothing is served by it, and no guard is opened.
func (p *plane) openKV(ctx context.Context) error {
	if p.opened.Load() {
		return nil
	}
	select {
	case p.opening <- struct{}{}:
	case <-ctx.Done():
		return core.Errorf(core.KindUnavailable, "%s has not read all of the buckets yet", p.n.cfg.Name).WithNext("try again")
	}
	defer func() { <-p.opening }()
	if p.opened.Load() {
		return nil
	}
	if err := p.store.Open(ctx); err != nil {
		return err
	}
	p.opened.Store(true)
	p.poke()
	return nil
}

// attendKV opens it for the copier: while rows are written nothing is gained by
// reading them too, and a fence does not wait for whoever reads them.
func (p *plane) attendKV(ctx context.Context) error {
	if p.attended.Load() || p.opened.Load() {
		return nil
	}
	err := p.store.Attend(ctx)
	p.attended.Store(err == nil)
	return err
}

// openAhead opens the KV store in the background once a move's rows are verified
// there: a node that began with that at the cutover would serve nobody meanwhile.
func (p *plane) openAhead(ctx context.Context) {
	if p.opened.Load() || !p.toKV() || !p.ahead.CompareAndSwap(false, true) {
		return
	}
	p.work.Go(func() {
		defer p.ahead.Store(false)
		for ctx.Err() == nil && p.toKV() {
			err := p.openKV(ctx)
			if err == nil {
				return
			}
			p.log.Warn("the buckets to which the control plane moves cannot be opened yet", "error", err)
			p.pause(ctx)
		}
	})
}

// toKV says that the record tells of a move that was verified. Before that, all
// nodes' reading would slow the comparison of their replicas down.
func (p *plane) toKV() bool {
	st := p.moving.Load()
	return st != nil && (st.State == migrate.StateVerify && st.Verified || st.State == migrate.StateFence || st.State == migrate.StateCutover)
}

func (p *plane) publish(s core.Store, as cluster.Serving) {
	p.served.Store(&as)
	p.n.holder.Publish(s)
	p.log.Info("serving the control plane", "backend", as.Backend, "file", as.File)
	p.poke()
}

// Withdraw empties the holder: nobody is admitted and nothing answered until the next Serve.
func (p *plane) Withdraw(reason *core.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.withdraw(reason)
}

func (p *plane) withdraw(reason *core.Error) {
	p.served.Store(&cluster.Serving{Backend: core.BackendNone, Reason: reason.Text, File: p.file()})
	p.n.holder.Empty(reason)
	p.poke()
}

// poke has the observer look at once: what this node serves has changed.
func (p *plane) poke() {
	if p.n.observer != nil {
		p.n.observer.Refresh()
	}
}

// db is the SQLite file that this node has open; nil for none.
func (p *plane) db() *sqlite.Store { return p.opens.Load() }

func (p *plane) serving() cluster.Serving { return *p.served.Load() }

func (p *plane) file() string {
	if p.db() == nil {
		return ""
	}
	return p.db().Path()
}

func (p *plane) close() error {
	p.end() // before the lock: whoever holds it may be waiting for a quorum
	var errs []error
	if p.job != nil {
		errs = append(errs, p.job.Close())
	}
	p.mu.Lock()
	p.closed = true
	p.withdraw(core.Errorf(core.KindUnavailable, "%s is stopping", p.n.cfg.Name))
	p.mu.Unlock()
	p.work.Wait()
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.db() != nil {
		errs = append(errs, p.db().Close())
	}
	return errors.Join(errs...)
}
