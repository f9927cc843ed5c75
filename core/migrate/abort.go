package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"unibus/core"
)

// Abort ends a move before its cutover and restores what was: the fence is
// lifted, the rows are removed from KV, the authority is none again. SQLite
// serves throughout. A backup that was asked for is kept, for nobody forgives a
// deleted one; the temporary copy of --no-backup is removed.
//
// It goes on in the daemon as long as it gets anywhere, also after a restart;
// where it takes longer than a caller waits, the status that is returned has
// Aborting set. Where a part cannot be undone the error says which, and Abort may
// be asked again.
func (j *Job) Abort(ctx context.Context, by string) (Status, error) {
	st, done, err := j.beginAbort(ctx, by)
	if err != nil || done == nil {
		return st, err
	}
	limit, cancel := context.WithTimeout(ctx, abortReplyTimeout)
	defer cancel()
	select {
	case <-limit.Done():
	case <-done:
	}
	if st = j.Status(); st.Error != nil {
		return st, st.Error
	}
	return st, nil
}

// abortReplyTimeout is how long a caller waits for the end; a request has a minute.
const abortReplyTimeout = 45 * time.Second

// beginAbort returns what is closed at the end of the work; nil for an abort of a
// rollback, which is followed like one.
func (j *Job) beginAbort(ctx context.Context, by string) (Status, <-chan struct{}, error) {
	j.commandLock.Lock()
	defer j.commandLock.Unlock()
	if err := j.recoverFromRecord(ctx); err != nil {
		return j.Status(), nil, err
	}
	st := j.Status()
	if why := st.Unavailable(ActionAbort); why != "" {
		return st, nil, errUnavailable(st, "abort", why)
	}
	if st.State == StateRollback {
		st, err := j.abortRollback(by)
		return st, nil, err
	}
	if st.Running && st.Aborting != "" {
		return st, j.runDone(), nil
	}
	if !j.blockCutover() {
		return st, nil, errUnavailable(st, "abort", "the cutover has begun and ends within seconds")
	}
	j.stopRun()
	st = j.Status()
	if why := st.Unavailable(ActionAbort); why != "" {
		return st, nil, errUnavailable(st, "abort", why)
	}
	if st.Aborting != "" {
		by = st.Aborting
	}
	err := j.continueAbort(by)
	return j.Status(), j.runDone(), err
}

func (j *Job) runDone() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.done
}

// continueAbort notes the abort, so that a restart goes on with it, and works at it.
func (j *Job) continueAbort(by string) error {
	err := j.saveStatus(func(s *Status) {
		s.Aborting, s.Running, s.Paused, s.Verified, s.Error, s.Result = by, true, false, false, nil, ""
	})
	if err != nil {
		return err
	}
	return j.spawn(j.runAbort)
}

// runAbort takes the move back to its end, or until something cannot be undone.
func (j *Job) runAbort(ctx context.Context) {
	j.mu.Lock()
	j.fence, j.pauseRequested, j.abortRequested = nil, false, false
	j.mu.Unlock()
	st := j.Status()
	err := j.undoMigration(ctx, st)
	if err == nil {
		err = j.finishAbort(st)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		j.endRun(func(s *Status) {
			s.Error = core.Errorf(core.KindUnavailable, "%s was stopped while the move was taken back; it goes on when it is started again", j.cfg.Node)
		})
	default:
		err = j.explainJetStreamOff(ctx, st.State, err)
		j.cfg.Log.Warn("the abort stopped", "error", err)
		j.endRun(func(s *Status) { s.Error = errAbortStopped(err) })
	}
}

func errAbortStopped(err error) *core.Error {
	why := core.AsError(err)
	next := "`unibusd migration abort` goes on with it"
	if why.Next != "" {
		next = why.Next + "; then " + next
	}
	return core.Errorf(why.Kind, "the move could not be taken back to its end: %s", why.Text).WithNext("%s", next)
}

func (j *Job) finishAbort(was Status) error {
	j.mu.Lock()
	j.checkpoint, j.marks = nil, nil
	j.mu.Unlock()
	e, err := j.cfg.Journal.Load()
	if err != nil {
		return err
	}
	record := "the authority record is none"
	if e.FileIsAuthority {
		record = "the authority record names it, as before the move"
	}
	return j.saveStatus(func(s *Status) {
		s.State, s.Running, s.Error, s.Problems, s.Aborting = StateAborted, false, nil, nil, ""
		s.Result = fmt.Sprintf("Aborted by %s in %s. SQLite on %s serves as before; %s, and %s removed from KV.",
			was.Aborting, was.State, s.Node, record, keysWere(s.Removed))
		if s.Backup.Path != "" && !s.Options.NoBackup {
			s.Result += " The backup " + s.Backup.Path + " was kept."
		}
	})
}

func keysWere(keys int) string {
	if keys == 1 {
		return "1 key was"
	}
	return fmt.Sprintf("%d keys were", keys)
}

// blockCutover keeps a cutover from beginning; false where it has begun.
func (j *Job) blockCutover() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fence != nil && j.fence.committed {
		return false
	}
	j.abortRequested = true
	return true
}

// undoMigration takes back what the move did, the fence first. The rows go while SQLite
// is still the recorded authority: with a record of none a node with --store kv
// would serve what is left of them.
func (j *Job) undoMigration(ctx context.Context, st Status) error {
	if err := j.liftFence(ctx); err != nil {
		return err
	}
	if err := errors.Join(removeTemporaryBackup(st), j.removeUnfinishedBackup(), j.source().Untrack(ctx)); err != nil {
		return unwrapSingle(err)
	}
	var a core.Authority
	err := j.retry(ctx, func(ctx context.Context) (err error) {
		a, _, err = j.readAuthority(ctx)
		return err
	})
	if err == nil && a.Backend == core.BackendSQLite && a.Node == j.cfg.Node {
		err = j.removeRows(ctx)
	}
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, 2*j.cfg.Limits.RetryBudget)
	defer cancel()
	if a, err = j.releaseAuthority(limit); err != nil {
		return err
	}
	return j.cfg.Journal.Update(func(e *Entry) {
		e.Authority = &a
		if a.Backend == "" {
			e.Authority = nil
		}
		if a.Backend == "" || a.Backend == core.BackendNone {
			e.File = "" // --db decides again
		}
	})
}

// removeRows removes every row of the five buckets. Buckets that were never made are left unmade.
func (j *Job) removeRows(ctx context.Context) error {
	if unmade, err := j.bucketsMissing(ctx); err != nil || unmade {
		return err
	}
	if err := j.retry(ctx, j.closeGuards); err != nil { // a copy that was resumed elsewhere is refused from here on
		return err
	}
	for _, t := range core.Tables() {
		err := j.retry(ctx, func(ctx context.Context) error {
			return j.syncTable(ctx, emptySource{}, t, "", func(p batchResult) error {
				j.updateStatus(func(s *Status) { s.Removed += p.removed })
				return ctx.Err()
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// bucketsMissing is true where every bucket is proven not to be there. Counts and
// checkpoints are no proof: they are of the last run alone, and a run before it
// may have written. A bucket that nobody can see may hold everything.
func (j *Job) bucketsMissing(ctx context.Context) (bool, error) {
	for _, t := range core.Tables() {
		err := j.retry(ctx, func(ctx context.Context) error {
			_, err := j.cfg.Target.Nodes(ctx, t)
			return err
		})
		if core.KindOf(err) != core.KindNotFound {
			return false, err
		}
	}
	return true, nil
}
