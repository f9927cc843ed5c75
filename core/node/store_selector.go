package node

import (
	"context"
	"log/slog"
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

	// The rest belongs to run, and to openControlPlane before run starts.
	recordedAuthority *core.Authority // the newest that was seen; nil: none could be read yet
	withdrawn         *core.Error     // the reason that the migration gave when it last withdrew the store
	served            core.Store      // nil: nothing
	guardsFor         *core.Authority // the KV store is served, with its guards open for it; nil: it is not served
	readingRows       bool            // a goroutine reads the rows into memory
	serveRequests     []chan error    // callers that wait until a decision is applied
	retry             <-chan time.Time
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
			s.withdraw(s.stopping())
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

// stopping is why nothing is served once run has ended.
func (s *storeSelector) stopping() *core.Error {
	return core.Errorf(core.KindUnavailable, "%s is stopping", s.n.cfg.Name)
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
		return s.stopping()
	}
}

// applyFirst serves what is known at the start. It does not wait for the rows, which
// need a quorum: the migration may have found one already.
func (s *storeSelector) applyFirst() (err error) {
	s.do(func(ctx context.Context) { _, err = s.applyDecision(ctx) })
	return err
}

// Withdraw implements migrate.Host: no user is admitted and nothing is answered until the next Serve.
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
		return nil, s.stopping()
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
		if err := before.Close(); err != nil { // it is fenced, and no longer needed
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
	if s.recordedAuthority == nil || a.Generation >= s.recordedAuthority.Generation {
		s.recordedAuthority = &a
	}
}
