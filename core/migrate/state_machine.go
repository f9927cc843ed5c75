package migrate

import (
	"context"
	"errors"
	"time"

	"unibus/core"
)

// errPaused ends a step at a place from which it can go on.
var errPaused = errors.New("paused")

// step does the work of one state and says which state comes next. The same
// state means that the operator is awaited. With an error it is the state to stop in.
func (j *Job) step(ctx context.Context, s State) (State, error) {
	if s.needsFile() && j.source() == nil {
		return s, j.errNoFile()
	}
	switch s {
	case StatePreflight:
		return j.preflight(ctx)
	case StateBackup:
		return j.backup(ctx)
	case StateCopy:
		return j.copy(ctx)
	case StateVerify:
		return j.verify(ctx)
	case StateFence:
		return j.fenceAndFollow(ctx)
	case StateCutover:
		return j.cutover(ctx)
	case StateRollback:
		return j.rollback(ctx)
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
			err = j.breathe(ctx)
		}
		if err == nil {
			next, err = j.step(ctx, cur)
		}
		if !j.proceed(ctx, cur, next, err) {
			return
		}
	}
}

// proceed saves where a step led to; true where there is another to take.
func (j *Job) proceed(ctx context.Context, cur, next State, err error) bool {
	switch {
	case errors.Is(err, errPaused):
		return j.rest(next)
	case err != nil && ctx.Err() != nil:
		j.end(func(s *Status) { s.State = next; j.interrupted(s) })
		return false
	case err != nil:
		err = j.explain(ctx, cur, err)
		j.cfg.Log.Warn("the move stopped", "state", cur, "error", err)
		j.end(func(s *Status) { s.State, s.Paused, s.Error = next, false, core.AsError(err) })
		return false
	case next == cur:
		j.end(func(s *Status) { s.Paused = false })
		return false
	}
	if err := j.save(func(s *Status) { s.State = next }); err != nil {
		j.end(func(s *Status) { s.Error = core.AsError(err) })
		return false
	}
	return true
}

// end marks that nothing runs any more. A journal that cannot be written must
// not keep the status from saying so.
func (j *Job) end(change func(*Status)) {
	stopped := func(s *Status) {
		change(s)
		s.Running, s.Rate, s.LeftMS = false, 0, 0
	}
	if err := j.save(stopped); err != nil {
		j.cfg.Log.Error("the journal of the move cannot be written", "error", err)
		j.note(stopped)
	}
}

// rest ends the runner for a pause, unless the operator resumed meanwhile.
func (j *Job) rest(in State) bool {
	j.mu.Lock()
	wanted := j.paused
	j.mu.Unlock()
	if in == StateFence {
		in = StateVerify // nothing is fenced yet, and nothing waits behind a fence
	}
	if wanted {
		j.end(func(s *Status) { s.State, s.Paused = in, true })
		return false
	}
	return j.save(func(s *Status) { s.State = in }) == nil
}

// breathe is called between two pieces of work: it ends the step where the
// operator paused or the node stops.
func (j *Job) breathe(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.paused {
		return errPaused
	}
	return nil
}

// spent is an error that was waited for already: whoever asks for more than the
// part that gave it does not begin to wait anew.
type spent struct{ error }

func (s spent) Unwrap() error { return s.error }

// retry asks a part again while it is unavailable, for the limit's patience
// since it last worked: an election takes seconds and is no reason to stop a move.
func (j *Job) retry(ctx context.Context, f func(context.Context) error) error {
	var end time.Time
	for {
		begun := time.Now()
		err := f(ctx)
		if end.IsZero() || time.Since(begun) > j.cfg.Limits.Patience {
			end = time.Now().Add(j.cfg.Limits.Patience)
		}
		if core.KindOf(err) != core.KindUnavailable || errors.As(err, &spent{}) {
			return err
		}
		if time.Now().After(end) {
			return spent{err}
		}
		if wait(ctx, j.cfg.Limits.Poll) != nil {
			return err
		}
		if perr := j.breathe(ctx); perr != nil {
			return perr
		}
	}
}

// wait returns after d, or with ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
