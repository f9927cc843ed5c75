package migrate

import (
	"context"

	"unibus/core"
)

// inherit takes up this node's own move from the cluster's record where its
// journal knows of none: its data directory was lost, and it was started again
// with an empty one. Nobody else may reopen the buckets that a rollback of it
// has shut. It is then as after a crash: an unsettled rollback has an intent,
// and whichever command comes first settles that.
func (j *Job) inherit(ctx context.Context) error {
	if j.Status().State != StateNone {
		return nil
	}
	st, err := readRecord(ctx, j.cfg.Record)
	if err != nil || st.Node != j.cfg.Node || !st.inKV() {
		return err
	}
	a, _, err := j.authority(ctx)
	if err != nil || a.Backend != core.BackendKV || a.Node != j.cfg.Node {
		return err
	}
	note := func(e *Entry) { e.Authority = &a }
	if st.State == StateRollback {
		in := Intent{
			From: a, At: core.MillisOf(j.cfg.Now()), File: st.Export.Path,
			To: core.Authority{Backend: core.BackendSQLite, Node: j.cfg.Node, Generation: a.Generation + 1},
		}
		note = func(e *Entry) { e.Authority, e.Intent = &a, &in }
		j.cfg.Host.Withdraw(withheld(in))
	}
	j.cfg.Log.Info("the move is taken up from the cluster's record: this node's journal knows of none", "state", st.State)
	return j.save(func(s *Status) { *s = st; s.Running = false }, note)
}
