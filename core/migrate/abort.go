package migrate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"unibus/core"
)

// Abort ends a migration before its cutover and restores the state before it. It
// lifts the fence, removes the rows from KV, and sets the authority to none.
// SQLite serves throughout. A requested backup is kept; the temporary copy of
// --no-backup is removed.
//
// The abort continues in the daemon as long as it makes progress, also after a
// restart. If it takes longer than a caller waits, the returned status has
// Aborting set. If a part cannot be undone, the error names it, and Abort can be
// called again.
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

// abortReplyTimeout is how long Abort waits for the end; a request has a minute.
const abortReplyTimeout = 45 * time.Second

// beginAbort returns a channel that is closed when the work ends. It is nil for
// the abort of a rollback, which a caller follows like a rollback.
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
		return st, nil, errUnavailable(st, "abort", "the cutover has started and ends within seconds")
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

// continueAbort records the abort, so that a restart continues it, and starts it.
func (j *Job) continueAbort(by string) error {
	err := j.saveStatus(func(s *Status) {
		s.Aborting, s.Running, s.Paused, s.Verified, s.Error, s.Result = by, true, false, false, nil, ""
	})
	if err != nil {
		return err
	}
	return j.spawn(j.runAbort)
}

// runAbort undoes the migration completely, or until a part cannot be undone.
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
			s.Error = core.Errorf(core.KindUnavailable, "%s was stopped during the abort, which continues when the node starts again", j.cfg.Node)
		})
	default:
		err = j.explainJetStreamOff(ctx, st.State, err)
		j.cfg.Log.Warn("the abort stopped", "error", err)
		j.endRun(func(s *Status) { s.Error = errAbortStopped(err) })
	}
}

func errAbortStopped(err error) *core.Error {
	why := core.AsError(err)
	next := "continue with `unibusd migration abort`"
	if why.Next != "" {
		next = why.Next + "; then " + next
	}
	return core.Errorf(why.Kind, "the abort is not complete: %s", why.Text).WithNext("%s", next)
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
		record = "the authority record names it, as before the migration"
	}
	return j.saveStatus(func(s *Status) {
		s.State, s.Running, s.Error, s.Problems, s.Notes, s.Aborting = StateAborted, false, nil, nil, nil, ""
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

// blockCutover prevents a cutover from starting; false if it has started.
func (j *Job) blockCutover() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fence != nil && j.fence.committed {
		return false
	}
	j.abortRequested = true
	return true
}

// undoMigration undoes what the migration did, the fence first. It removes the
// rows while SQLite is still the recorded authority: with a record of none, a node
// with --store kv would serve the remaining rows.
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
			e.File = "" // the configured file counts again
		}
	})
}

// removeRows removes every row of the five buckets. Missing buckets are not
// created.
func (j *Job) removeRows(ctx context.Context) error {
	if unmade, err := j.bucketsMissing(ctx); err != nil || unmade {
		return err
	}
	if err := j.retry(ctx, j.closeGuards); err != nil { // refuses a copy that another process resumed
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

// bucketsMissing is true if every bucket is proven to be missing. Counts and
// checkpoints prove nothing: they belong to the last run, and an earlier run may
// have written rows. A bucket that cannot be read may hold everything.
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

// emptySource is a source without rows.
type emptySource struct{}

// Rows is empty.
func (emptySource) Rows(context.Context, core.Table) iter.Seq2[core.Row, error] {
	return func(func(core.Row, error) bool) {}
}
