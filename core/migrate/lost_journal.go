package migrate

import (
	"context"

	"unibus/core"
)

// recoverFromRecord takes up this node's own move from the cluster's record where its
// journal knows of none: its data directory was lost, and it was started again
// with an empty one. Nobody else may reopen the buckets that a rollback of it
// has shut. It is then as after a crash: an unsettled rollback has an intent,
// and whichever command comes first settles that. A move that had not cut over
// begins anew, or is aborted: its checkpoint was in that directory, and perhaps its file.
func (j *Job) recoverFromRecord(ctx context.Context) error {
	if j.Status().State != StateNone {
		return nil
	}
	st, err := readRecord(ctx, j.cfg.Record)
	if err != nil || st.Node != j.cfg.Node || !st.inKV() && !st.Active() {
		return err
	}
	a, _, err := j.readAuthority(ctx)
	switch {
	case err != nil:
		return err
	case st.Active() && a.Backend != core.BackendKV:
		return j.restartFromPreflight(st)
	case st.Active() || a.Backend != core.BackendKV || a.Node != j.cfg.Node:
		return nil
	}
	note := func(e *Entry) { e.Authority = &a }
	if st.State == StateRollback {
		in := Intent{
			From: a, At: core.MillisOf(j.cfg.Now()), File: st.Export.Path,
			To: core.Authority{Backend: core.BackendSQLite, Node: j.cfg.Node, Generation: a.Generation + 1},
		}
		note = func(e *Entry) { e.Authority, e.Intent = &a, &in }
		j.cfg.Host.Withdraw(errMigrating(in))
	}
	j.cfg.Log.Info("the move is taken up from the cluster's record: this node's journal knows of none", "state", st.State)
	return j.saveStatus(func(s *Status) { *s = st; s.Running = false }, note)
}

// restartFromPreflight takes up a move of which nothing but the record is left.
func (j *Job) restartFromPreflight(st Status) error {
	was := st.State
	j.cfg.Log.Warn("a move of this node is in the cluster's record, and its journal knows of none", "state", was)
	return j.saveStatus(func(s *Status) {
		*s = st
		s.State, s.Running, s.Paused, s.Verified, s.ComparedAt, s.Aborting = StatePreflight, false, false, false, 0, ""
		s.Progress, s.Buckets, s.Backup, s.Rate, s.LeftMS = nil, nil, Backup{}, 0, 0
		s.Error = core.Errorf(core.KindUnavailable, "%s was in %s when it lost its data directory; what was copied is in KV, and serves nobody", j.cfg.Node, was).
			WithNext("see that %s has its SQLite file again; then `unibusd migration resume` begins anew, and `unibusd migration abort` removes what was copied", j.cfg.Node)
	}, func(e *Entry) { e.Checkpoint, e.Marks = nil, nil })
}

// recoverOwnRecord has this node's own move taken up that only the record knows of,
// so that whoever looks is not told for ever that it goes on.
func (j *Job) recoverOwnRecord(ctx context.Context) (Status, error) {
	if !j.commandLock.TryLock() { // the command that is under way looks itself
		return j.Status(), nil
	}
	defer j.commandLock.Unlock()
	err := j.recoverFromRecord(ctx)
	return j.Status(), err
}
