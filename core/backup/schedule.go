package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"unibus/core"
)

// Ledger keeps the record of scheduled backups: one for the whole cluster.
type Ledger interface {
	// Backups returns the record and its revision, 0 where there is none.
	Backups(ctx context.Context) (value []byte, rev uint64, err error)
	// PutBackups replaces the record at a revision. KindConflict where another writer
	// was faster; KindUnavailable where no answer came.
	PutBackups(ctx context.Context, value []byte, rev uint64) (newRev uint64, err error)
}

// Destination is where scheduled backups are put.
type Destination interface {
	String() string // as status shows it
	// Check refuses a destination that cannot take so many bytes.
	Check(ctx context.Context, bytes int64) error
	// Put stores what write writes, whole or not at all. KindExists where the name is taken.
	Put(ctx context.Context, name string, write func(io.Writer) error) error
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	List(ctx context.Context) ([]string, error)
	// Remove is no error where there is nothing of that name.
	Remove(ctx context.Context, name string) error
}

// ScheduleConfig is what a Scheduler needs. Without To it makes no backups, and knows
// of those that other nodes make.
type ScheduleConfig struct {
	Node       string
	Cluster    string // begins the names of the backups
	Ledger     Ledger
	To         Destination
	Every      time.Duration
	At         *core.DailyTime // once a day at that time, in place of Every from the last one; nil: Every
	Keep       int             // backups at To; 0: all
	Recipients []age.Recipient // that the backups are encrypted to; none: they are not
	Identities []age.Identity  // that decrypt them for the rehearsal; may be empty

	Scratch string // a directory of the Scheduler alone: whatever is in it is removed
	Make    func(ctx context.Context, path string, rows func(int)) (core.Backup, error)
	Need    func(ctx context.Context) (int64, error) // bytes that Make takes in Scratch for a while
	Free    func(dir string) (int64, error)
	Sign    Signer
	Serves  func() error // why this node can make none now; nil where it can

	// News is false where the record is what it was when News was true last. nil: it is
	// read at each look.
	News func() bool

	OnMade   func(core.ScheduledBackup)
	OnFailed func(error)
	Log      *slog.Logger

	Poll  time.Duration // between two looks at the record; 0: 2 s
	Lease time.Duration // how long a lease holds without a renewal; 0: 30 s
	Retry time.Duration // after the first failure; each further one doubles it; 0: 1 min
}

// maxRetry is the longest time between two tries.
const maxRetry = time.Hour

// Scheduler makes a backup when it is time, one node at a time. One goroutine, Run,
// does the work.
type Scheduler struct {
	cfg  ScheduleConfig
	wake chan struct{}

	changed atomic.Bool // this node wrote the record, which is news before it comes back

	mu     sync.Mutex
	known  bool // the record was read
	record core.BackupRecord

	asRead lastRead
	lease  core.BackupLease // as it was last seen; these four are Run's
	seen   time.Time        // when it changed last
	tried  map[core.UnfinishedBackup]bool
}

// NewScheduler does no I/O.
func NewScheduler(c ScheduleConfig) *Scheduler {
	for d, v := range map[*time.Duration]time.Duration{&c.Poll: 2 * time.Second, &c.Lease: 30 * time.Second, &c.Retry: time.Minute} {
		if *d == 0 {
			*d = v
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Scheduler{cfg: c, wake: make(chan struct{}, 1), tried: map[core.UnfinishedBackup]bool{}}
}

// Record is what was last read; false before that.
func (s *Scheduler) Record() (core.BackupRecord, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record, s.known
}

// Run makes each due backup until ctx ends. A backup under way stops then, and leaves
// nothing.
func (s *Scheduler) Run(ctx context.Context) {
	s.clearScratch()
	for ctx.Err() == nil {
		s.look(ctx)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-time.After(core.UntilTick(s.cfg.Poll)):
		}
	}
	s.clearScratch()
}

func (s *Scheduler) clearScratch() {
	if s.cfg.To == nil {
		return
	}
	if err := os.RemoveAll(s.cfg.Scratch); err != nil {
		s.cfg.Log.Error("the temporary files of a backup cannot be removed; they may hold the whole control plane", "directory", s.cfg.Scratch, "error", err)
	}
}

// look reads the record, and makes a backup if it is time and this node's turn.
func (s *Scheduler) look(ctx context.Context) {
	rec, rev, err := s.read(ctx)
	if err == nil && s.cfg.To != nil && rec.Begun == 0 {
		rec, rev, err = s.begin(ctx)
	}
	if err != nil {
		s.cfg.Log.Debug("the record of backups cannot be read or changed now", "error", err)
		return
	}
	if s.cfg.To != nil {
		s.removeUnfinished(ctx, rec)
	}
	if s.cfg.To == nil || !s.due(rec, time.Now()) || s.isLeased(rec) || s.cfg.Serves() != nil {
		return
	}
	turn, err := s.acquireLease(ctx, rec, rev)
	if err != nil {
		s.cfg.Log.Debug("another node makes the backup", "error", err)
		return
	}
	made, err := turn.run(ctx)
	switch {
	case errors.Is(err, errLeaseLost):
		s.cfg.Log.Warn("a backup was stopped: another node has the lease, or this node could not renew it", "name", made.Name)
	case err != nil && ctx.Err() != nil:
		turn.releaseLease(ctx)
	case err != nil:
		turn.fail(ctx, err)
		s.cfg.Log.Error("a scheduled backup failed", "error", err, "next", core.AsError(err).Next, "to", s.cfg.To.String())
		s.cfg.OnFailed(err)
	default:
		s.cfg.Log.Info("a scheduled backup was made and rehearsed", "name", made.Name, "to", made.To, "rows", made.Rows, "bytes", made.Bytes, "sha256", made.SHA256, "rehearsal", made.Rehearsal)
		s.cfg.OnMade(made)
	}
}

// begin records that there is a schedule, so that every node's status misses backups that
// no node makes.
func (s *Scheduler) begin(ctx context.Context) (core.BackupRecord, uint64, error) {
	err := s.change(ctx, func(rec *core.BackupRecord) error {
		if rec.Begun == 0 {
			rec.Begun = core.MillisOf(time.Now())
		}
		rec.EveryMS = s.cfg.Every.Milliseconds()
		return nil
	})
	if err != nil {
		return core.BackupRecord{}, 0, err
	}
	return s.load(ctx)
}

// maxClockSkew is how far ahead of this node's clock the latest backup may be. If it is
// further ahead, a clock was wrong, and waiting for that time would leave out backups.
const maxClockSkew = time.Hour

// due is true where a backup is wanted now.
func (s *Scheduler) due(rec core.BackupRecord, now time.Time) bool {
	if rec.Requested != 0 {
		return true
	}
	if f := rec.Failure; f != nil {
		wait := retryAfter(s.cfg.Retry, s.cfg.Every, f.Count)
		if f.Node == s.cfg.Node {
			wait += wait / 2 // another node tries first
		}
		if since := now.Sub(f.At.Time()); since < wait && since > -maxClockSkew {
			return false
		}
	}
	last, ok := rec.Last()
	if !ok {
		return true
	}
	age := now.Sub(last.At.Time())
	if s.cfg.At != nil { // a time that no node could use is made up for once
		return last.At.Time().Before(s.cfg.At.Latest(now)) || age < -maxClockSkew
	}
	return age >= s.cfg.Every || age < -maxClockSkew
}

// retryAfter is how long nodes wait after so many failures.
func retryAfter(first, every time.Duration, failures int) time.Duration {
	wait := first
	for range min(failures, 32) - 1 {
		wait = min(2*wait, maxRetry)
	}
	return min(wait, max(every, first), maxRetry)
}

// isLeased is true while another node has the lease. This node counts its time by its own
// clock, from the last change of the lease that it has seen, so that clocks may differ.
func (s *Scheduler) isLeased(rec core.BackupRecord) bool {
	if rec.Lease == nil {
		s.lease = core.BackupLease{}
		return false
	}
	if *rec.Lease != s.lease {
		s.lease, s.seen = *rec.Lease, time.Now()
	}
	return time.Since(s.seen) < s.cfg.Lease
}

// acquireLease fails with KindConflict where another node was faster.
func (s *Scheduler) acquireLease(ctx context.Context, rec core.BackupRecord, rev uint64) (*leasedBackup, error) {
	lease := core.BackupLease{Node: s.cfg.Node, Token: rand.Text(), Since: core.MillisOf(time.Now())}
	if l := rec.Lease; l != nil && l.Name != "" { // its node was killed, or is no longer heard
		rec.Unfinished = append(slices.Clone(rec.Unfinished), core.UnfinishedBackup{Node: l.Node, Name: l.Name})
		rec.Unfinished = rec.Unfinished[max(0, len(rec.Unfinished)-maxUnfinished):]
	}
	rec.Lease, rec.EveryMS = &lease, s.cfg.Every.Milliseconds()
	if _, err := s.put(ctx, rec, rev); err != nil {
		return nil, err
	}
	return &leasedBackup{s: s, lease: lease}, nil
}
