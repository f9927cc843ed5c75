package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"unibus/core"
	"unibus/core/migrate"
)

// partialFile is a file that is being written, hidden beside the name that it gets
// once it is whole. An existing file is never overwritten.
type partialFile struct {
	path  string // of the partial file
	final string // absolute
}

// newPartialFile finds the names and makes nothing yet. KindExists, also for what
// SQLite would take for a part of the new file.
func newPartialFile(final string) (partialFile, error) {
	abs, err := filepath.Abs(final)
	if err != nil || final == "" {
		return partialFile{}, core.Errorf(core.KindInvalid, "%q is not a path for a file", final)
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		switch _, err := os.Lstat(abs + suffix); {
		case err == nil && suffix == "":
			return partialFile{}, exists(abs)
		case err == nil:
			return partialFile{}, core.Errorf(core.KindExists, "%s%s is left of a database that was there: SQLite would take it for a part of the new one", abs, suffix).
				WithNext("move it away, or give another name")
		case !errors.Is(err, fs.ErrNotExist):
			return partialFile{}, unwritable(abs, err)
		}
	}
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program instead
	name := "." + filepath.Base(abs) + ".partial-" + hex.EncodeToString(random[:])
	return partialFile{path: filepath.Join(filepath.Dir(abs), name), final: abs}, nil
}

func exists(path string) error {
	return core.Errorf(core.KindExists, "%s is there already and is not written over", path).WithNext("give another name")
}

func unwritable(path string, err error) error {
	return core.Errorf(core.KindFailed, "%s cannot be written: %w", path, err).
		WithNext("see that its directory is there, is yours and has free space")
}

// create makes the partialFile, which only its owner may read.
func (d partialFile) create() (*os.File, error) {
	f, err := os.OpenFile(d.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, unwritable(d.final, err)
	}
	return f, nil
}

// place gives the partial file its name unless another process took it meanwhile, and syncs the directory.
func (d partialFile) place() error {
	switch err := os.Link(d.path, d.final); {
	case errors.Is(err, fs.ErrExist):
		return exists(d.final)
	case err != nil:
		return d.placeWithoutLinks()
	}
	return d.settle(os.Remove(d.path))
}

// placeWithoutLinks is for file systems without hard links: a name that was
// free a moment ago is ours, and our own empty file is replaced.
func (d partialFile) placeWithoutLinks() error {
	f, err := os.OpenFile(d.final, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return exists(d.final)
	case err != nil:
		return unwritable(d.final, err)
	}
	if err := errors.Join(f.Close(), os.Rename(d.path, d.final)); err != nil {
		return errors.Join(unwritable(d.final, err), os.Remove(d.final))
	}
	return d.settle(nil)
}

func (d partialFile) settle(err error) error {
	dir, openErr := os.Open(filepath.Dir(d.final))
	if openErr == nil {
		openErr = errors.Join(dir.Sync(), dir.Close())
	}
	if err = errors.Join(err, openErr); err != nil {
		return core.Errorf(core.KindFailed, "%s is written, and its directory could not be put on disk: %w", d.final, err)
	}
	return nil
}

// stopped says so where it was the caller who ended it.
func stopped(ctx context.Context, d partialFile, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return core.Errorf(core.KindFailed, "stopped; nothing was written to %s", d.final)
}

// discard removes what is left of a partial file that was not placed.
func (d partialFile) discard() error { return migrate.RemoveSQLiteFile(d.path) }
