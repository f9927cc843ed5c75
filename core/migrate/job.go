package migrate

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
)

// Job runs the migrations of one node, at most one at a time, in a goroutine of
// its own: the operator who started one may disconnect. All methods are safe for
// concurrent use.
type Job struct {
	cfg Config
	src atomic.Pointer[SourceStore] // nil: this node has no SQLite file; a rollback replaces it

	commandLock sync.Mutex // held during an operator's command
	fenceLock   sync.Mutex // held while the fence is raised or lifted

	mu                 sync.Mutex
	status             Status
	checkpoint         *checkpoint
	marks              Marks // replaced as a whole, never modified
	fence              *fenceState
	pauseRequested     bool    // the runner has to pause
	abortRequested     bool    // an abort waits for the runner; no cutover may start
	claimUncertain     bool    // a claim of the authority was sent and its outcome is not known
	statusBeforeDryRun *Status // during a dry run: the status before it
	cancel             context.CancelFunc
	done               chan struct{} // closed when the runner has ended; nil before the first
	open               bool
	recorder           *recorder
}

// New makes a Job without any I/O.
func New(cfg Config) *Job {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	j := &Job{cfg: cfg, status: Status{State: StateNone}}
	j.SetSource(cfg.Source)
	return j
}

// source is the SQLite file that can be migrated; nil if this node has none.
func (j *Job) source() SourceStore {
	if s := j.src.Load(); s != nil {
		return *s
	}
	return nil
}

// SetSource sets the file that can be migrated, for a node that got it after New.
func (j *Job) SetSource(s SourceStore) {
	if s != nil {
		j.src.Store(&s)
	}
}

// Open continues from the journal. It lifts a fence that a crash left. It settles
// an intent without outcome in the background, by reading the authority. An
// interrupted migration waits for Resume, Start or Abort. Open needs no quorum.
func (j *Job) Open(ctx context.Context) error {
	e, err := j.cfg.Journal.Load()
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.open = true
	j.checkpoint, j.marks = e.Checkpoint, e.Marks
	j.claimUncertain = e.Migration != nil && e.Migration.State == StatePreflight
	if e.Migration != nil {
		j.status = *cloneStatus(*e.Migration)
	}
	j.recorder = startRecorder(j.cfg.Record, j.cfg.Limits.RecordInterval, j.statusToRecord)
	st := j.status
	j.mu.Unlock()
	if st.State == StateNone {
		return nil
	}
	if e.Intent != nil {
		j.cfg.Host.Withdraw(errMigrating(*e.Intent))
		return j.startRun(func(s *Status) {
			s.State, s.Paused = StateCutover, false
			if e.Intent.concernsRollback() {
				s.State = StateRollback
			}
		})
	}
	if st.State == StateRollback && e.rolledBackTo(j.cfg.Node) {
		return j.startRun(func(*Status) {})
	}
	return j.recoverInterrupted(ctx, st)
}

// recoverInterrupted handles an interrupted migration without an intent: nothing
// runs and no fence stands afterwards.
func (j *Job) recoverInterrupted(ctx context.Context, st Status) error {
	if (st.Active() || st.State == StateCutover) && j.source() != nil {
		if err := j.liftFence(ctx); err != nil {
			return err
		}
	}
	if st.State == StateAborted && j.source() != nil {
		if err := j.source().Untrack(ctx); err != nil {
			return err
		}
	}
	if st.Aborting != "" {
		return j.continueAbort(st.Aborting)
	}
	if !st.Running {
		j.recorder.schedule()
		return nil
	}
	return j.saveStatus(func(s *Status) {
		switch s.State {
		case StateCutover:
			s.State = StateFence // no intent: nothing was sent
		case StateRollback:
			s.State = StateSoak // no intent: nothing was closed
		}
		j.markInterrupted(s)
	})
}

// markInterrupted sets the status of a migration whose node stopped while it ran.
func (j *Job) markInterrupted(s *Status) {
	s.Running = false
	if !s.Active() {
		return
	}
	s.WrittenIsMinimum = s.WrittenIsMinimum || s.State == StateCopy || s.State == StateFence
	was, on := s.State, "continue with `unibusd migration resume`"
	if was == StateFence {
		s.State = StateVerify
	}
	if s.State == StateVerify && s.Verified {
		on = "cut over again with `unibusd migration cutover`"
	}
	s.Error = core.Errorf(core.KindUnavailable, "%s was stopped in %s; its SQLite file serves as before", j.cfg.Node, was).
		WithNext("%s; to restore the state before the migration: `unibusd migration abort`", on)
}

// Close stops the work after the present batch, writes the last status and waits
// for both. The migration can continue after the next Open. A second call does
// nothing.
func (j *Job) Close() error {
	j.mu.Lock()
	if !j.open {
		j.mu.Unlock()
		return nil
	}
	j.open = false
	rec := j.recorder
	j.mu.Unlock()
	j.stopRun()
	rec.close()
	return nil
}

// Status is the present status of this node's migration.
func (j *Job) Status() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	return *cloneStatus(j.status)
}

// statusToRecord is the status for the cluster record, which a dry run must not
// change.
func (j *Job) statusToRecord() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.statusBeforeDryRun != nil {
		return *cloneStatus(*j.statusBeforeDryRun)
	}
	return *cloneStatus(j.status)
}

// Current is the cluster's latest migration: this node's own, or the recorded one
// if another node's is later. KindUnavailable if the record cannot be read and
// this node has no migration.
func (j *Job) Current(ctx context.Context) (Status, error) {
	own := j.Status()
	if own.Running {
		return own, nil
	}
	other, err := readRecord(ctx, j.cfg.Record)
	switch {
	case err != nil && own.State == StateNone:
		return own, err
	case err != nil || other.Node == j.cfg.Node && own.State != StateNone || other.Updated <= own.Updated:
		return own, nil
	case other.Node == j.cfg.Node && other.Active():
		return j.recoverOwnRecord(ctx)
	}
	return other, nil
}

// startRun saves a status with Running set and starts the runner. The caller holds
// commandLock, or is Open.
func (j *Job) startRun(change func(*Status)) error {
	j.mu.Lock()
	if !j.open {
		j.mu.Unlock()
		return core.Errorf(core.KindUnavailable, "%s is stopping", j.cfg.Node)
	}
	j.fence, j.pauseRequested, j.abortRequested = nil, false, false
	j.mu.Unlock()
	err := j.saveStatus(func(s *Status) {
		s.Error, s.Result, s.Problems, s.Notes = nil, "", nil, nil // also those of a dry run: preflight finds the remaining ones again
		change(s)
		s.Running = true
	})
	if err != nil {
		return err
	}
	return j.spawn(j.run)
}

// spawn runs work until it ends or stopRun is called. After Close it refuses.
func (j *Job) spawn(work func(context.Context)) error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	j.mu.Lock()
	if !j.open {
		j.mu.Unlock()
		cancel()
		return core.Errorf(core.KindUnavailable, "%s is stopping", j.cfg.Node)
	}
	j.cancel, j.done = cancel, done
	j.mu.Unlock()
	go func() {
		defer close(done)
		defer cancel()
		if j.cfg.OnRunning != nil {
			j.cfg.OnRunning(true)
			defer j.cfg.OnRunning(false)
		}
		work(ctx)
	}()
	return nil
}

// stopRun stops the runner and waits for it.
func (j *Job) stopRun() {
	j.mu.Lock()
	cancel, done := j.cancel, j.done
	j.mu.Unlock()
	if done == nil {
		return
	}
	cancel()
	<-done
}

// saveStatus changes the status in the journal first, then in memory, and has it
// recorded.
func (j *Job) saveStatus(change func(*Status), more ...func(*Entry)) error {
	j.mu.Lock()
	st := *cloneStatus(j.status)
	change(&st)
	st.Updated = max(st.Updated, core.MillisOf(j.cfg.Now())) // keeps the order of records when clocks differ
	moved := st.State != j.status.State
	if moved {
		st.Since = st.Updated
		st.History = append(st.History, StateTransition{st.State, st.Updated})
	}
	err := j.cfg.Journal.Update(func(e *Entry) {
		e.Migration, e.Checkpoint, e.Marks = cloneStatus(st), j.checkpoint, j.marks
		for _, f := range more {
			f(e)
		}
	})
	if err == nil {
		j.status = st
	}
	rec := j.recorder
	j.mu.Unlock()
	if err != nil {
		return err
	}
	rec.schedule()
	if moved && j.cfg.OnStateChange != nil {
		j.cfg.OnStateChange(*cloneStatus(st))
	}
	return nil
}

// updateStatus changes the status in memory and has it recorded. It is for
// progress, which a crash may lose.
func (j *Job) updateStatus(change func(*Status)) {
	j.mu.Lock()
	change(&j.status)
	j.status.Updated = max(j.status.Updated, core.MillisOf(j.cfg.Now()))
	rec, dry := j.recorder, j.statusBeforeDryRun != nil
	j.mu.Unlock()
	if !dry {
		rec.schedule()
	}
}

// cloneStatus copies a status with everything it points to, so that a reader never
// sees a later change.
func cloneStatus(s Status) *Status {
	s.Progress = append([]Progress{}, s.Progress...)
	s.Problems = append([]core.Problem{}, s.Problems...)
	s.Notes, s.Leftovers = slices.Clone(s.Notes), slices.Clone(s.Leftovers)
	s.History, s.Divergences = slices.Clone(s.History), slices.Clone(s.Divergences)
	buckets := s.Buckets
	s.Buckets = []Parity{}
	for _, p := range buckets {
		nodes := make(map[string]core.Digest, len(p.Nodes))
		for n, d := range p.Nodes {
			nodes[n] = d
		}
		p.Nodes = nodes
		p.Missing = append([]string{}, p.Missing...)
		p.Different = append([]string{}, p.Different...)
		p.Extra = append([]string{}, p.Extra...)
		s.Buckets = append(s.Buckets, p)
	}
	if s.Error != nil {
		e := *s.Error
		s.Error = &e
	}
	return &s
}
