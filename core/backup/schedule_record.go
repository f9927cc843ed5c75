package backup

import (
	"context"
	"encoding/json"
	"time"

	"unibus/core"
)

// changeTries is how often a change of the record is decided again where another writer
// was faster.
const changeTries = 20

// load reads the record, and keeps it for Record.
func (s *Scheduler) load(ctx context.Context) (rec core.BackupRecord, rev uint64, err error) {
	value, rev, err := s.cfg.Ledger.Backups(ctx)
	if err != nil {
		return rec, 0, err
	}
	if len(value) > 0 {
		if err := json.Unmarshal(value, &rec); err != nil || rec.Version != core.BackupRecordVersion {
			return rec, 0, core.Errorf(core.KindFailed, "the record of scheduled backups cannot be read: it was written by another version").
				WithNext("run the same version of unibusd on every node")
		}
	}
	s.keep(rec)
	return rec, rev, nil
}

// lastRead is the record as Run read it last.
type lastRead struct {
	ok  bool
	rec core.BackupRecord
	rev uint64
}

// read is load, without a request where there is no news. A record that was changed meanwhile
// all the same is news by then, and a change at an old revision is refused.
func (s *Scheduler) read(ctx context.Context) (core.BackupRecord, uint64, error) {
	if s.asRead.ok && !s.changed.Swap(false) && s.cfg.News != nil && !s.cfg.News() {
		return s.asRead.rec, s.asRead.rev, nil
	}
	rec, rev, err := s.load(ctx)
	s.asRead = lastRead{err == nil, rec, rev}
	return rec, rev, err
}

func (s *Scheduler) keep(rec core.BackupRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record, s.known = rec, true
}

func (s *Scheduler) put(ctx context.Context, rec core.BackupRecord, rev uint64) (uint64, error) {
	rec.Version = core.BackupRecordVersion
	value, err := json.Marshal(rec)
	if err != nil {
		return 0, core.Errorf(core.KindFailed, "the record of scheduled backups cannot be encoded: %w", err)
	}
	rev, err = s.cfg.Ledger.PutBackups(ctx, value, rev)
	s.changed.Store(true) // an error may be the loss of an answer
	if err != nil {
		return 0, err
	}
	s.keep(rec)
	return rev, nil
}

// change reads the record, has f change it, and writes it. f is called again where
// another writer was faster; its error ends the change.
func (s *Scheduler) change(ctx context.Context, f func(*core.BackupRecord) error) error {
	for try := 1; ; try++ {
		rec, rev, err := s.load(ctx)
		if err != nil {
			return err
		}
		if err := f(&rec); err != nil {
			return err
		}
		if _, err = s.put(ctx, rec, rev); core.KindOf(err) != core.KindConflict || try == changeTries {
			return err
		}
	}
}

// Request has the nodes make a backup at once, and returns the moment: a backup or a
// failure that is not older is the answer.
func (s *Scheduler) Request(ctx context.Context, by string) (core.Millis, error) {
	at := core.MillisOf(time.Now())
	err := s.change(ctx, func(rec *core.BackupRecord) error {
		last, _ := rec.Last()
		at = max(at, last.Rehearsed+1)
		if rec.Failure != nil {
			at = max(at, rec.Failure.At+1)
		}
		if rec.Requested == 0 {
			rec.Requested, rec.By = at, by
		}
		at = rec.Requested
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.wakeUp()
	return at, nil
}

func (s *Scheduler) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
