package migrate

import (
	"context"
	"fmt"

	"unibus/core"
)

// Pause stops the work after the present batch; Resume goes on from there.
// KindRefused in fence and cutover, which last seconds, and where nothing runs.
func (j *Job) Pause(_ context.Context, by string) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	st := j.Status()
	if st.Paused {
		return st, nil
	}
	if why := st.WhyNot(ActionPause); why != "" {
		return st, refused(st, "pause", why)
	}
	j.mu.Lock()
	j.paused = true
	j.mu.Unlock()
	j.note(func(s *Status) {
		s.Paused = true
		s.Result = "Paused by " + by + "; SQLite on " + s.Node + " serves as before."
	})
	return j.Status(), nil
}

// Resume goes on where the move was paused, stopped by an error or left by a
// crash. KindRefused where there is nothing to go on with.
func (j *Job) Resume(ctx context.Context, _ string) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	if err := j.inherit(ctx); err != nil {
		return j.Status(), err
	}
	st := j.Status()
	switch {
	case st.Running && st.Paused:
		return j.unpause()
	case st.Running:
		return st, nil
	case st.State == StateFence:
		return j.liftAgain(ctx)
	}
	if why := st.WhyNot(ActionResume); why != "" {
		return st, refused(st, "resume", why)
	}
	return j.goOn(false)
}

// liftAgain opens the file where a cutover that failed could not.
func (j *Job) liftAgain(ctx context.Context) (Status, error) {
	err := j.lift(ctx)
	if err == nil {
		err = j.save(func(s *Status) { s.State, s.Error = StateVerify, nil })
	}
	return j.Status(), err
}

// goOn starts the runner where it stopped; cutover adds the wish to cut over, and never takes it away.
func (j *Job) goOn(cutover bool) (Status, error) {
	err := j.launch(func(s *Status) { s.Paused, s.Options.Cutover = false, s.Options.Cutover || cutover })
	return j.Status(), err
}

// unpause takes back a pause that the runner has not met yet, or starts it again where it has.
func (j *Job) unpause() (Status, error) {
	j.mu.Lock()
	j.paused, j.st.Paused = false, false
	done := j.done
	j.mu.Unlock()
	select {
	case <-done:
		return j.goOn(false)
	default:
	}
	j.note(func(s *Status) { s.Result = "" })
	return j.Status(), nil
}

// Cutover moves the control plane to KV. KindRefused before every bucket was verified.
func (j *Job) Cutover(_ context.Context, by string) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	st := j.Status()
	if st.Running && (st.State == StateFence || st.State == StateCutover) {
		return st, nil
	}
	if why := st.WhyNot(ActionCutover); why != "" {
		return st, refused(st, "cut over", why)
	}
	err := j.launch(func(s *Status) { s.State, s.Paused, s.Options.Cutover, s.By = StateFence, false, true, by })
	return j.Status(), err
}

// Finish ends a move that has cut over. The SQLite file stays, fenced, and is served by no node.
func (j *Job) Finish(ctx context.Context, by string) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	if err := j.inherit(ctx); err != nil {
		return j.Status(), err
	}
	st := j.Status()
	if st.State == StateDone {
		return st, nil
	}
	if why := st.WhyNot(ActionFinish); why != "" {
		return st, refused(st, "finish", why)
	}
	j.wind()
	err := j.save(func(s *Status) {
		s.State, s.Running = StateDone, false
		s.Result = fmt.Sprintf("Finished by %s. KV is the control plane; %s is kept, fenced: no node serves it, and nothing writes to it.", by, s.Source.Path)
	})
	return j.Status(), err
}

// Limit sets how many rows a second the copy writes at the most; 0 lets it go as
// fast as it can. It holds at once. KindInvalid below 0; KindRefused where no copy is ahead.
func (j *Job) Limit(_ context.Context, _ string, rate int) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	st := j.Status()
	if rate < 0 {
		return st, core.Errorf(core.KindInvalid, "a rate of %d rows a second is not possible", rate).
			WithNext("give a number of rows a second, or 0 for no limit")
	}
	if why := st.WhyNot(ActionLimit); why != "" {
		return st, refused(st, "limit the rate", why)
	}
	err := j.save(func(s *Status) { s.Options.Rate = rate })
	return j.Status(), err
}

// Rollback brings the control plane back to SQLite: everything that KV holds, in
// a new file. KindRefused but in soak, and where a rollback that stopped goes on.
func (j *Job) Rollback(ctx context.Context, by string) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	if err := j.inherit(ctx); err != nil {
		return j.Status(), err
	}
	st := j.Status()
	if st.State == StateRollback && st.Running {
		return st, nil
	}
	if why := st.WhyNot(ActionRollback); why != "" {
		return st, refused(st, "roll back", why)
	}
	j.wind()
	err := j.launch(func(s *Status) { s.State, s.Paused, s.By = StateRollback, false, by })
	return j.Status(), err
}

// wind stops a runner that only waits for the nodes to follow.
func (j *Job) wind() {
	if j.Status().Running {
		j.stop()
	}
}

func refused(st Status, what, why string) error {
	return core.Errorf(core.KindRefused, "the move cannot %s in %s: %s", what, st.State, why).
		WithNext("see `unibusd migration status`")
}
