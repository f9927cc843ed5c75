package audit

import (
	"errors"
	"io/fs"
	"os"
)

// FileState says whether the node's own file is the one that the Log has written to.
type FileState string

// The states of the file.
const (
	FileInPlace  FileState = ""
	FileMissing  FileState = "missing"
	FileReplaced FileState = "replaced" // by another file, or begun anew after it was removed
	FileCut      FileState = "cut"      // it is shorter than what was written
)

// FileState compares the file at its path with the one that was written to. A file that
// took the place of a removed one stays a fault until the next Open: the records before are
// not in it.
func (l *Log) FileState() FileState { return l.file.place() }

func (f *file) place() FileState {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == nil {
		return FileInPlace // there is none yet
	}
	mine, err := f.held.Stat()
	if err != nil {
		return FileMissing
	}
	info, err := os.Stat(f.path)
	switch {
	case err != nil:
		return FileMissing
	case !os.SameFile(mine, info):
		return FileReplaced
	case info.Size() < f.size:
		return FileCut
	}
	return FileInPlace
}

// hold keeps the file open, so that no other file gets its inode. It is called after the
// file was opened or made, and does nothing where one is held.
func (f *file) hold() error {
	if f.held != nil {
		return nil
	}
	held, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return f.failed("read", err)
	}
	f.held = held
	return nil
}

// release is for a file that was closed, or has moved away.
func (f *file) release() error {
	held := f.held
	f.held = nil
	if held == nil {
		return nil
	}
	return held.Close()
}
