package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"unibus/core"
)

// Directory is a Destination on a disk. It is never created: where its file system is
// not mounted, backups would fill another disk.
type Directory struct {
	Path string // absolute
	Node string // whose unfinished files are removed
	Free func(dir string) (int64, error)
}

// String is the path.
func (d Directory) String() string { return d.Path }

// Check removes what a killed process has left, and tries to write.
func (d Directory) Check(_ context.Context, bytes int64) error {
	info, err := os.Stat(d.Path)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return d.unusable(err)
	}
	if err := d.removePartial(); err != nil {
		return d.unusable(err)
	}
	f, err := os.CreateTemp(d.Path, d.partialPrefix()+"try-*")
	if err != nil {
		return d.unusable(err)
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return d.unusable(err)
	}
	free, err := d.Free(d.Path)
	if err != nil {
		return d.unusable(err)
	}
	if free < bytes {
		return core.Errorf(core.KindRefused, "the directory %s of backups has %d MB free, and a backup may take %d MB", d.Path, free>>20, (bytes+1<<20-1)>>20).
			WithNext("free disk space there, or lower backup-keep")
	}
	return nil
}

func (d Directory) unusable(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return core.Errorf(core.KindFailed, "backups cannot be written to the directory %s: %w", d.Path, err).
		WithNext("see that it is there, mounted, and that the user of unibusd may write to it")
}

func (d Directory) partialPrefix() string { return ".unibus-partial-" + d.Node + "-" }

func (d Directory) removePartial() error {
	left, err := os.ReadDir(d.Path)
	for _, e := range left {
		if strings.HasPrefix(e.Name(), d.partialPrefix()) {
			err = errors.Join(err, os.Remove(filepath.Join(d.Path, e.Name())))
		}
	}
	return err
}

// Put writes beside the name, syncs, and gives the file its name.
func (d Directory) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(d.Path, d.partialPrefix()+"*") // 0600
	if err != nil {
		return d.unusable(err)
	}
	err = write(untilDone(ctx, f))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = partialFile{path: f.Name(), final: filepath.Join(d.Path, name)}.place()
	}
	if err == nil {
		return nil
	}
	if removal := os.Remove(f.Name()); removal != nil && !errors.Is(removal, fs.ErrNotExist) {
		err = errors.Join(err, removal)
	}
	if core.KindOf(err) == core.KindExists {
		return err
	}
	return d.unusable(err)
}

// writerFunc is a function as an io.Writer.
type writerFunc func([]byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// untilDone ends a long copy with its context.
func untilDone(ctx context.Context, to io.Writer) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return to.Write(p)
	})
}

// Open implements Destination.
func (d Directory) Open(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(d.Path, name))
	if err != nil {
		return nil, d.unusable(err)
	}
	return f, nil
}

// List implements Destination.
func (d Directory) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return nil, d.unusable(err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Remove implements Destination.
func (d Directory) Remove(_ context.Context, name string) error {
	if err := os.Remove(filepath.Join(d.Path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.unusable(err)
	}
	return nil
}
