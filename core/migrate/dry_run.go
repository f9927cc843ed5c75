package migrate

import (
	"context"
	"fmt"
	"iter"

	"unibus/core"
)

// nothing is a source without rows.
type nothing struct{}

// Rows is empty.
func (nothing) Rows(context.Context, core.Table) iter.Seq2[core.Row, error] {
	return func(func(core.Row, error) bool) {}
}

// startDry runs preflight and the conversion in memory. No record, no journal
// and no file is written; at the end the state is what it was before, with the
// findings beside it until the next start.
func (j *Job) startDry(prev, fresh Status) (Status, error) {
	j.mu.Lock()
	if !j.open {
		j.mu.Unlock()
		return prev, core.Errorf(core.KindUnavailable, "%s is stopping", j.cfg.Node)
	}
	fresh.Running = true
	fresh.Buckets, fresh.Progress = startOf(make([]core.Digest, len(core.Tables())))
	j.st, j.before, j.paused = fresh, &prev, false
	j.mu.Unlock()
	return fresh, j.spawn(func(ctx context.Context) { j.dryRun(ctx, prev) })
}

func (j *Job) dryRun(ctx context.Context, prev Status) {
	err := j.check(ctx)
	if err == nil {
		err = j.convert(ctx)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	found := j.st
	j.st, j.before = prev, nil
	waits := ""
	switch prev.State { // a move under way keeps what it compared, and the options it goes on with
	case StateNone, StateAborted, StateRolledBack:
		j.st.Options, j.st.Source, j.st.By = found.Options, found.Source, found.By
		j.st.Buckets, j.st.Progress = found.Buckets, found.Progress
	case StatePreflight:
		j.st.Source, j.st.Buckets, j.st.Progress = found.Source, found.Buckets, found.Progress
		waits = " The move that stopped in preflight has copied nothing: start it again, or abort it."
	}
	j.st.Drift, j.st.Estimate = found.Drift, found.Estimate
	j.st.Problems, j.st.Written, j.st.AtLeast = found.Problems, 0, false // the last run was this one
	j.st.Updated = max(j.st.Updated, core.MillisOf(j.cfg.Now()))
	j.st.Error, j.st.Result = core.AsError(err), ""
	if err == nil {
		j.st.Result = fmt.Sprintf("Dry run: %s of %s can be moved; nothing was written.", count(totalOf(found.Buckets), "key"), found.Source.Path) + waits
	}
}

// convert reads every row of the source as it would be written, and sums it up.
func (j *Job) convert(ctx context.Context) error {
	for i, t := range core.Tables() {
		d, err := digestOf(j.source().Rows(ctx, t))
		if err != nil {
			return err
		}
		j.mu.Lock()
		j.st.Buckets[i].Source = d
		j.st.Progress[i].Done, j.st.Progress[i].Total = d.Count, d.Count
		j.mu.Unlock()
	}
	return nil
}
