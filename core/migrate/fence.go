package migrate

import (
	"context"
	"errors"
	"strings"
	"time"

	"unibus/core"
)

// fenceState says whether the fence may still be lifted. Either the timer or an
// abort lifts it, or the cutover commits to it; never both.
type fenceState struct {
	committed bool // the cutover has started: only its outcome lifts the fence
	released  bool // the timer or an abort lifts it: no cutover is possible any more
	timer     *time.Timer
}

// errFenceExpired is what a cutover gets that comes too late.
func errFenceExpired(limit time.Duration) *core.Error {
	return core.Errorf(core.KindUnavailable, "the fence stood for %s without a cutover and was lifted; SQLite serves and takes changes again", limit).
		WithNext("find out what was slow, then cut over again: `unibusd migration cutover`")
}

// runFence makes the source refuse writes, copies what changed since the backup,
// and proves that every replica has it. After a failure it lifts the fence and
// returns to verify.
func (j *Job) runFence(ctx context.Context) (State, error) {
	if err := j.requireMarks(); err != nil {
		return StateVerify, err
	}
	if err := j.requireAllOnline(ctx); err != nil {
		return StateVerify, err
	}
	if err := j.checkLeftovers(ctx); err != nil {
		return StateVerify, err
	}
	if err := j.awaitReadyNodes(ctx, min(lateNodeTimeout, j.cfg.Limits.ReadyTimeout)); err != nil {
		return StateVerify, err
	}
	backupUnchanged, pool := j.backupUnchanged(), j.openReadersInTime(ctx)
	defer pool.close()
	work, cancel := context.WithTimeoutCause(ctx, j.cfg.Limits.FenceTimeout, errFenceExpired(j.cfg.Limits.FenceTimeout))
	defer cancel()
	if err := j.raiseFence(work); err != nil {
		return j.liftAfterFailure(ctx, work, err)
	}
	err := j.syncFenced(work, pool, backupUnchanged)
	if err != nil {
		j.updateStatus(func(s *Status) { s.BackupOutdated = !s.Verified })
		return j.liftAfterFailure(ctx, work, err)
	}
	return StateCutover, nil
}

// openReadersTimeout bounds opening the readers. A replica without a reader is
// reached behind the fence, within its limit.
const openReadersTimeout = 10 * time.Second

func (j *Job) openReadersInTime(ctx context.Context) *replicaReaderPool {
	ctx, cancel := context.WithTimeout(ctx, openReadersTimeout)
	defer cancel()
	return j.openReaders(ctx)
}

// lateNodeTimeout is how long a cutover waits for a node that does not answer at
// once.
const lateNodeTimeout = 5 * time.Second

// requireAllOnline refuses a cutover while a node is silent, before anything is
// fenced: the changes are compared on every node, and the fence would wait for
// that one in vain.
func (j *Job) requireAllOnline(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, min(lateNodeTimeout, j.cfg.Limits.RetryBudget))
	defer cancel()
	for {
		c, err := j.cfg.Cluster(ctx)
		var silent []string
		for _, p := range c.Peers {
			if !p.Online {
				silent = append(silent, p.Name)
			}
		}
		if err == nil && len(silent) == 0 {
			return nil
		}
		if perr := j.checkInterrupted(ctx); perr != nil {
			return perr
		}
		if sleep(limit, j.cfg.Limits.PollInterval) == nil {
			continue
		}
		if err != nil {
			return err
		}
		return core.Errorf(core.KindUnavailable, "%s does not answer, and the last changes must be compared on every node; nothing was fenced", strings.Join(silent, " and ")).
			WithNext("start unibusd there, then cut over again: `unibusd migration cutover`")
	}
}

// raiseFence starts the timer before it fences, so that the fence never stands
// without one.
func (j *Job) raiseFence(ctx context.Context) error {
	j.fenceLock.Lock()
	defer j.fenceLock.Unlock()
	f := &fenceState{}
	f.timer = time.AfterFunc(j.cfg.Limits.FenceTimeout, func() { j.expireFence(f) })
	j.mu.Lock()
	j.fence = f
	j.mu.Unlock()
	return j.source().Fence(ctx)
}

// expireFence lifts the fence from the timer, whatever the runner is doing. A late
// timer leaves the fence of the next cutover alone.
func (j *Job) expireFence(f *fenceState) {
	if !j.releaseFence(f) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), j.cfg.Limits.RetryBudget)
	defer cancel()
	j.fenceLock.Lock()
	defer j.fenceLock.Unlock()
	j.mu.Lock()
	mine := j.fence == f
	j.mu.Unlock()
	if !mine {
		return
	}
	if err := j.source().Lift(ctx); err != nil {
		j.cfg.Log.Error("the fence of the SQLite file cannot be lifted", "error", err)
	}
}

// releaseFence takes the fence away from the cutover; false if the cutover has
// started.
func (j *Job) releaseFence(f *fenceState) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if f.committed {
		return false
	}
	f.released = true
	return true
}

// commitFence gives the fence to the cutover; false if it was lifted.
func (j *Job) commitFence() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := j.fence
	if f == nil || f.released || j.abortRequested {
		return false
	}
	f.committed = true
	f.timer.Stop()
	return true
}

// uncommitFence is for a cutover that failed before anything was sent.
func (j *Job) uncommitFence() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fence.committed, j.fence.released = false, true
}

// syncFenced copies what changed since verify, and proves that every replica has
// it.
func (j *Job) syncFenced(ctx context.Context, pool *replicaReaderPool, backupUnchanged bool) error {
	if err := j.retry(ctx, j.closeGuards); err != nil { // again: an earlier cutover that failed has raised the generation
		return err
	}
	return j.syncChanges(ctx, pool, backupUnchanged)
}

// liftAfterFailure lifts the fence and returns the state of the migration: verify,
// or still fence if the file could not be opened again.
func (j *Job) liftAfterFailure(ctx, work context.Context, cause error) (State, error) {
	if work.Err() != nil && ctx.Err() == nil {
		cause = context.Cause(work)
	}
	j.mu.Lock()
	f := j.fence
	j.mu.Unlock()
	if f != nil {
		j.releaseFence(f)
	}
	up, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.cfg.Limits.RetryBudget)
	defer cancel()
	if err := j.liftFence(up); err != nil {
		return StateFence, errors.Join(cause, err)
	}
	return StateVerify, cause
}

// errNoFile is for a migration whose file was removed while its node was down.
func (j *Job) errNoFile() error {
	path := j.Status().Source.Path
	return core.Errorf(core.KindFailed, "%s has no SQLite file: %s, which was being migrated, is missing", j.cfg.Node, path).
		WithNext("put it back, then restart %s", j.cfg.Node)
}

// liftFence makes the source accept writes again, if it does not.
func (j *Job) liftFence(ctx context.Context) error {
	j.fenceLock.Lock()
	defer j.fenceLock.Unlock()
	j.mu.Lock()
	if j.fence != nil {
		j.fence.timer.Stop()
	}
	j.mu.Unlock()
	if j.source() == nil {
		return j.errNoFile()
	}
	fenced, err := j.source().Fenced(ctx)
	if err == nil && fenced {
		err = j.source().Lift(ctx)
	}
	if err == nil {
		return nil
	}
	return core.Errorf(core.KindOf(err), "the fence of %s cannot be lifted, so it takes no changes: %w", j.source().Path(), err).
		WithNext("`unibusd migration resume` or `abort` tries again; so does a restart of %s", j.cfg.Node)
}
