package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"unibus/core"
)

// Exporter is a store that can be exported: its rows without what abandoned rekeys
// left behind.
type Exporter interface {
	// ExportRows yields users, rooms, members and room_keys, one table after the
	// other, each in bytewise key order and at one revision.
	ExportRows(ctx context.Context, each func(core.Row) error) error
}

// FileWriter writes a new SQLite file.
type FileWriter interface {
	// Put writes rows of one table. KindInvalid names a row that the file cannot hold.
	Put(ctx context.Context, rows []core.Row) error
	// Finish checks the file, syncs it and closes it.
	Finish(ctx context.Context) error
	// Discard closes and removes it. After Finish it does nothing.
	Discard() error
}

// Export writes a control plane to a SQLite file, for a rollback and for a backup.
type Export struct {
	From   Exporter
	Create func(ctx context.Context, path string) (FileWriter, error)
	Open   func(ctx context.Context, path string) (BackupReader, error) // reads the file back; nil where the caller compares it with the digests
	Rows   func(t core.Table, rows int)                                 // called after every batch; may be nil
}

// fileTables are the tables of a SQLite file. The index by member is derived from members.
func fileTables() []core.Table {
	return []core.Table{core.TableUsers, core.TableRooms, core.TableMembers, core.TableRoomKeys}
}

// Run writes path, which must not exist, and reads it back. It returns the file
// with the digest of every table as it was read from the store, which is also that
// of the file. After an error the file does not exist.
func (e Export) Run(ctx context.Context, path string) (Backup, map[core.Table]core.Digest, error) {
	w, err := e.Create(ctx, path)
	if err != nil {
		return Backup{}, nil, err
	}
	want, err := e.write(ctx, w)
	if err == nil {
		err = w.Finish(ctx)
	}
	if err != nil {
		return Backup{}, nil, errors.Join(err, w.Discard())
	}
	b, err := e.verifyFile(ctx, path, want)
	if err != nil {
		return Backup{}, nil, errors.Join(err, RemoveSQLiteFile(path))
	}
	return b, want, nil
}

// exportBatch is how many rows are written in one transaction.
const exportBatch = 1000

func (e Export) write(ctx context.Context, w FileWriter) (map[core.Table]core.Digest, error) {
	sums := map[core.Table]*core.Digester{}
	for _, t := range fileTables() {
		sums[t] = core.NewDigester()
	}
	var batch []core.Row
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := w.Put(ctx, batch)
		if err == nil && e.Rows != nil {
			e.Rows(batch[0].Table, len(batch))
		}
		batch = batch[:0]
		return err
	}
	err := e.From.ExportRows(ctx, func(r core.Row) error {
		d, ok := sums[r.Table]
		if !ok {
			return core.Errorf(core.KindFailed, "a row of %s has no place in a SQLite file", r.Table.Bucket())
		}
		d.Add(r.Key, r.Value)
		if len(batch) == exportBatch || len(batch) > 0 && batch[0].Table != r.Table {
			if err := flush(); err != nil {
				return err
			}
		}
		batch = append(batch, r)
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return nil, err
	}
	out := map[core.Table]core.Digest{}
	for t, d := range sums {
		if out[t], err = d.Sum(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// verifyFile reads the finished file and compares it with what was to be written.
func (e Export) verifyFile(ctx context.Context, path string, want map[core.Table]core.Digest) (Backup, error) {
	if e.Open == nil {
		return hashFile(path)
	}
	c, err := e.Open(ctx, path)
	if err != nil {
		return Backup{}, err
	}
	for _, t := range fileTables() {
		var got core.Digest
		if got, err = digestOf(c.Rows(ctx, t)); err == nil && got != want[t] {
			err = core.Errorf(core.KindFailed, "%s does not hold what was written to it: %s differs (%s, not %s)", path, t, count(got.Count, "row"), count(want[t].Count, "row")).
				WithNext("check the disk, then try again; the file was removed")
		}
		if err != nil {
			break
		}
	}
	if err = errors.Join(err, c.Close()); err != nil {
		return Backup{}, unwrapSingle(err)
	}
	return hashFile(path)
}

// hashFile is the path with its size and SHA-256.
func hashFile(path string) (Backup, error) {
	f, err := os.Open(path)
	if err != nil {
		return Backup{}, core.Errorf(core.KindFailed, "%s cannot be read back: %w", path, err)
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return Backup{}, core.Errorf(core.KindFailed, "%s cannot be read back: %w", path, err)
	}
	return Backup{Path: path, SHA256: hex.EncodeToString(h.Sum(nil)), Bytes: n}, nil
}

// RemoveSQLiteFile removes a SQLite file with its -wal, -shm and -journal files. A
// missing file is no error.
func RemoveSQLiteFile(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		errs = append(errs, removeIfExists(path+suffix))
	}
	if err := errors.Join(errs...); err != nil {
		return core.Errorf(core.KindFailed, "an unfinished SQLite file cannot be removed: %w", err).
			WithNext("remove it by hand: it holds the whole control plane")
	}
	return nil
}

// unusedPath is a name in dir that no file has: stem.db, or stem-2.db and so on.
func unusedPath(dir, stem string) (string, error) {
	for i := range 100 {
		path := filepath.Join(dir, stem+".db")
		if i > 0 {
			path = filepath.Join(dir, fmt.Sprintf("%s-%d.db", stem, i+1))
		}
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			return path, nil
		}
	}
	return "", core.Errorf(core.KindFailed, "there is no free name for a file in %s", dir).
		WithNext("move old backups elsewhere, then start again")
}
