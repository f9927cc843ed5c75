package migrate

import (
	"context"

	"unibus/core"
)

// recoverFromRecord continues this node's own migration from the cluster record
// when the journal has none: the node lost its data directory. Only this node may
// open the buckets that its rollback has closed. The result is as after a crash:
// an unsettled rollback has an intent, which the next command settles. A migration
// before its cutover starts again or is aborted: its checkpoint, and perhaps its
// file, were in the lost directory.
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
	j.cfg.Log.Info("the migration continues from the cluster record: this node's journal has none", "state", st.State)
	return j.saveStatus(func(s *Status) { *s = st; s.Running = false }, note)
}

// restartFromPreflight continues a migration of which only the record is left.
func (j *Job) restartFromPreflight(st Status) error {
	was := st.State
	j.cfg.Log.Warn("the cluster record has a migration of this node, and its journal has none", "state", was)
	return j.saveStatus(func(s *Status) {
		*s = st
		s.State, s.Running, s.Paused, s.Verified, s.ComparedAt, s.Aborting = StatePreflight, false, false, false, 0, ""
		s.Progress, s.Buckets, s.Backup, s.Rate, s.LeftMS = nil, nil, Backup{}, 0, 0
		s.Error = core.Errorf(core.KindUnavailable, "%s was in %s when it lost its data directory; the rows that it copied are in KV and are not served", j.cfg.Node, was).
			WithNext("give %s its SQLite file again; then start again with `unibusd migration resume`, or remove what was copied with `unibusd migration abort`", j.cfg.Node)
	}, func(e *Entry) { e.Checkpoint, e.Marks = nil, nil })
}

// recoverOwnRecord recovers this node's own migration that only the record knows,
// so that the record does not show it as running for ever.
func (j *Job) recoverOwnRecord(ctx context.Context) (Status, error) {
	if !j.commandLock.TryLock() { // the running command does the same
		return j.Status(), nil
	}
	defer j.commandLock.Unlock()
	err := j.recoverFromRecord(ctx)
	return j.Status(), err
}
