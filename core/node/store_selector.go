package node

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/core/store/kv"
	"unibus/core/store/sqlite"
)

// storeSelector keeps the store that this node serves equal to what decide says. One
// goroutine, run, owns its state and applies each decision in order. Others hand it
// a function with do, or read the latest selection.
type storeSelector struct {
	n   *Node
	log *slog.Logger
	kv  *kv.Store // nil without routes

	latest atomic.Pointer[selection] // what others read; run alone replaces it

	calls    chan func(ctx context.Context)
	rowsRead chan error // how reading the rows ended
	closing  sync.Once
	stop     chan struct{} // closed to end run
	done     chan struct{} // closed when run has ended
	reading  sync.WaitGroup

	// The rest belongs to run, and to whoever opens the selector before it runs.
	record        *core.Authority // the newest that was seen; nil: none could be read yet
	withdrawn     *core.Error     // the reason that the migration gave last
	served        core.Store      // nil: nothing
	guardsFor     *core.Authority // the KV store is served, with its guards open for it; nil: it is not served
	rowsAreRead   bool            // a goroutine reads the rows
	serveRequests []chan error    // callers that wait until a decision is applied
	retry         <-chan time.Time
}

// selection is an immutable picture of what this node serves, and from what it knows that.
type selection struct {
	serving   cluster.Serving
	authority *core.Authority // the newest that this node has seen, in this run or before; nil: none
	migration *migrate.Status // the recorded status of the migration as last seen
	file      *sqlite.Store   // the SQLite file that this node has open; nil: none
	rowsReady bool            // the KV store has its rows in memory
}

// filePath is the path of the open file, "" for none.
func (v *selection) filePath() string {
	if v.file == nil {
		return ""
	}
	return v.file.Path()
}

// retryEvery is the pause before something that failed is tried again.
const retryEvery = 500 * time.Millisecond

func newStoreSelector(n *Node) *storeSelector {
	s := &storeSelector{
		n: n, log: n.log,
		calls: make(chan func(context.Context)), rowsRead: make(chan error), stop: make(chan struct{}), done: make(chan struct{}),
	}
	s.latest.Store(&selection{})
	s.withdraw(core.Errorf(core.KindUnavailable, "%s has not started its control plane yet", n.cfg.Name))
	return s
}

// selection is the latest; callers do not modify it.
func (s *storeSelector) selection() *selection { return s.latest.Load() }

func (s *storeSelector) serving() cluster.Serving { return s.selection().serving }

// file is the SQLite file that this node has open; nil for none.
func (s *storeSelector) file() *sqlite.Store { return s.selection().file }

// run applies decisions until close. ctx bounds what needs a quorum: it ends first, so
// that callers are answered while the node stops.
func (s *storeSelector) run(ctx context.Context) {
	defer close(s.done)
	for {
		select {
		case <-s.stop:
			s.withdraw(core.Errorf(core.KindUnavailable, "%s is stopping", s.n.cfg.Name))
			return
		case call := <-s.calls:
			call(ctx)
		case err := <-s.rowsRead:
			s.finishReadingRows(ctx, err)
		case <-s.retry:
			s.apply(ctx)
		}
	}
}

// close ends run and waits for it, and for the reading of rows.
func (s *storeSelector) close() {
	s.closing.Do(func() { close(s.stop) })
	<-s.done
	s.reading.Wait()
}

// do has run call f, and returns when f has returned; false once run has ended.
func (s *storeSelector) do(f func(ctx context.Context)) bool {
	finished := make(chan struct{})
	select {
	case s.calls <- func(ctx context.Context) { defer close(finished); f(ctx) }:
		<-finished
		return true
	case <-s.done:
		return false
	}
}

// Serve implements migrate.Host: it serves what an authority says, and returns once
// that is so, or why it is not. An authority older than one already seen is ignored.
func (s *storeSelector) Serve(ctx context.Context, a core.Authority) error {
	return s.applyNow(ctx, func() { s.accept(a) })
}

// applyNow has run change its state, decide, and make it so. It waits for the outcome,
// which may take as long as the rows are read.
func (s *storeSelector) applyNow(ctx context.Context, change func()) error {
	outcome := make(chan error, 1)
	s.do(func(ctx context.Context) {
		change()
		s.serveRequests = append(s.serveRequests, outcome)
		s.apply(ctx)
	})
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return core.Errorf(core.KindUnavailable, "%s has not read all of the buckets yet", s.n.cfg.Name).WithNext("try again")
	case <-s.done:
		return nil // the node stops, and serves nothing any more
	}
}

// Withdraw implements migrate.Host: nobody is admitted and nothing is answered until the next Serve.
func (s *storeSelector) Withdraw(reason *core.Error) {
	s.do(func(context.Context) {
		s.withdrawn = reason
		s.withdraw(reason)
	})
}

// Adopt implements migrate.Host: it opens the file that a rollback wrote, in the place
// of the one before, which stays fenced. A migration that runs reads from neither.
func (s *storeSelector) Adopt(ctx context.Context, path string) (migrate.SourceStore, error) {
	var file *sqlite.Store
	var err error
	if !s.do(func(context.Context) { file, err = s.replaceFile(ctx, path) }) {
		return nil, core.Errorf(core.KindUnavailable, "%s is stopping", s.n.cfg.Name)
	}
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (s *storeSelector) replaceFile(ctx context.Context, path string) (*sqlite.Store, error) {
	before := s.file()
	if before != nil && sameFile(before.Path(), path) { // it may be served at this moment
		return before, nil
	}
	file := sqlite.New(sqlite.Config{Path: path, AllowFenced: true})
	if err := file.Open(ctx); err != nil {
		return nil, err
	}
	s.update(func(v *selection) { v.file = file })
	if before != nil {
		if err := before.Close(); err != nil { // it is fenced, and nobody needs it any more
			s.log.Warn("the SQLite file that was served before was not closed", "file", before.Path(), "error", err)
		}
	}
	return file, nil
}

// forgetGuards is called before the migration shuts the guards of the buckets.
func (s *storeSelector) forgetGuards() {
	s.do(func(context.Context) { s.guardsFor = nil })
}

// recordSeen takes in every state of the control record.
func (s *storeSelector) recordSeen(a *core.Authority, migration []byte) {
	s.do(func(ctx context.Context) {
		if st, ok := decodeMigration(migration); ok {
			s.update(func(v *selection) { v.migration = &st })
		}
		if a == nil {
			a = &core.Authority{Backend: core.BackendNone}
		}
		s.accept(*a)
		s.apply(ctx)
	})
}

// accept takes an authority for the record, unless a later generation was seen before:
// then it was delivered late.
func (s *storeSelector) accept(a core.Authority) {
	if last := s.selection().authority; last != nil && a.Generation < last.Generation {
		return
	}
	if s.record == nil || a.Generation >= s.record.Generation {
		s.record = &a
	}
}

// apply decides, makes it so, and tells those who wait for that. What failed is tried
// again, except where the buckets belong to another authority: then the next record decides.
func (s *storeSelector) apply(ctx context.Context) {
	s.retry = nil
	if s.migratesToKV() {
		s.readRows(ctx)
	}
	pending, err := s.applyDecision(ctx)
	if pending {
		return
	}
	s.answer(ctx, err)
}

// answer tells callers the outcome. An error without a caller is logged.
func (s *storeSelector) answer(ctx context.Context, err error) {
	if k := core.KindOf(err); err != nil && k != core.KindConflict && k != core.KindRefused && ctx.Err() == nil {
		s.retry = time.After(retryEvery)
	}
	if err != nil && len(s.serveRequests) == 0 && ctx.Err() == nil {
		s.log.Warn("the store in force cannot be served yet", "authority", s.selection().authority, "error", err)
	}
	for _, outcome := range s.serveRequests {
		outcome <- err
	}
	s.serveRequests = nil
}

// applyDecision ends when the decision needs nothing more. It is pending while the rows are read.
func (s *storeSelector) applyDecision(ctx context.Context) (pending bool, err error) {
	for {
		d, err := s.decide(ctx)
		if err != nil {
			s.withdraw(core.AsError(err))
			return false, err
		}
		s.publish(d)
		switch d.missing {
		case rowsMissing:
			s.readRows(ctx)
			return true, nil
		case guardsMissing:
			if err := s.openGuards(ctx, d.authority); err != nil {
				return false, err
			}
			continue
		}
		return false, nil
	}
}

// decide gathers what the decision depends on. It asks for the file's fence, and says in
// the journal that the file is served, only if the file is to be served.
func (s *storeSelector) decide(ctx context.Context) (decision, error) {
	in, err := s.inputs()
	if err != nil {
		return decision{}, err
	}
	d := decide(in)
	if d.backend != core.BackendSQLite || in.file.served {
		return d, nil
	}
	if in.file.fenced, err = s.file().Fenced(ctx); err != nil {
		return d, err
	}
	if d = decide(in); d.backend != core.BackendSQLite {
		return d, nil
	}
	if in.journal, err = s.noteServed(in.journal); err != nil {
		return d, err
	}
	return decide(in), nil
}

// inputs syncs the record to the journal first: after a crash the journal is all that is known.
func (s *storeSelector) inputs() (decisionInputs, error) {
	entry, err := s.syncJournal()
	if err != nil {
		return decisionInputs{}, err
	}
	v := s.selection()
	in := decisionInputs{
		node: s.n.cfg.Name, flag: s.n.cfg.Store, record: s.record, journal: entry, withdrawn: s.withdrawn,
		kv: kvState{rowsReady: v.rowsReady, guardsFor: s.guardsFor},
	}
	if !s.n.cfg.Clustered() { // a node alone has no record but its journal
		in.flag, in.record = core.BackendSQLite, cmp.Or(entry.Authority, &core.Authority{Backend: core.BackendNone})
	}
	in.file.path = cmp.Or(entry.File, s.n.cfg.DB)
	if v.file == nil {
		_, err := os.Lstat(in.file.path)
		in.file.exists = err == nil
		return in, nil
	}
	in.file.open, in.file.served = true, s.served == core.Store(v.file)
	if in.file.journaled = entry.File == "" || sameFile(v.file.Path(), entry.File); in.file.journaled {
		in.file.path = v.file.Path()
	}
	return in, nil
}

// syncJournal writes the record into the journal, unless the migration has written a later one.
func (s *storeSelector) syncJournal() (migrate.Entry, error) {
	entry, err := s.n.journal.Load()
	if err != nil {
		return entry, err
	}
	if r := s.record; r != nil && r.Generation > 0 && (entry.Authority == nil || *entry.Authority != *r) {
		err = s.n.journal.Update(func(e *migrate.Entry) {
			if e.Authority == nil || r.Generation >= e.Authority.Generation {
				e.Authority = r
			}
			entry = *e
		})
		if err != nil {
			return entry, err
		}
	}
	if a := entry.Authority; a != nil {
		s.update(func(v *selection) { v.authority = a })
	}
	return entry, nil
}

// noteServed is called before the file is published: from then on KV may lack what is
// changed in it, and a rollback cannot be taken back. If that has begun already, the
// entry that it returns has the intent.
func (s *storeSelector) noteServed(entry migrate.Entry) (migrate.Entry, error) {
	if !entry.FileNeverServed {
		return entry, nil
	}
	err := s.n.journal.Update(func(e *migrate.Entry) {
		if e.Intent == nil {
			e.FileNeverServed = false
		}
		entry = *e
	})
	return entry, err
}

// publish makes the handle say what a decision says.
func (s *storeSelector) publish(d decision) {
	switch d.backend {
	case core.BackendKV:
		s.publishStore(s.kv, d.backend)
	case core.BackendSQLite:
		s.publishStore(s.file(), d.backend)
	default:
		s.withdraw(d.reason)
	}
	if d.other != "" {
		s.n.sessions.elsewhere(d.other)
	}
}

func (s *storeSelector) publishStore(store core.Store, backend core.Backend) {
	if s.served == store {
		return
	}
	path := s.selection().filePath()
	if backend == core.BackendKV && path != "" && s.n.cfg.Store == core.BackendSQLite {
		s.log.Info("the control plane is in KV; the SQLite file is kept and not served", "file", path)
	}
	s.served, s.withdrawn = store, nil
	if backend != core.BackendKV {
		s.guardsFor = nil
	}
	s.update(func(v *selection) { v.serving = cluster.Serving{Backend: backend, File: path} })
	s.n.holder.Publish(store)
	s.log.Info("serving the control plane", "backend", backend, "file", path)
	s.triggerRefresh()
}

// withdraw empties the handle: nobody is admitted and nothing is answered.
func (s *storeSelector) withdraw(reason *core.Error) {
	s.served, s.guardsFor = nil, nil
	next := cluster.Serving{Backend: core.BackendNone, Reason: reason.Text, File: s.selection().filePath()}
	if s.serving() == next {
		return
	}
	s.update(func(v *selection) { v.serving = next })
	s.n.holder.Empty(reason)
	s.triggerRefresh()
}

// triggerRefresh has the observer look at once: what this node serves has changed.
func (s *storeSelector) triggerRefresh() {
	if s.n.observer != nil {
		s.n.observer.Poke()
	}
}

// update replaces the selection that others read. Only run calls it, or its opener before run.
func (s *storeSelector) update(change func(*selection)) {
	next := *s.latest.Load()
	change(&next)
	s.latest.Store(&next)
}

// openGuards opens the guards of the buckets for an authority. A failure withdraws the
// store: without open guards nothing is proven.
func (s *storeSelector) openGuards(ctx context.Context, a core.Authority) error {
	if err := s.kv.OpenFor(ctx, a); err != nil {
		s.withdraw(core.AsError(err))
		return err
	}
	s.guardsFor = &a
	return nil
}

// readRows reads the buckets' rows into memory, once, beside run: it takes as long as there
// are rows. Nothing is served by that and no guard is opened.
func (s *storeSelector) readRows(ctx context.Context) {
	if s.rowsAreRead || s.selection().rowsReady {
		return
	}
	s.rowsAreRead = true
	s.reading.Go(func() {
		err := s.kv.Open(ctx)
		select {
		case s.rowsRead <- err:
		case <-s.done:
		}
	})
}

func (s *storeSelector) finishReadingRows(ctx context.Context, err error) {
	s.rowsAreRead = false
	if err != nil {
		s.answer(ctx, err)
		return
	}
	s.update(func(v *selection) { v.rowsReady = true })
	s.triggerRefresh()
	s.apply(ctx)
}

// migratesToKV says that the record tells of a migration that was verified. The rows are
// read then already: a node that began with that at the cutover would serve nothing
// meanwhile. Before, all nodes' reading would slow the comparison of their replicas down.
func (s *storeSelector) migratesToKV() bool {
	st := s.selection().migration
	return st != nil && (st.State == migrate.StateVerify && st.Verified || st.State == migrate.StateFence || st.State == migrate.StateCutover)
}
