package migrate

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"unibus/core"
)

// runBackup takes a consistent copy of the file and proves that it holds what the
// file held. Every later state reads the copy. Tracking starts first, so that it
// records at least what the backup lacks.
func (j *Job) runBackup(ctx context.Context) (State, error) {
	if err := j.source().Track(ctx); err != nil {
		return StateBackup, err
	}
	before, err := tableDigests(ctx, j.source())
	if err != nil {
		return StateBackup, err
	}
	b, got, err := j.writeBackup(ctx, before)
	if err != nil {
		return StateBackup, unwrapSingle(errors.Join(err, j.removeUnfinishedBackup()))
	}
	err = j.saveStatus(func(s *Status) {
		s.Backup = b
		s.Buckets, s.Progress = initialProgress(got)
	}, clearUnfinished)
	return StateCopy, err
}

// writeBackup writes the copy and reads it back. The journal names the file before
// it exists: after a crash it holds the control plane, or part of it, and must be
// removed.
func (j *Job) writeBackup(ctx context.Context, before []core.Digest) (b Backup, got []core.Digest, err error) {
	if err := j.removeUnfinishedBackup(); err != nil {
		return b, nil, err
	}
	path, err := j.backupPath()
	if err != nil {
		return b, nil, err
	}
	if err := j.cfg.Journal.Update(func(e *Entry) { e.UnfinishedBackup = path }); err != nil {
		return b, nil, err
	}
	b, err = j.cfg.Backup(ctx, path)
	if err != nil {
		why := core.AsError(err)
		err = core.Errorf(why.Kind, "the backup was not taken, and nothing was changed: %w", why).
			WithNext("make sure that %s has free space and can be written; then `unibusd migration resume`", j.backupDir())
		if why.Kind == core.KindExists { // the file belongs to another program
			err = unwrapSingle(errors.Join(err, j.cfg.Journal.Update(clearUnfinished)))
		}
		return b, nil, err
	}
	if got, err = j.backupDigests(ctx, b.Path); err == nil {
		err = j.compareBackup(ctx, before, got)
	}
	return b, got, err
}

// clearUnfinished removes the name of an unfinished backup from the journal.
func clearUnfinished(e *Entry) { e.UnfinishedBackup = "" }

// removeUnfinishedBackup removes a backup that was started and never verified.
func (j *Job) removeUnfinishedBackup() error {
	e, err := j.cfg.Journal.Load()
	if err != nil || e.UnfinishedBackup == "" {
		return err
	}
	if err := RemoveSQLiteFile(e.UnfinishedBackup); err != nil {
		return err
	}
	return j.cfg.Journal.Update(clearUnfinished)
}

// compareBackup accepts a backup that equals the source, before or after it was
// taken. If users wrote meanwhile it may equal neither; the fence then copies
// their changes.
func (j *Job) compareBackup(ctx context.Context, before, got []core.Digest) error {
	if slices.Equal(before, got) {
		return nil
	}
	after, err := tableDigests(ctx, j.source())
	if err != nil {
		return err
	}
	if slices.Equal(before, after) {
		return core.Errorf(core.KindFailed, "the backup does not hold what %s holds; it was removed", j.source().Path()).
			WithNext("check the disk of %s, then start again; nothing was migrated", j.cfg.Node)
	}
	return nil
}

func (j *Job) backupDigests(ctx context.Context, path string) ([]core.Digest, error) {
	c, err := j.openBackup(ctx, path)
	if err != nil {
		return nil, err
	}
	out, err := tableDigests(ctx, c)
	return out, errors.Join(err, c.Close())
}

func (j *Job) openBackup(ctx context.Context, path string) (BackupReader, error) {
	c, err := j.cfg.OpenBackup(ctx, path)
	if err != nil {
		return nil, core.Errorf(core.KindOf(err), "the backup %s cannot be opened: %w", path, err).
			WithNext("start again, which takes a new backup: `%s`", startCommand(j.cfg.Node, j.Status().Source.Path))
	}
	return c, nil
}

// backupPath is an unused name: unibus-20261122-121958.db, or a hidden one for the
// temporary copy of --no-backup.
func (j *Job) backupPath() (string, error) {
	st := j.Status()
	base := strings.TrimSuffix(filepath.Base(j.source().Path()), filepath.Ext(j.source().Path()))
	stem := base + "-" + j.cfg.Now().UTC().Format("20060102-150405")
	if st.Options.NoBackup {
		stem = "." + base + "-moving"
	}
	path := filepath.Join(j.backupDir(), stem+".db")
	if st.Options.NoBackup {
		if err := removeIfExists(path); err != nil {
			return "", core.Errorf(core.KindFailed, "the old temporary copy cannot be removed: %w", err)
		}
	}
	return unusedPath(j.backupDir(), stem)
}

// removeTemporaryBackup removes the copy of --no-backup. A requested backup is
// kept.
func removeTemporaryBackup(s Status) error {
	if !s.Options.NoBackup || s.Backup.Path == "" {
		return nil
	}
	if err := removeIfExists(s.Backup.Path); err != nil {
		return core.Errorf(core.KindFailed, "the temporary copy cannot be removed: %w", err).
			WithNext("remove %s by hand: it holds the whole control plane", s.Backup.Path)
	}
	return nil
}

// tableDigests computes the digest of every table, in the order of core.Tables.
func tableDigests(ctx context.Context, from rowSource) ([]core.Digest, error) {
	var out []core.Digest
	for _, t := range core.Tables() {
		d, err := digestOf(from.Rows(ctx, t))
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// initialProgress is parity and progress before the first row is written.
func initialProgress(source []core.Digest) ([]Parity, []Progress) {
	var buckets []Parity
	var progress []Progress
	for i, t := range core.Tables() {
		buckets = append(buckets, Parity{
			Name: t.Bucket(), Source: source[i], Nodes: map[string]core.Digest{},
			Missing: []string{}, Different: []string{}, Extra: []string{},
		})
		progress = append(progress, Progress{Table: t, Total: source[i].Count})
	}
	return buckets, progress
}
