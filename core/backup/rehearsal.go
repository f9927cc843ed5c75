package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"

	"unibus/core"
	"unibus/core/migrate"
)

// hashWriter counts and hashes what goes through it.
type hashWriter struct {
	to   io.Writer
	hash hash.Hash
	n    int64
}

func newHashWriter(to io.Writer) *hashWriter { return &hashWriter{to: to, hash: sha256.New()} }

// Write implements io.Writer.
func (w *hashWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.hash.Write(p[:n]) // never fails
	w.n += int64(n)
	return n, err
}

// rehearse reads the backup back from its destination and restores it into a temporary
// store. It compares the rows with those that the backup was made of. Without an
// identity the bytes before encryption are restored, and the stored ones are only
// compared by their hash.
func (t *leasedBackup) rehearse(ctx context.Context, snapshot string, want core.Backup, made *core.ScheduledBackup) error {
	from, restored := snapshot, filepath.Join(t.s.cfg.Scratch, "rehearsal.db")
	made.Rehearsal = core.RehearsalPlain
	if !made.Encrypted || len(t.s.cfg.Identities) > 0 {
		made.Rehearsal, from = core.RehearsalStored, filepath.Join(t.s.cfg.Scratch, "stored.db")
		if err := migrate.RemoveSQLiteFile(snapshot); err != nil {
			return err
		}
	}
	if err := t.readBack(ctx, from, *made); err != nil {
		return err
	}
	got, err := Restore(ctx, from, restored, Expect{SHA256: want.SHA256, Signer: t.s.cfg.Sign.Public()})
	if err != nil {
		return core.Errorf(core.KindFailed, "the backup that was put to %s cannot be restored, and was removed: %w", made.To, err).
			WithNext("look at the storage of %s and at the disk of %s", made.To, made.Node)
	}
	if !got.Same(Content{Tables: want.Tables}) || contentDigest(got.Tables) != made.Digest {
		return core.Errorf(core.KindFailed, "what was restored of the backup at %s is not what it was made of (%s); it was removed", made.To, got.Content).
			WithNext("look at the storage of %s and at the disk of %s", made.To, made.Node)
	}
	return nil
}

// readBack reads the stored bytes, compares them with those that were written, and puts
// them into a file, decrypted, where the rehearsal restores them.
func (t *leasedBackup) readBack(ctx context.Context, to string, made core.ScheduledBackup) error {
	stored, err := t.s.cfg.To.Open(ctx, made.Name)
	if err != nil {
		return err
	}
	defer func() { _ = stored.Close() }() // it was only read
	sum := newHashWriter(io.Discard)
	tee := io.TeeReader(stored, sum)
	if made.Rehearsal == core.RehearsalStored {
		err = decryptToFile(tee, to, made.Encrypted, t.s.cfg.Identities)
	}
	if _, rest := io.Copy(io.Discard, tee); err == nil {
		err = rest
	}
	if got := hex.EncodeToString(sum.hash.Sum(nil)); err == nil && got != made.SHA256 {
		return core.Errorf(core.KindFailed, "%s does not return the bytes of the backup that was put there: %d bytes of SHA-256 %s came, not %d of %s; it was removed", made.To, sum.n, got, made.Bytes, made.SHA256).
			WithNext("look at the storage of %s", made.To)
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "the backup cannot be read back from %s, and was removed: %w", made.To, err).
			WithNext("look at the storage of %s", made.To)
	}
	return nil
}

// decryptToFile writes a new file that only its owner may read.
func decryptToFile(from io.Reader, to string, encrypted bool, with []age.Identity) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if encrypted {
		from, err = age.Decrypt(from, with...)
	}
	if err == nil {
		_, err = io.Copy(f, from)
	}
	return errors.Join(err, f.Close())
}
