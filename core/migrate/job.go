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

// Job is the mover of one node: at most one move at a time, worked at in a
// goroutine of its own, so that whoever started it may leave and come back.
// All methods may be called from anywhere.
type Job struct {
	cfg Config
	src atomic.Pointer[SourceStore] // nil: this node has no SQLite file; another one after a rollback

	command sync.Mutex // one command of an operator at a time
	lifting sync.Mutex // the fence is raised or lifted by one at a time

	mu     sync.Mutex
	st     Status
	cp     *Checkpoint
	marks  Marks // replaced, never changed
	fence  *fenceState
	paused bool    // a pause is wanted
	ending bool    // an abort waits for the runner: no cutover may begin
	claims bool    // a claim of the authority may still be under way
	before *Status // during a dry run: what is recorded meanwhile
	cancel context.CancelFunc
	done   chan struct{} // closed when the runner has ended; nil before the first
	open   bool
	rec    *recorder
}

// New makes a Job without touching anything.
func New(cfg Config) *Job {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	j := &Job{cfg: cfg, st: Status{State: StateNone}}
	j.SetSource(cfg.Source)
	return j
}

// source is the SQLite file that can be moved; nil where this node has none.
func (j *Job) source() SourceStore {
	if s := j.src.Load(); s != nil {
		return *s
	}
	return nil
}

// SetSource names the file that can be moved, where a node got it after New.
func (j *Job) SetSource(s SourceStore) {
	if s != nil {
		j.src.Store(&s)
	}
}

// Open takes up what the journal tells: a fence that a crash left is lifted, an
// intent without outcome is settled in the background by asking the authority,
// and a move that was interrupted waits for Resume, Start or Abort. It needs no quorum.
func (j *Job) Open(ctx context.Context) error {
	e, err := j.cfg.Journal.Load()
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.open = true
	j.cp, j.marks = e.Checkpoint, e.Marks
	j.claims = e.Move != nil && e.Move.State == StatePreflight
	if e.Move != nil {
		j.st = *clone(*e.Move)
	}
	j.rec = startRecorder(j.cfg.Record, j.cfg.Limits.Record, j.recorded)
	st := j.st
	j.mu.Unlock()
	if st.State == StateNone {
		return nil
	}
	if e.Intent != nil {
		j.cfg.Host.Withdraw(withheld(*e.Intent))
		return j.launch(func(s *Status) {
			s.State, s.Paused = StateCutover, false
			if e.Intent.backwards() {
				s.State = StateRollback
			}
		})
	}
	if st.State == StateRollback && e.returned(j.cfg.Node) {
		return j.launch(func(*Status) {})
	}
	return j.takeUp(ctx, st)
}

// takeUp puts an interrupted move without an intent in order: nothing works at
// it, no fence stands.
func (j *Job) takeUp(ctx context.Context, st Status) error {
	if (st.Active() || st.State == StateCutover) && j.source() != nil {
		if err := j.lift(ctx); err != nil {
			return err
		}
	}
	if st.State == StateAborted && j.source() != nil {
		if err := j.untrack(ctx); err != nil {
			return err
		}
	}
	if st.Aborting != "" {
		return j.goOnAborting(st.Aborting)
	}
	if !st.Running {
		j.rec.dirty()
		return nil
	}
	return j.save(func(s *Status) {
		switch s.State {
		case StateCutover:
			s.State = StateFence // no intent: nothing was sent
		case StateRollback:
			s.State = StateSoak // no intent: nothing was closed
		}
		j.interrupted(s)
	})
}

// interrupted is how a status looks after its node stopped in the middle.
func (j *Job) interrupted(s *Status) {
	s.Running = false
	if !s.Active() {
		return
	}
	s.AtLeast = s.AtLeast || s.State == StateCopy || s.State == StateFence
	was, on := s.State, "`unibusd migration resume` goes on where it stopped"
	if was == StateFence {
		s.State = StateVerify
	}
	if s.State == StateVerify && s.Verified {
		on = "`unibusd migration cutover` cuts over again"
	}
	s.Error = core.Errorf(core.KindUnavailable, "%s was stopped in %s; its SQLite file serves as before", j.cfg.Node, was).
		WithNext("%s; `unibusd migration abort` restores what was", on)
}

// Close stops the work after the present batch, writes the last status and
// returns when all is quiet. A move goes on after the next Open. Twice is harmless.
func (j *Job) Close() error {
	j.mu.Lock()
	if !j.open {
		j.mu.Unlock()
		return nil
	}
	j.open = false
	rec := j.rec
	j.mu.Unlock()
	j.stop()
	rec.close()
	return nil
}

// Status is where the move of this node stands now.
func (j *Job) Status() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	return *clone(j.st)
}

// recorded is the status as the record may have it: a dry run leaves no trace there.
func (j *Job) recorded() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.before != nil {
		return *clone(*j.before)
	}
	return *clone(j.st)
}

// Current is the move that counts for the cluster: this node's own, or the one
// that the record tells of where another node does or did it later. KindUnavailable
// where the record cannot be read and this node has none of its own.
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
		return j.ownInRecord(ctx)
	}
	return other, nil
}

// launch saves a status with Running set and starts the runner. The caller holds command, or is Open.
func (j *Job) launch(change func(*Status)) error {
	j.mu.Lock()
	if !j.open {
		j.mu.Unlock()
		return core.Errorf(core.KindUnavailable, "%s is stopping", j.cfg.Node)
	}
	j.fence, j.paused, j.ending = nil, false, false
	j.mu.Unlock()
	err := j.save(func(s *Status) {
		s.Error, s.Result, s.Problems = nil, "", nil // a dry run's problems too: what still holds is found again
		change(s)
		s.Running = true
	})
	if err != nil {
		return err
	}
	return j.spawn(j.run)
}

// spawn runs work until it ends or stop is called. After Close nothing begins.
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
		if j.cfg.Working != nil {
			j.cfg.Working(true)
			defer j.cfg.Working(false)
		}
		work(ctx)
	}()
	return nil
}

// stop ends the runner and waits for it.
func (j *Job) stop() {
	j.mu.Lock()
	cancel, done := j.cancel, j.done
	j.mu.Unlock()
	if done == nil {
		return
	}
	cancel()
	<-done
}

// save changes the status in the journal first, then in memory, then has it recorded.
func (j *Job) save(change func(*Status), more ...func(*Entry)) error {
	j.mu.Lock()
	st := *clone(j.st)
	change(&st)
	st.Updated = max(st.Updated, core.MillisOf(j.cfg.Now())) // a record's order, also where clocks differ
	moved := st.State != j.st.State
	if moved {
		st.Since = st.Updated
		st.History = append(st.History, Passage{st.State, st.Updated})
	}
	err := j.cfg.Journal.Update(func(e *Entry) {
		e.Move, e.Checkpoint, e.Marks = clone(st), j.cp, j.marks
		for _, f := range more {
			f(e)
		}
	})
	if err == nil {
		j.st = st
	}
	rec := j.rec
	j.mu.Unlock()
	if err != nil {
		return err
	}
	rec.dirty()
	if moved && j.cfg.Changed != nil {
		j.cfg.Changed(*clone(st))
	}
	return nil
}

// note changes the status in memory alone and has it recorded: progress, which a crash may forget.
func (j *Job) note(change func(*Status)) {
	j.mu.Lock()
	change(&j.st)
	j.st.Updated = max(j.st.Updated, core.MillisOf(j.cfg.Now()))
	rec, dry := j.rec, j.before != nil
	j.mu.Unlock()
	if !dry {
		rec.dirty()
	}
}

// clone copies a status with everything it points to, so that no reader sees a later change.
func clone(s Status) *Status {
	s.Progress = append([]Progress{}, s.Progress...)
	s.Problems = append([]core.Problem{}, s.Problems...)
	s.History, s.Drift = slices.Clone(s.History), slices.Clone(s.Drift)
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
