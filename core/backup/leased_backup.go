package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"

	"unibus/core"
)

// leasedBackup is one backup that this node makes while it holds the lease.
type leasedBackup struct {
	s     *Scheduler
	lease core.BackupLease
}

// errLeaseLost ends a backup or a restore whose lease another node has taken.
var errLeaseLost = errors.New("another node has the lease")

// cleanupTimeout bounds the writes after a backup has stopped.
const cleanupTimeout = 5 * time.Second

// run makes, stores, rehearses and records one backup. After an error there is nothing
// new at the destination.
func (t *leasedBackup) run(parent context.Context) (core.ScheduledBackup, error) {
	ctx, cancel := context.WithCancelCause(parent)
	renewed := make(chan struct{})
	go func() { defer close(renewed); t.renew(ctx, cancel) }()
	made, err := t.make(ctx)
	if errors.Is(context.Cause(ctx), errLeaseLost) {
		err = errLeaseLost
	}
	cancel(nil)
	<-renewed
	if err == nil {
		err = t.finish(parent, made)
		if errors.Is(err, errLeaseLost) { // another error may be a lost answer: the backup may be listed
			err = errors.Join(err, t.remove(parent, made.Name))
		}
	}
	t.s.clearScratch()
	if err == nil {
		t.retain(parent)
	}
	return made, err
}

// renew shows that the node works. It ends the backup where the lease is lost, or may be.
func (t *leasedBackup) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	last := time.Now()
	tick := time.NewTicker(t.s.cfg.Lease / 5)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := t.change(ctx, func(rec *core.BackupRecord) { rec.Lease.Beat++ })
		switch {
		case err == nil:
			last = time.Now()
		case ctx.Err() != nil:
			return
		case errors.Is(err, errLeaseLost), time.Since(last) > t.s.cfg.Lease*3/5:
			cancel(errLeaseLost)
			return
		}
	}
}

// change changes the record while this backup has the lease.
func (t *leasedBackup) change(ctx context.Context, f func(*core.BackupRecord)) error {
	return t.s.change(ctx, func(rec *core.BackupRecord) error {
		if rec.Lease == nil || rec.Lease.Token != t.lease.Token {
			return errLeaseLost
		}
		lease := *rec.Lease
		rec.Lease = &lease
		f(rec)
		return nil
	})
}

// finish records a rehearsed backup and releases the lease. If the answer to the write is
// lost, finish looks for the backup in the record.
func (t *leasedBackup) finish(parent context.Context, made core.ScheduledBackup) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(parent), t.s.cfg.Lease)
	defer cancel()
	defer context.AfterFunc(parent, func() { time.AfterFunc(cleanupTimeout, cancel) })() // a node that stops waits no longer
	for {
		err := t.change(ctx, func(rec *core.BackupRecord) {
			rec.Lease, rec.Failure, rec.Kept = nil, nil, append([]core.ScheduledBackup{made}, rec.Kept...)
			if rec.Requested <= t.lease.Since {
				rec.Requested, rec.By = 0, ""
			}
		})
		if rec, _ := t.s.Record(); err != nil && slices.Contains(rec.Kept, made) {
			return nil
		}
		if err == nil || errors.Is(err, errLeaseLost) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(t.s.cfg.Poll):
		}
	}
}

func (s *Scheduler) last() (core.ScheduledBackup, bool) {
	rec, _ := s.Record()
	return rec.Last()
}

// fail records why there is no backup, and releases the lease.
func (t *leasedBackup) fail(ctx context.Context, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	e := core.AsError(cause)
	err := t.change(ctx, func(rec *core.BackupRecord) {
		f := core.BackupFailure{At: max(core.MillisOf(time.Now()), rec.Requested), Node: t.s.cfg.Node, Text: e.Text, Next: e.Next, Count: 1}
		if rec.Failure != nil {
			f.Count += rec.Failure.Count
		}
		rec.Lease, rec.Requested, rec.By, rec.Failure = nil, 0, "", &f
	})
	if err != nil && !errors.Is(err, errLeaseLost) {
		t.s.cfg.Log.Warn("the failure of a backup could not be recorded; the lease ends by itself", "error", err)
	}
}

// releaseLease is for a node that stops: another one begins at once.
func (t *leasedBackup) releaseLease(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := t.change(ctx, func(rec *core.BackupRecord) { rec.Lease = nil }); err != nil {
		t.s.cfg.Log.Debug("the lease of a backup could not be released; it ends by itself", "error", err)
	}
}

func (t *leasedBackup) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	return t.s.cfg.To.Remove(ctx, name)
}

// make writes the control plane to a file of its own, stores it, and rehearses it.
func (t *leasedBackup) make(ctx context.Context) (core.ScheduledBackup, error) {
	cfg := t.s.cfg
	if err := t.checkSpace(ctx); err != nil {
		return core.ScheduledBackup{}, err
	}
	begun := time.Now()
	path := filepath.Join(cfg.Scratch, "snapshot.db")
	b, err := cfg.Make(ctx, path, func(int) {})
	if err != nil {
		return core.ScheduledBackup{}, err
	}
	info, err := sign(ctx, cfg.Sign, cfg.Node, path, Content{Tables: b.Tables}, begun)
	if err != nil {
		return core.ScheduledBackup{}, err
	}
	b.Bytes, b.SHA256 = info.Bytes, info.SHA256
	made := core.ScheduledBackup{
		Name: backupName(cfg.Cluster, cfg.Node, begun, len(cfg.Recipients) > 0), Node: cfg.Node, To: cfg.To.String(),
		At: core.MillisOf(begun), Digest: contentDigest(b.Tables), Encrypted: len(cfg.Recipients) > 0,
	}
	for _, table := range b.Tables {
		made.Rows += table.Count
	}
	if err := t.change(ctx, func(rec *core.BackupRecord) { rec.Lease.Name = made.Name }); err != nil { // so that the next node removes it
		return made, err
	}
	if err := t.store(ctx, path, &made); err != nil {
		return made, err
	}
	if err := t.rehearse(ctx, path, b, &made); err != nil {
		return made, errors.Join(err, t.remove(ctx, made.Name))
	}
	made.Rehearsed = core.MillisOf(time.Now())
	return made, nil
}

// checkSpace refuses a backup for which there is no space, before anything is written.
func (t *leasedBackup) checkSpace(ctx context.Context) error {
	cfg := t.s.cfg
	if err := os.MkdirAll(cfg.Scratch, 0o700); err != nil {
		return core.Errorf(core.KindFailed, "%s cannot write a backup: %w", cfg.Node, err).WithNext("look at the data directory of %s", cfg.Node)
	}
	need, err := cfg.Need(ctx)
	if err != nil {
		return err
	}
	free, err := cfg.Free(cfg.Scratch)
	if err != nil {
		return core.Errorf(core.KindFailed, "the free space of %s is not known: %w", cfg.Scratch, err)
	}
	if need += need / 2; free < need { // for the snapshot and its copy, and the store of the rehearsal
		return core.Errorf(core.KindRefused, "%s has %d MB free in %s; a backup and its rehearsal may take %d MB there for a while", cfg.Node, free>>20, cfg.Scratch, (need+1<<20-1)>>20).
			WithNext("free disk space on %s", cfg.Node)
	}
	return cfg.To.Check(ctx, need/3)
}

// store puts the file at the destination, encrypted if there are recipients.
func (t *leasedBackup) store(ctx context.Context, path string, made *core.ScheduledBackup) error {
	f, err := os.Open(path)
	if err != nil {
		return core.Errorf(core.KindFailed, "the backup on %s cannot be read: %w", t.s.cfg.Node, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	return t.s.cfg.To.Put(ctx, made.Name, func(w io.Writer) error {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		sum := newHashWriter(w)
		if err := encryptTo(sum, f, t.s.cfg.Recipients); err != nil {
			return err
		}
		made.Bytes, made.SHA256 = sum.n, hex.EncodeToString(sum.hash.Sum(nil))
		return nil
	})
}

func encryptTo(w io.Writer, from io.Reader, to []age.Recipient) error {
	if len(to) == 0 {
		_, err := io.Copy(w, from)
		return err
	}
	encrypted, err := age.Encrypt(w, to...)
	if err != nil {
		return err
	}
	_, err = io.Copy(encrypted, from)
	return errors.Join(err, encrypted.Close())
}

// contentDigest is one digest of all tables.
func contentDigest(tables []core.BackupTable) string {
	h := sha256.New()
	for _, t := range tables {
		_, _ = fmt.Fprintf(h, "%s %d %s\n", t.Table, t.Count, t.SHA256) // never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}
