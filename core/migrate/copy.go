package migrate

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
)

// runCopy makes the target equal to the backup, table by table in key order,
// starting at the last checkpoint.
func (j *Job) runCopy(ctx context.Context) (State, error) {
	st := j.Status()
	err := j.retry(ctx, func(ctx context.Context) error {
		if err := j.cfg.Target.Prepare(ctx, st.Options.Replicas); err != nil {
			return err
		}
		return j.closeGuards(ctx)
	})
	if err != nil {
		return StateCopy, err
	}
	c, err := j.openBackup(ctx, st.Backup.Path)
	if err != nil {
		return StateCopy, err
	}
	err = j.copyTables(ctx, c)
	if err = errors.Join(err, c.Close()); err != nil {
		return StateCopy, unwrapSingle(err)
	}
	return StateVerify, nil
}

// tableCopier is what the copies of all tables share. They run at the same time,
// because each mostly waits for the disks of its own Raft group.
type tableCopier struct {
	job               *Job
	from              rowSource
	checkpointChanged chan struct{} // a checkpoint has to be saved
	copyEnded         chan struct{} // closed when the copy has ended

	mu      sync.Mutex
	meter   *rateMeter
	limiter rateLimiter
}

func (j *Job) copyTables(ctx context.Context, from rowSource) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &tableCopier{job: j, from: from, checkpointChanged: make(chan struct{}, 1), copyEnded: make(chan struct{}), meter: newMeter(time.Now, j.Status().Progress)}
	var tables, saver sync.WaitGroup
	var paused atomic.Bool
	saver.Go(func() { c.saveCheckpoints(cancel) })
	for i, t := range core.Tables() {
		tables.Go(func() {
			switch err := c.copyTable(ctx, i, t); {
			case errors.Is(err, errPaused):
				paused.Store(true) // the other tables end their batch and stop too
			case err != nil:
				cancel(err) // the first error is the cause
			}
		})
	}
	tables.Wait()
	close(c.copyEnded)
	saver.Wait()
	err := context.Cause(ctx)
	if err == nil && paused.Load() {
		err = errPaused
	}
	return err
}

// saveCheckpoints saves checkpoints until the copy ends, at most once an interval:
// every save syncs a disk that the batches wait for too. Rows beyond the last
// checkpoint are compared again after a crash, not written again. The last
// checkpoint is saved with the state that ends the copy.
func (c *tableCopier) saveCheckpoints(failed func(error)) {
	for {
		select {
		case <-c.copyEnded:
			return
		case <-c.checkpointChanged:
		}
		if err := c.job.saveStatus(func(*Status) {}); err != nil {
			failed(err)
		}
		select {
		case <-c.copyEnded:
			return
		case <-time.After(c.job.cfg.Limits.CheckpointInterval):
		}
	}
}

// copyTable copies one table, starting at its checkpoint.
func (c *tableCopier) copyTable(ctx context.Context, i int, t core.Table) error {
	j := c.job
	if j.copyCheckpoint().Tables[i].Done {
		return nil
	}
	err := j.retry(ctx, func(ctx context.Context) error {
		return j.syncTable(ctx, c.from, t, j.copyCheckpoint().Tables[i].Key, func(p batchResult) error { return c.batchWritten(ctx, i, t, p) })
	})
	if err != nil {
		return err
	}
	c.advanceCheckpoint(i, tableCheckpoint{Done: true}, 0)
	j.updateStatus(func(s *Status) { completeProgress(s.Progress, t) })
	return nil
}

// batchWritten is called after every batch that is in the target.
func (c *tableCopier) batchWritten(ctx context.Context, i int, t core.Table, p batchResult) error {
	j, limit := c.job, c.job.rowLimit()
	c.mu.Lock()
	rate, left := c.meter.add(p.rows, limit)
	pause := c.limiter.pauseAfter(time.Now(), p.put+p.removed, limit)
	c.mu.Unlock()
	j.updateStatus(func(s *Status) {
		addProgress(s.Progress, t, p.rows)
		s.Written += p.put + p.removed
		s.Rate, s.LeftMS = rate, left
	})
	c.advanceCheckpoint(i, tableCheckpoint{Key: p.key}, p.removed)
	if err := sleep(ctx, pause); err != nil {
		return err
	}
	return j.checkInterrupted(ctx)
}

// advanceCheckpoint advances a table's checkpoint. It is saved while the next
// batch is written.
func (c *tableCopier) advanceCheckpoint(i int, to tableCheckpoint, removed int) {
	j := c.job
	j.mu.Lock()
	next := checkpoint{}
	if j.checkpoint != nil {
		next = *j.checkpoint
	}
	next.Tables[i] = to
	next.Removed += removed
	j.checkpoint = &next
	j.mu.Unlock()
	select {
	case c.checkpointChanged <- struct{}{}:
	default:
	}
}

func (j *Job) copyCheckpoint() checkpoint {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.checkpoint == nil {
		return checkpoint{}
	}
	return *j.checkpoint
}

// batchResult is what one batch did.
type batchResult struct {
	key     string // the last key that was compared
	rows    int    // rows of the source that are in the target now, including equal ones
	put     int
	removed int
}

// syncTable makes one table of the target equal to from, for keys beyond after. It
// puts missing and different rows, removes keys that from lacks, and leaves equal
// ones alone. report is called after every batch, when everything up to its key is
// in the target; an error from it ends the work.
func (j *Job) syncTable(ctx context.Context, from rowSource, t core.Table, after string, report func(batchResult) error) error {
	b := rowBatch{table: t}
	flush := func() error {
		p, err := j.writeBatch(ctx, &b)
		if err != nil {
			return err
		}
		return report(p)
	}
	rows := prefetch(from.Rows(ctx, t), j.cfg.Limits.BatchRows, j.cfg.Limits.BatchBytes)
	want, have := rowsAfter(rows, after), rowsAfter(j.cfg.Target.Rows(ctx, t), after)
	err := merge(want, have, func(p pair) error {
		b.add(p)
		if j.batchIsFull(b) {
			return flush()
		}
		return nil
	})
	if err != nil || b.seen == 0 {
		return err
	}
	return flush()
}

// batchIsFull reports whether a batch must be written now. Under a rate limit
// batches are smaller, so that a pause, an abort or another limit takes effect
// soon.
func (j *Job) batchIsFull(b rowBatch) bool {
	rows := j.cfg.Limits.BatchRows
	if rate := j.rowLimit(); rate > 0 {
		rows = min(rows, max(1, rate/pausesPerSecond))
	}
	return b.seen >= rows || b.bytes >= j.cfg.Limits.BatchBytes
}

// rowLimit is the present limit in rows a second; 0: none. There is no limit
// behind a fence, which must be short.
func (j *Job) rowLimit() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.status.State != StateCopy {
		return 0
	}
	return j.status.Options.Rate
}

// writeBatch writes a batch and empties it. Both writes can be repeated: putting
// the same value and removing an absent key change nothing.
func (j *Job) writeBatch(ctx context.Context, b *rowBatch) (batchResult, error) {
	done := batchResult{key: b.last, rows: b.rows, put: len(b.puts), removed: len(b.removals)}
	if len(b.puts) > 0 {
		err := j.retry(ctx, func(ctx context.Context) error {
			_, err := j.cfg.Target.PutRows(ctx, b.puts)
			return err
		})
		if err != nil {
			return batchResult{}, err
		}
	}
	if len(b.removals) > 0 {
		err := j.retry(ctx, func(ctx context.Context) error {
			_, err := j.cfg.Target.DeleteKeys(ctx, b.table, b.removals)
			return err
		})
		if err != nil {
			return batchResult{}, err
		}
	}
	*b = rowBatch{table: b.table}
	return done, nil
}

// rowBatch collects the writes for a run of keys.
type rowBatch struct {
	table    core.Table
	puts     []core.Row
	removals []string
	bytes    int    // keys and values of puts
	seen     int    // keys compared
	rows     int    // of them in the source
	last     string // the last of them
}

func (b *rowBatch) add(p pair) {
	b.seen++
	b.last = p.key
	if p.want != nil {
		b.rows++
	}
	switch {
	case p.extra():
		b.removals = append(b.removals, p.key)
	case !p.equal():
		b.puts = append(b.puts, *p.want)
		b.bytes += len(p.key) + len(p.want.Value)
	}
}

// rowsAfter leaves out the keys up to and including after; "" leaves out none.
func rowsAfter(rows iter.Seq2[core.Row, error], after string) iter.Seq2[core.Row, error] {
	if after == "" {
		return rows
	}
	return func(yield func(core.Row, error) bool) {
		for r, err := range rows {
			if err == nil && r.Key <= after {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func addProgress(ps []Progress, t core.Table, rows int) {
	for i := range ps {
		if ps[i].Table == t {
			ps[i].Done = min(ps[i].Done+rows, ps[i].Total)
		}
	}
}

func completeProgress(ps []Progress, t core.Table) {
	for i := range ps {
		if ps[i].Table == t {
			ps[i].Done = ps[i].Total
		}
	}
}

// unwrapSingle returns the only error of a join, so that its kind and text stay as
// they are.
func unwrapSingle(err error) error {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok || len(j.Unwrap()) != 1 {
		return err
	}
	return j.Unwrap()[0]
}
