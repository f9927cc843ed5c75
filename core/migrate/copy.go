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

// copy brings the target to what the backup holds, table by table in key order,
// from the last checkpoint on.
func (j *Job) copy(ctx context.Context) (State, error) {
	st := j.Status()
	err := j.retry(ctx, func(ctx context.Context) error {
		if err := j.cfg.Target.Prepare(ctx, st.Options.Replicas); err != nil {
			return err
		}
		return j.shut(ctx)
	})
	if err != nil {
		return StateCopy, err
	}
	c, err := j.openCopy(ctx, st.Backup.Path)
	if err != nil {
		return StateCopy, err
	}
	err = j.copyTables(ctx, c)
	if err = errors.Join(err, c.Close()); err != nil {
		return StateCopy, unjoin(err)
	}
	return StateVerify, nil
}

// copying is what the copies of the tables share, which go on side by side: each
// of them waits for its own group's disks most of the time.
type copying struct {
	job   *Job
	from  RowSource
	moved chan struct{} // a checkpoint is to be saved
	over  chan struct{} // closed when nothing is copied any more

	mu    sync.Mutex
	meter *meter
	pace  pacer
}

func (j *Job) copyTables(ctx context.Context, from RowSource) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &copying{job: j, from: from, moved: make(chan struct{}, 1), over: make(chan struct{}), meter: newMeter(time.Now, j.Status().Progress)}
	var tables, saver sync.WaitGroup
	var paused atomic.Bool
	saver.Go(func() { c.save(cancel) })
	for i, t := range core.Tables() {
		tables.Go(func() {
			switch err := c.table(ctx, i, t); {
			case errors.Is(err, errPaused):
				paused.Store(true) // the others end their batch, and meet it too
			case err != nil:
				cancel(err) // the first of them counts
			}
		})
	}
	tables.Wait()
	close(c.over)
	saver.Wait()
	err := context.Cause(ctx)
	if err == nil && paused.Load() {
		err = errPaused
	}
	return err
}

// save saves checkpoints until nothing is copied any more, now and then: each
// save syncs a disk that the batches wait for too, and what a crash finds in the
// target beyond the last one is compared, not written again. The very last one
// is saved by whoever ends the state.
func (c *copying) save(failed func(error)) {
	for {
		select {
		case <-c.over:
			return
		case <-c.moved:
		}
		if err := c.job.save(func(*Status) {}); err != nil {
			failed(err)
		}
		select {
		case <-c.over:
			return
		case <-time.After(c.job.cfg.Limits.Saves):
		}
	}
}

// table copies one table, from its checkpoint on.
func (c *copying) table(ctx context.Context, i int, t core.Table) error {
	j := c.job
	if j.checkpoint().Tables[i].Done {
		return nil
	}
	err := j.retry(ctx, func(ctx context.Context) error {
		return j.pour(ctx, c.from, t, j.checkpoint().Tables[i].Key, func(p poured) error { return c.batch(ctx, i, t, p) })
	})
	if err != nil {
		return err
	}
	c.reached(i, Reached{Done: true}, 0)
	j.note(func(s *Status) { complete(s.Progress, t) })
	return nil
}

// batch is told of every batch that is in the target.
func (c *copying) batch(ctx context.Context, i int, t core.Table, p poured) error {
	j, limit := c.job, c.job.rate()
	c.mu.Lock()
	rate, left := c.meter.add(p.rows, limit)
	pause := c.pace.after(time.Now(), p.put+p.removed, limit)
	c.mu.Unlock()
	j.note(func(s *Status) {
		advance(s.Progress, t, p.rows)
		s.Written += p.put + p.removed
		s.Rate, s.LeftMS = rate, left
	})
	c.reached(i, Reached{Key: p.key}, p.removed)
	if err := wait(ctx, pause); err != nil {
		return err
	}
	return j.breathe(ctx)
}

// reached moves a table's checkpoint on, which is saved while the next batch is under way.
func (c *copying) reached(i int, to Reached, removed int) {
	j := c.job
	j.mu.Lock()
	next := Checkpoint{}
	if j.cp != nil {
		next = *j.cp
	}
	next.Tables[i] = to
	next.Removed += removed
	j.cp = &next
	j.mu.Unlock()
	select {
	case c.moved <- struct{}{}:
	default:
	}
}

func (j *Job) checkpoint() Checkpoint {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cp == nil {
		return Checkpoint{}
	}
	return *j.cp
}

// poured is what one batch did.
type poured struct {
	key     string // the last key that was compared
	rows    int    // rows of the source that are in the target now, equal ones included
	put     int
	removed int
}

// pour makes one table of the target equal to from, beyond the key after:
// missing and different rows are put, keys that from lacks are removed, equal
// ones are left alone. report is called after every batch, with everything up
// to its key in the target; its error ends the pouring.
func (j *Job) pour(ctx context.Context, from RowSource, t core.Table, after string, report func(poured) error) error {
	b := batch{table: t}
	flush := func() error {
		p, err := j.flush(ctx, &b)
		if err != nil {
			return err
		}
		return report(p)
	}
	rows := ahead(from.Rows(ctx, t), j.cfg.Limits.BatchRows, j.cfg.Limits.BatchBytes)
	want, have := beyond(rows, after), beyond(j.cfg.Target.Rows(ctx, t), after)
	err := merge(want, have, func(p pair) error {
		b.add(p)
		if j.full(b) {
			return flush()
		}
		return nil
	})
	if err != nil || b.seen == 0 {
		return err
	}
	return flush()
}

// full says that a batch has to be sent. Under a rate limit batches are smaller,
// so that a pause, an abort or another limit is met soon.
func (j *Job) full(b batch) bool {
	rows := j.cfg.Limits.BatchRows
	if rate := j.rate(); rate > 0 {
		rows = min(rows, max(1, rate/pacesPerSecond))
	}
	return b.seen >= rows || b.bytes >= j.cfg.Limits.BatchBytes
}

// rate is the limit in rows a second that holds now; 0: none. What is written
// behind a fence has no time to lose.
func (j *Job) rate() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.st.State != StateCopy {
		return 0
	}
	return j.st.Options.Rate
}

// flush writes a batch and empties it. Both writes may be repeated: a put of the
// same value and a removal of an absent key change nothing.
func (j *Job) flush(ctx context.Context, b *batch) (poured, error) {
	done := poured{key: b.last, rows: b.rows, put: len(b.puts), removed: len(b.removals)}
	if len(b.puts) > 0 {
		err := j.retry(ctx, func(ctx context.Context) error {
			_, err := j.cfg.Target.PutRows(ctx, b.puts)
			return err
		})
		if err != nil {
			return poured{}, err
		}
	}
	if len(b.removals) > 0 {
		err := j.retry(ctx, func(ctx context.Context) error {
			_, err := j.cfg.Target.DeleteKeys(ctx, b.table, b.removals)
			return err
		})
		if err != nil {
			return poured{}, err
		}
	}
	*b = batch{table: b.table}
	return done, nil
}

// batch collects what a stretch of keys needs.
type batch struct {
	table    core.Table
	puts     []core.Row
	removals []string
	bytes    int    // keys and values of puts
	seen     int    // keys compared
	rows     int    // of them in the source
	last     string // the last of them
}

func (b *batch) add(p pair) {
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

// beyond leaves out the keys up to and including after; "" leaves out none.
func beyond(rows iter.Seq2[core.Row, error], after string) iter.Seq2[core.Row, error] {
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

func advance(ps []Progress, t core.Table, rows int) {
	for i := range ps {
		if ps[i].Table == t {
			ps[i].Done = min(ps[i].Done+rows, ps[i].Total)
		}
	}
}

func complete(ps []Progress, t core.Table) {
	for i := range ps {
		if ps[i].Table == t {
			ps[i].Done = ps[i].Total
		}
	}
}

// unjoin gives back the only error of a join, so that its kind and its text stay alone.
func unjoin(err error) error {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok || len(j.Unwrap()) != 1 {
		return err
	}
	return j.Unwrap()[0]
}
