package migrate

import (
	"context"
	"fmt"

	"unibus/core"
)

// Pause stops the work after the present batch; Resume goes on from there.
// KindRefused in fence and cutover, which last seconds, and where nothing runs.
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

// Resume goes on where the move was paused, stopped by an error or left by a
// crash. KindRefused where there is nothing to go on with.
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

// retryLiftFence opens the file where a cutover that failed could not.
func (j *Job) retryLiftFence(ctx context.Context) (Status, error) {
	err := j.liftFence(ctx)
	if err == nil {
		err = j.saveStatus(func(s *Status) { s.State, s.Error = StateVerify, nil })
	}
	return j.Status(), err
}

// resumeRun starts the runner where it stopped; cutover adds the wish to cut over, and never takes it away.
func (j *Job) resumeRun(cutover bool) (Status, error) {
	err := j.startRun(func(s *Status) { s.Paused, s.Options.Cutover = false, s.Options.Cutover || cutover })
	return j.Status(), err
}

// withdrawPause takes back a pause that the runner has not met yet, or starts it again where it has.
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

// Cutover moves the control plane to KV. KindRefused before every bucket was verified.
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

// Finish ends a move that has cut over. The SQLite file stays, fenced, and is served by no node.
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
		s.Result = fmt.Sprintf("Finished by %s. KV is the control plane; %s is kept, fenced: no node serves it, and nothing writes to it.", by, s.Source.Path)
	})
	return j.Status(), err
}

// Limit sets how many rows a second the copy writes at the most; 0 lets it go as
// fast as it can. It holds at once. KindInvalid below 0; KindRefused where no copy is ahead.
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

// Rollback brings the control plane back to SQLite: everything that KV holds, in
// a new file. KindRefused but in soak, and where a rollback that stopped goes on.
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

// stopWaitingRun stops a runner that only waits for the nodes to follow.
func (j *Job) stopWaitingRun() {
	if j.Status().Running {
		j.stopRun()
	}
}

func errUnavailable(st Status, what, why string) error {
	return core.Errorf(core.KindRefused, "the move cannot %s in %s: %s", what, st.State, why).
		WithNext("see `unibusd migration status`")
}
