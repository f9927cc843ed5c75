package migrate

import (
	"context"
	"errors"
	"time"

	"unibus/core"
)

// errPaused ends a step at a place from which it can go on.
var errPaused = errors.New("paused")

// runState does the work of one state and says which state comes next. The same
// state means that the operator is awaited. With an error it is the state to stop in.
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
	return s, nil // soak, done, aborted, none: nothing to work at
}

// needsFile is true where the source itself is read or fenced.
func (s State) needsFile() bool {
	return s == StatePreflight || s == StateBackup || s == StateFence
}

// run takes step after step until one awaits the operator, fails or is stopped.
func (j *Job) run(ctx context.Context) {
	for {
		cur := j.Status().State
		next, err := cur, error(nil)
		if cur != StateCutover && cur != StateRollback { // an intent is settled, whatever else is wanted
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

// applyStep saves where a step led to; true where there is another to take.
func (j *Job) applyStep(ctx context.Context, cur, next State, err error) bool {
	switch {
	case errors.Is(err, errPaused):
		return j.pauseAt(next)
	case err != nil && ctx.Err() != nil:
		j.endRun(func(s *Status) { s.State = next; j.markInterrupted(s) })
		return false
	case err != nil:
		err = j.explainJetStreamOff(ctx, cur, err)
		j.cfg.Log.Warn("the move stopped", "state", cur, "error", err)
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

// endRun marks that nothing runs any more. A journal that cannot be written must
// not keep the status from saying so.
func (j *Job) endRun(change func(*Status)) {
	stopped := func(s *Status) {
		change(s)
		s.Running, s.Rate, s.LeftMS = false, 0, 0
	}
	if err := j.saveStatus(stopped); err != nil {
		j.cfg.Log.Error("the journal of the move cannot be written", "error", err)
		j.updateStatus(stopped)
	}
}

// pauseAt ends the runner for a pause, unless the operator resumed meanwhile.
func (j *Job) pauseAt(in State) bool {
	j.mu.Lock()
	wanted := j.pauseRequested
	j.mu.Unlock()
	if in == StateFence {
		in = StateVerify // nothing is fenced yet, and nothing waits behind a fence
	}
	if wanted {
		j.endRun(func(s *Status) { s.State, s.Paused = in, true })
		return false
	}
	return j.saveStatus(func(s *Status) { s.State = in }) == nil
}

// checkInterrupted is called between two pieces of work: it ends the step where the
// operator paused or the node stops.
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

// retriesExhaustedError is an error that was waited for already: whoever asks for more than the
// part that gave it does not begin to wait anew.
type retriesExhaustedError struct{ error }

func (s retriesExhaustedError) Unwrap() error { return s.error }

// retry asks a part again while it is unavailable, for the limit's patience
// since it last worked: an election takes seconds and is no reason to stop a move.
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

// sleep returns after d, or with ctx's error.
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
