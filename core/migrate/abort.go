package migrate

import (
	"context"
	"errors"
	"fmt"

	"unibus/core"
)

// Abort ends a move before its cutover and restores what was: the fence is
// lifted, the rows are removed from KV, the authority is none again. SQLite
// serves throughout. A backup that was asked for is kept, for nobody forgives a
// deleted one; the temporary copy of --no-backup is removed. Where a part cannot
// be undone the error says which, and Abort may be asked again.
func (j *Job) Abort(ctx context.Context, by string) (Status, error) {
	j.command.Lock()
	defer j.command.Unlock()
	if err := j.inherit(ctx); err != nil {
		return j.Status(), err
	}
	st := j.Status()
	if why := st.WhyNot(ActionAbort); why != "" {
		return st, refused(st, "abort", why)
	}
	if st.State == StateRollback {
		return j.abortRollback(by)
	}
	if !j.takeFence() {
		return st, refused(st, "abort", "the cutover has begun and ends within seconds")
	}
	j.stop()
	st = j.Status()
	if why := st.WhyNot(ActionAbort); why != "" {
		return st, refused(st, "abort", why)
	}
	removed, err := j.undo(ctx, st)
	if err != nil {
		j.note(func(s *Status) { s.Error = core.AsError(err) })
		return j.Status(), err
	}
	err = j.aborted(by, st, removed)
	return j.Status(), err
}

func (j *Job) aborted(by string, was Status, removed int) error {
	j.mu.Lock()
	j.cp, j.marks, j.paused = nil, nil, false
	j.mu.Unlock()
	e, err := j.cfg.Journal.Load()
	if err != nil {
		return err
	}
	record := "the authority record is none"
	if e.Home {
		record = "the authority record names it, as before the move"
	}
	return j.save(func(s *Status) {
		s.State, s.Running, s.Paused, s.Verified, s.Error = StateAborted, false, false, false, nil
		s.Result = fmt.Sprintf("Aborted by %s in %s. SQLite on %s serves as before; %s, and %s removed from KV.",
			by, was.State, s.Node, record, wasWere(removed))
		if s.Backup.Path != "" && !s.Options.NoBackup {
			s.Result += " The backup " + s.Backup.Path + " was kept."
		}
	})
}

func wasWere(keys int) string {
	if keys == 1 {
		return "1 key was"
	}
	return fmt.Sprintf("%d keys were", keys)
}

// takeFence keeps a cutover from beginning; false where it has begun.
func (j *Job) takeFence() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fence != nil && j.fence.committed {
		return false
	}
	j.ending = true
	return true
}

// undo takes back what the move did, the fence first, and returns how many keys
// it removed. The rows go while SQLite is still the recorded authority: with a
// record of none a node with --store kv would serve what is left of them.
func (j *Job) undo(ctx context.Context, st Status) (int, error) {
	if err := j.lift(ctx); err != nil {
		return 0, err
	}
	if err := errors.Join(dropTemporary(st), j.untrack(ctx)); err != nil {
		return 0, unjoin(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*j.cfg.Limits.Patience)
	defer cancel()
	a, _, err := j.authority(ctx)
	if err != nil {
		return 0, err
	}
	removed := 0
	if a.Backend == core.BackendSQLite && a.Node == j.cfg.Node {
		if removed, err = j.empty(ctx, st); err != nil {
			return removed, err
		}
	}
	if a, err = j.release(ctx); err != nil {
		return removed, err
	}
	return removed, j.cfg.Journal.Update(func(e *Entry) {
		e.Authority = &a
		if a.Backend == "" {
			e.Authority = nil
		}
		if a.Backend == "" || a.Backend == core.BackendNone {
			e.File = "" // --db decides again
		}
	})
}

// empty removes every row of the five buckets. Buckets that were never made are left unmade.
func (j *Job) empty(ctx context.Context, st Status) (int, error) {
	if st.Written == 0 && j.checkpoint() == (Checkpoint{}) && !j.targetThere(ctx) {
		return 0, nil
	}
	if err := j.shut(ctx); err != nil { // a copy that was resumed elsewhere is refused from here on
		return 0, err
	}
	removed := 0
	for _, t := range core.Tables() {
		err := j.pour(ctx, nothing{}, t, "", func(p poured) error {
			removed += p.removed
			return ctx.Err()
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// targetThere is whether the first bucket can be read at all: before the copy it may not exist.
func (j *Job) targetThere(ctx context.Context) bool {
	nodes, err := j.cfg.Target.Nodes(ctx, core.TableUsers)
	return err == nil && len(nodes) > 0
}
