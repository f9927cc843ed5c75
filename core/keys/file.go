package keys

import (
	"errors"
	"os"
	"path/filepath"
)

// unfinished begins the name of a file that is not yet the one it is to replace.
const unfinished = ".new-"

// Replace writes a file of mode 0600 in place of another one, synced: after a
// crash it is the old one or the new one, never a part. What a crash leaves
// beside it ClearUnfinished removes.
func Replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished+"*") // 0600
	if err != nil {
		return err
	}
	err = errors.Join(writeAll(f, data), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

// ClearUnfinished removes what processes that were killed left of a Replace in a
// directory that is the caller's alone.
func ClearUnfinished(dir string) error {
	left, err := os.ReadDir(dir)
	for _, e := range left {
		if ok, _ := filepath.Match(unfinished+"*", e.Name()); ok {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
