package migrate

import (
	"context"
	"fmt"

	"unibus/core"
)

// Pause stops the work after the present batch; Resume continues from there.
// KindRefused in fence and cutover, which last seconds, and while nothing is
// running.
func (j *Job) Pause(_ context.Context, by string) (Status, error) {
	j.commandLock.Lock()
	defer j.commandLock.Unlock()
	st := j.Status()
	if st.Paused {
		return st, nil
	}
	if why := st.Unavailable(ActionPause); why != "" {
		return st, errUnavailable(st, "pause", why)
	}
	j.mu.Lock()
	j.pauseRequested = true
	j.mu.Unlock()
	j.updateStatus(func(s *Status) {
		s.Paused = true
		s.Result = "Paused by " + by + "; SQLite on " + s.Node + " serves as before."
	})
	return j.Status(), nil
}

// Resume continues a migration that was paused, stopped by an error, or
// interrupted by a crash. KindRefused if there is nothing to continue.
func (j *Job) Resume(ctx context.Context, _ string) (Status, error) {
	j.commandLock.Lock()
	defer j.commandLock.Unlock()
	if err := j.recoverFromRecord(ctx); err != nil {
		return j.Status(), err
	}
	st := j.Status()
	switch {
	case st.Running && st.Paused:
		return j.withdrawPause()
	case st.Running:
		return st, nil
	case st.State == StateFence:
		return j.retryLiftFence(ctx)
	}
	if why := st.Unavailable(ActionResume); why != "" {
		return st, errUnavailable(st, "resume", why)
	}
	return j.resumeRun(false)
}

// retryLiftFence lifts the fence that a failed cutover could not lift.
func (j *Job) retryLiftFence(ctx context.Context) (Status, error) {
	err := j.liftFence(ctx)
	if err == nil {
		err = j.saveStatus(func(s *Status) { s.State, s.Error = StateVerify, nil })
	}
	return j.Status(), err
}

// resumeRun starts the runner in the state where it stopped. cutover can add the
// request to cut over, never remove it.
func (j *Job) resumeRun(cutover bool) (Status, error) {
	err := j.startRun(func(s *Status) { s.Paused, s.Options.Cutover = false, s.Options.Cutover || cutover })
	return j.Status(), err
}

// withdrawPause cancels a pause that the runner has not noticed yet, or starts the
// runner again.
func (j *Job) withdrawPause() (Status, error) {
	j.mu.Lock()
	j.pauseRequested, j.status.Paused = false, false
	done := j.done
	j.mu.Unlock()
	select {
	case <-done:
		return j.resumeRun(false)
	default:
	}
	j.updateStatus(func(s *Status) { s.Result = "" })
	return j.Status(), nil
}

// Cutover makes KV the control plane. KindRefused until every bucket is verified.
func (j *Job) Cutover(_ context.Context, by string) (Status, error) {
	j.commandLock.Lock()
	defer j.commandLock.Unlock()
	st := j.Status()
	if st.Running && (st.State == StateFence || st.State == StateCutover) {
		return st, nil
	}
	if why := st.Unavailable(ActionCutover); why != "" {
		return st, errUnavailable(st, "cut over", why)
	}
	err := j.startRun(func(s *Status) { s.State, s.Paused, s.Options.Cutover, s.By = StateFence, false, true, by })
	return j.Status(), err
}

// Finish ends a migration after its cutover. The SQLite file is kept, fenced; no
// node serves it.
func (j *Job) Finish(ctx context.Context, by string) (Status, error) {
	j.commandLock.Lock()
	defer j.commandLock.Unlock()
	if err := j.recoverFromRecord(ctx); err != nil {
		return j.Status(), err
	}
	st := j.Status()
	if st.State == StateDone {
		return st, nil
	}
	if why := st.Unavailable(ActionFinish); why != "" {
		return st, errUnavailable(st, "finish", why)
	}
	j.stopWaitingRun()
	err := j.saveStatus(func(s *Status) {
		s.State, s.Running = StateDone, false
		s.Result = fmt.Sprintf("Finished by %s. KV is the control plane. %s is kept and fenced: no node serves it or writes to it.", by, s.Source.Path)
	})
	return j.Status(), err
}

// Limit sets how many rows a second the copy writes; 0 removes the limit. It takes
// effect at once. KindInvalid below 0; KindRefused once the copy is done.
func (j *Job) Limit(_ context.Context, _ string, rate int) (Status, error) {
	j.commandLock.Lock()
	defer j.commandLock.Unlock()
	st := j.Status()
	if rate < 0 {
		return st, core.Errorf(core.KindInvalid, "a rate of %d rows a second is not possible", rate).
			WithNext("give a number of rows a second, or 0 for no limit")
	}
	if why := st.Unavailable(ActionLimit); why != "" {
		return st, errUnavailable(st, "limit the rate", why)
	}
	err := j.saveStatus(func(s *Status) { s.Options.Rate = rate })
	return j.Status(), err
}

// Rollback writes everything that KV holds to a new SQLite file and makes that the
// control plane. KindRefused except in soak, and to continue a rollback that
// stopped.
func (j *Job) Rollback(ctx context.Context, by string) (Status, error) {
	j.commandLock.Lock()
	defer j.commandLock.Unlock()
	if err := j.recoverFromRecord(ctx); err != nil {
		return j.Status(), err
	}
	st := j.Status()
	if st.State == StateRollback && st.Running {
		return st, nil
	}
	if why := st.Unavailable(ActionRollback); why != "" {
		return st, errUnavailable(st, "roll back", why)
	}
	j.stopWaitingRun()
	err := j.startRun(func(s *Status) { s.State, s.Paused, s.By = StateRollback, false, by })
	return j.Status(), err
}

// stopWaitingRun stops a runner that only waits for the other nodes to follow.
func (j *Job) stopWaitingRun() {
	if j.Status().Running {
		j.stopRun()
	}
}

func errUnavailable(st Status, what, why string) error {
	return core.Errorf(core.KindRefused, "the migration cannot %s in %s: %s", what, st.State, why).
		WithNext("see `unibusd migration status`")
}
