package migrate

import (
	"context"
	"fmt"

	"unibus/core"
)

// startDryRun runs preflight and the conversion in memory. It writes no record,
// journal or file. At the end the state is what it was before, and the findings
// stay beside it until the next start.
func (j *Job) startDryRun(prev, fresh Status) (Status, error) {
	j.mu.Lock()
	if !j.open {
		j.mu.Unlock()
		return prev, core.Errorf(core.KindUnavailable, "%s is stopping", j.cfg.Node)
	}
	fresh.Running = true
	fresh.Buckets, fresh.Progress = initialProgress(make([]core.Digest, len(core.Tables())))
	j.status, j.statusBeforeDryRun, j.pauseRequested = fresh, &prev, false
	started := *cloneStatus(fresh) // the run changes its own
	j.mu.Unlock()
	return started, j.spawn(func(ctx context.Context) { j.dryRun(ctx, prev) })
}

func (j *Job) dryRun(ctx context.Context, prev Status) {
	err := j.runChecks(ctx)
	if err == nil {
		err = j.convertRows(ctx)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	found := j.status
	j.status, j.statusBeforeDryRun = prev, nil
	waiting := ""
	switch prev.State { // a migration under way keeps its comparison and its options
	case StateNone, StateAborted, StateRolledBack:
		j.status.Options, j.status.Source, j.status.By = found.Options, found.Source, found.By
		j.status.Buckets, j.status.Progress = found.Buckets, found.Progress
	case StatePreflight:
		j.status.Source, j.status.Buckets, j.status.Progress = found.Source, found.Buckets, found.Progress
		waiting = " The migration that stopped in preflight has copied nothing: start it again, or abort it."
	}
	j.status.Divergences, j.status.EstimateMS = found.Divergences, found.EstimateMS
	j.status.Notes, j.status.Leftovers = found.Notes, found.Leftovers
	j.status.Problems, j.status.Written, j.status.WrittenIsMinimum = found.Problems, 0, false // this run has written nothing
	j.status.Updated = max(j.status.Updated, core.MillisOf(j.cfg.Now()))
	j.status.Error, j.status.Result = core.AsError(err), ""
	if err == nil {
		j.status.Result = fmt.Sprintf("Dry run: %s of %s can be migrated; nothing was written.", count(totalKeys(found.Buckets), "key"), found.Source.Path) + waiting
	}
}

// convertRows reads every row of the source in the form in which it would be
// written, and computes the digests.
func (j *Job) convertRows(ctx context.Context) error {
	for i, t := range core.Tables() {
		d, err := digestOf(j.source().Rows(ctx, t))
		if err != nil {
			return err
		}
		j.mu.Lock()
		j.status.Buckets[i].Source = d
		j.status.Progress[i].Done, j.status.Progress[i].Total = d.Count, d.Count
		j.mu.Unlock()
	}
	return nil
}
