package migrate

import (
	"context"
	"errors"
	"time"

	"unibus/core"
)

// errPaused ends a step that can continue later.
var errPaused = errors.New("paused")

// runState does the work of one state and returns the next. The same state means
// that it waits for the operator. With an error it is the state in which the
// migration stops.
func (j *Job) runState(ctx context.Context, s State) (State, error) {
	if s.needsFile() && j.source() == nil {
		return s, j.errNoFile()
	}
	switch s {
	case StatePreflight:
		return j.runPreflight(ctx)
	case StateBackup:
		return j.runBackup(ctx)
	case StateCopy:
		return j.runCopy(ctx)
	case StateVerify:
		return j.runVerify(ctx)
	case StateFence:
		return j.runFence(ctx)
	case StateCutover:
		return j.runCutover(ctx)
	case StateRollback:
		return j.runRollback(ctx)
	}
	return s, nil // soak, done, aborted, none: nothing to do
}

// needsFile is true if the state reads or fences the source.
func (s State) needsFile() bool {
	return s == StatePreflight || s == StateBackup || s == StateFence
}

// run executes states until one waits for the operator, fails or is stopped.
func (j *Job) run(ctx context.Context) {
	for {
		cur := j.Status().State
		next, err := cur, error(nil)
		if cur != StateCutover && cur != StateRollback { // an intent must be settled first
			err = j.checkInterrupted(ctx)
		}
		if err == nil {
			next, err = j.runState(ctx, cur)
		}
		if !j.applyStep(ctx, cur, next, err) {
			return
		}
	}
}

// applyStep saves the result of a step; true if there is a next one.
func (j *Job) applyStep(ctx context.Context, cur, next State, err error) bool {
	switch {
	case errors.Is(err, errPaused):
		return j.pauseAt(next)
	case err != nil && ctx.Err() != nil:
		j.endRun(func(s *Status) { s.State = next; j.markInterrupted(s) })
		return false
	case err != nil:
		err = j.explainJetStreamOff(ctx, cur, err)
		j.cfg.Log.Warn("the migration stopped", "state", cur, "error", err)
		j.endRun(func(s *Status) { s.State, s.Paused, s.Error = next, false, core.AsError(err) })
		return false
	case next == cur:
		j.endRun(func(s *Status) { s.Paused = false })
		return false
	}
	if err := j.saveStatus(func(s *Status) { s.State = next }); err != nil {
		j.endRun(func(s *Status) { s.Error = core.AsError(err) })
		return false
	}
	return true
}

// endRun records that nothing is running any more. If the journal cannot be
// written, the status in memory still says so.
func (j *Job) endRun(change func(*Status)) {
	stopped := func(s *Status) {
		change(s)
		s.Running, s.Rate, s.LeftMS = false, 0, 0
	}
	if err := j.saveStatus(stopped); err != nil {
		j.cfg.Log.Error("the journal of the migration cannot be written", "error", err)
		j.updateStatus(stopped)
	}
}

// pauseAt ends the runner for a pause; true if the operator has resumed meanwhile
// and the runner continues.
func (j *Job) pauseAt(in State) bool {
	j.mu.Lock()
	wanted := j.pauseRequested
	j.mu.Unlock()
	if in == StateFence {
		in = StateVerify // nothing is fenced yet
	}
	if wanted {
		j.endRun(func(s *Status) { s.State, s.Paused = in, true })
		return false
	}
	return j.saveStatus(func(s *Status) { s.State = in }) == nil
}

// checkInterrupted is called between two pieces of work. Its error ends the step
// if the operator paused or the node stops.
func (j *Job) checkInterrupted(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pauseRequested {
		return errPaused
	}
	return nil
}

// retriesExhaustedError is an error whose retry budget is spent. An outer retry
// must not start a new budget for it.
type retriesExhaustedError struct{ error }

func (s retriesExhaustedError) Unwrap() error { return s.error }

// retry repeats f while it is unavailable, until the retry budget since its last
// success is spent. An election takes seconds and must not stop a migration.
func (j *Job) retry(ctx context.Context, f func(context.Context) error) error {
	var end time.Time
	for {
		begun := time.Now()
		err := f(ctx)
		if end.IsZero() || time.Since(begun) > j.cfg.Limits.RetryBudget {
			end = time.Now().Add(j.cfg.Limits.RetryBudget)
		}
		if core.KindOf(err) != core.KindUnavailable || errors.As(err, &retriesExhaustedError{}) {
			return err
		}
		if time.Now().After(end) {
			return retriesExhaustedError{err}
		}
		if sleep(ctx, j.cfg.Limits.PollInterval) != nil {
			return err
		}
		if perr := j.checkInterrupted(ctx); perr != nil {
			return perr
		}
	}
}

// sleep returns after d, or with the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
