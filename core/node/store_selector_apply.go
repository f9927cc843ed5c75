package node

import (
	"cmp"
	"context"
	"os"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// apply decides, applies the decision, and notifies its waiters. It retries a failure,
// unless the buckets belong to another authority: then the next record decides.
func (s *storeSelector) apply(ctx context.Context) {
	s.retry = nil
	if s.migratesToKV() {
		s.readRows(ctx)
	}
	pending, err := s.applyDecision(ctx)
	if pending {
		return
	}
	s.replyToServeRequests(ctx, err, "the store in force cannot be served yet")
}

// replyToServeRequests tells callers the outcome. It logs an error that no caller waits for, as failure.
func (s *storeSelector) replyToServeRequests(ctx context.Context, err error, failure string) {
	if k := core.KindOf(err); err != nil && k != core.KindConflict && k != core.KindRefused && ctx.Err() == nil {
		s.retry = time.After(retryEvery)
	}
	if err != nil && len(s.serveRequests) == 0 && ctx.Err() == nil {
		s.log.Warn(failure, "authority", s.selection().authority, "error", err)
	}
	for _, outcome := range s.serveRequests {
		outcome <- err
	}
	s.serveRequests = nil
}

// applyDecision ends when the decision needs nothing more. It is pending while the rows are read.
func (s *storeSelector) applyDecision(ctx context.Context) (pending bool, err error) {
	for {
		d, err := s.currentDecision(ctx)
		if err != nil {
			s.withdraw(core.AsError(err))
			return false, err
		}
		if d.missing != guardsMissing || s.served != nil { // else the reason of a failure before stays
			s.publish(d)
		}
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

// currentDecision gathers what the decision depends on. It asks for the file's fence, and says in
// the journal that the file is served, only if the file is to be served.
func (s *storeSelector) currentDecision(ctx context.Context) (decision, error) {
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
		node: s.n.cfg.Name, flag: s.n.cfg.Store, record: s.recordedAuthority, journal: entry, withdrawn: s.withdrawn,
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
	if r := s.recordedAuthority; r != nil && r.Generation > 0 && (entry.Authority == nil || *entry.Authority != *r) {
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

// publish puts the decided store into the handle.
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
		s.n.sessions.endSessionsOfOtherAuthority(d.other)
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
	s.n.storeHandle.Publish(store)
	s.log.Info("serving the control plane", "backend", backend, "file", path)
	s.triggerRefresh()
}

// withdraw empties the handle: no user is admitted and nothing is answered.
func (s *storeSelector) withdraw(reason *core.Error) {
	s.served, s.guardsFor = nil, nil
	next := cluster.Serving{Backend: core.BackendNone, Reason: reason.Text, Next: reason.Next, File: s.selection().filePath()}
	if s.serving() == next {
		return
	}
	s.update(func(v *selection) { v.serving = next })
	s.n.storeHandle.Empty(reason)
	s.triggerRefresh()
}

// triggerRefresh has the observer look at once: this node serves another store now.
func (s *storeSelector) triggerRefresh() {
	if s.n.observer != nil {
		s.n.observer.Refresh()
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
	if s.readingRows || s.selection().rowsReady {
		return
	}
	s.readingRows = true
	s.reading.Go(func() {
		err := s.kv.Open(ctx)
		select {
		case s.rowsRead <- err:
		case <-s.done:
		}
	})
}

func (s *storeSelector) finishReadingRows(ctx context.Context, err error) {
	s.readingRows = false
	if err != nil {
		s.replyToServeRequests(ctx, err, "the rows of the buckets cannot be read into memory yet")
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
