package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"unibus/core"
)

// FileJournal is a Journal in one small JSON file that is replaced as a whole. It
// is safe for concurrent use in one process.
type FileJournal struct {
	path        string
	mu          sync.Mutex
	content     []byte // the content in force; nil: no file
	mustRestore bool   // an Update failed after it replaced the file

	syncDir func(dir string) error
}

// NewFileJournal names the file; it reads and writes nothing yet.
func NewFileJournal(path string) *FileJournal {
	return &FileJournal{path: path, syncDir: syncDir}
}

// Load reads the file. A missing one is an empty Entry. A damaged one is
// KindFailed and stays as it is.
func (j *FileJournal) Load() (Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.read()
}

// Update reads, changes and replaces the file, and syncs it. It writes nothing if
// nothing changed.
func (j *FileJournal) Update(change func(*Entry)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, err := j.read()
	if err != nil {
		return err
	}
	change(&e)
	data, err := json.MarshalIndent(e, "", " ")
	if err != nil {
		return core.Errorf(core.KindFailed, "the journal's entry cannot be encoded: %w", err)
	}
	if bytes.Equal(data, j.content) {
		return nil
	}
	if err := j.replace(data); err != nil {
		return core.Errorf(core.KindFailed, "the journal %s cannot be written: %w", j.path, err).
			WithNext("check the free space and the permissions of its directory; until it can be written the node migrates nothing")
	}
	j.content = data
	return nil
}

// replace restores the old content when it fails: a caller was told that the new
// one is not recorded, so no later read may return it.
func (j *FileJournal) replace(data []byte) error {
	renamed, err := replaceFile(j.path, data)
	if err == nil {
		err = j.syncDir(filepath.Dir(j.path))
	}
	if err != nil && renamed {
		j.mustRestore = true
		err = errors.Join(err, j.restore())
	}
	return err
}

// restore puts the old content back. A crash before it succeeds may leave either
// content, as after any write that was never known to be on disk.
func (j *FileJournal) restore() error {
	if !j.mustRestore {
		return nil
	}
	var err error
	if j.content == nil {
		err = removeIfExists(j.path)
	} else {
		_, err = replaceFile(j.path, j.content)
	}
	if err == nil {
		j.mustRestore = false
		_ = j.syncDir(filepath.Dir(j.path)) // it has just failed; the next Update reports it if it still does
	}
	return err
}

func (j *FileJournal) read() (Entry, error) {
	var e Entry
	if err := j.restore(); err != nil {
		return e, core.Errorf(core.KindFailed, "the journal %s holds an entry that could not be synced, and the old entry cannot be restored: %w", j.path, err).
			WithNext("check the free space and the permissions of its directory; until it can be written the node migrates nothing")
	}
	data, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		j.content = nil
		return e, nil
	}
	if err != nil {
		return e, core.Errorf(core.KindFailed, "the journal cannot be read: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&e); err != nil || dec.More() {
		return Entry{}, core.Errorf(core.KindFailed, "the journal %s is damaged: it is not the JSON document this program writes", j.path).
			WithNext("do not delete it: it says whether this node may serve its SQLite file; restore it from a backup of the data directory, or ask another node's status for the authority")
	}
	j.content = data
	return e, nil
}

// replaceFile writes data beside path, syncs it and renames it over path: a crash
// leaves the old file or the new one. The new one is durable once the directory is
// synced.
func replaceFile(path string, data []byte) (renamed bool, err error) {
	tmp := path + ".new"
	if err := writeSynced(tmp, data); err != nil {
		return false, errors.Join(err, removeIfExists(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return false, errors.Join(err, removeIfExists(tmp))
	}
	return true, nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func removeIfExists(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
