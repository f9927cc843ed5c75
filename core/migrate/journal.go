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

// Entry is what a node knows for certain after a crash.
type Entry struct {
	Authority  *core.Authority `json:"authority,omitempty"` // the last record this node saw
	File       string          `json:"file,omitempty"`      // the SQLite file of that generation
	Home       bool            `json:"home,omitempty"`      // a rollback made File the authority: an abort leaves it so
	Unserved   bool            `json:"unserved,omitempty"`  // and nobody has served it yet: KV still holds all of it
	Intent     *Intent         `json:"intent,omitempty"`    // set: the node may have given the authority away
	Move       *Status         `json:"move,omitempty"`      // the move this node does or did
	Checkpoint *Checkpoint     `json:"checkpoint,omitempty"`
	Marks      Marks           `json:"marks,omitempty"` // what was verified; absent before that
}

// Intent is synced before the authority is moved and taken back once the
// outcome is proven. While it stands the node serves nothing and lifts no fence.
type Intent struct {
	From core.Authority `json:"from"`
	To   core.Authority `json:"to"`
	At   core.Millis    `json:"at"`
	File string         `json:"file,omitempty"` // of a rollback: the SQLite file that is written
	Made bool           `json:"made,omitempty"` // and it was this node that made it: nobody else's file is removed

	Reverse bool `json:"reverse,omitempty"` // a rollback that moved the authority to a file nobody could serve is taken back
}

// returned is true where a rollback made this node's file the authority.
func (e Entry) returned(node string) bool {
	a := e.Authority
	return e.Home && a != nil && a.Backend == core.BackendSQLite && a.Node == node
}

// Checkpoint is how far the copy has come: everything up to Key of Table, and
// the tables before it, is in the target.
type Checkpoint struct {
	Table   core.Table `json:"table"`
	Key     string     `json:"key"`
	Removed int        `json:"removed"` // keys the source lacks, removed so far
}

// Mark is a place in a bucket's history: everything up to it was found equal to
// the backup on every replica.
type Mark struct {
	Sequence uint64      `json:"sequence"`
	Kept     int         `json:"kept"`   // keys, those of removed rows and of the mechanism included
	Source   core.Digest `json:"source"` // of the backup
}

// Marks are the places of all five tables.
type Marks map[core.Table]Mark

// after is the key up to which table t was copied; "" for a table not yet begun.
func (c Checkpoint) after(t core.Table) string {
	if c.Table != t {
		return ""
	}
	return c.Key
}

// Journal keeps an Entry. Update is on disk when it returns nil; with an error the old entry stands.
type Journal interface {
	Load() (Entry, error)
	Update(change func(*Entry)) error
}

// FileJournal is a Journal in one small JSON file, replaced as a whole. It may
// be shared by the parts of one process.
type FileJournal struct {
	path string
	mu   sync.Mutex
	last []byte // the content known to be on disk
}

// NewFileJournal names the file; nothing is read or written yet.
func NewFileJournal(path string) *FileJournal { return &FileJournal{path: path} }

// Load reads the file. A missing one is an empty Entry; a damaged one is KindFailed and left as it is.
func (j *FileJournal) Load() (Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.load()
}

// Update reads, changes and replaces the file, synced. Nothing is written where nothing changed.
func (j *FileJournal) Update(change func(*Entry)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, err := j.load()
	if err != nil {
		return err
	}
	change(&e)
	data, err := json.MarshalIndent(e, "", " ")
	if err != nil {
		return core.Errorf(core.KindFailed, "the journal's entry cannot be encoded: %w", err)
	}
	if bytes.Equal(data, j.last) {
		return nil
	}
	if err := replaceFile(j.path, data); err != nil {
		j.last = nil
		return core.Errorf(core.KindFailed, "the journal %s cannot be written: %w", j.path, err).
			WithNext("look at the free space and the rights of its directory; until it can be written the node moves nothing")
	}
	j.last = data
	return nil
}

func (j *FileJournal) load() (Entry, error) {
	var e Entry
	data, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
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
	j.last = data
	return e, nil
}

// replaceFile writes data beside path, syncs it, renames it over path and syncs
// the directory: a crash leaves either the old file or the new one.
func replaceFile(path string, data []byte) error {
	tmp := path + ".new"
	if err := writeSynced(tmp, data); err != nil {
		return errors.Join(err, removeIfThere(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, removeIfThere(tmp))
	}
	return syncDir(filepath.Dir(path))
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

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
