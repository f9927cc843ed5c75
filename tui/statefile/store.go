package statefile

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"unibus/core"
)

// State is what the console remembers.
type State struct {
	Version int                 `json:"version"`
	Columns map[string][]string `json:"columns,omitempty"` // the titles of the columns that a page shows, from left to right, by its name; the others are hidden
	History []string            `json:"history,omitempty"` // the typed commands, oldest first
}

const (
	version     = 1
	maxHistory  = 100
	maxFileSize = 1 << 20 // a larger file is not the console's
)

// AddCommand makes a command the newest one of the history.
func (s *State) AddCommand(line string) {
	s.History = slices.DeleteFunc(s.History, func(h string) bool { return h == line })
	s.History = append(s.History, line)
	s.History = s.History[max(0, len(s.History)-maxHistory):]
}

// SetColumns sets the columns of a page; nil are those that it has by itself.
func (s *State) SetColumns(page string, titles []string) {
	if titles == nil {
		delete(s.Columns, page)
		return
	}
	if s.Columns == nil {
		s.Columns = map[string][]string{}
	}
	s.Columns[page] = titles
}

func (s State) clone() State {
	s.Columns, s.History = maps.Clone(s.Columns), slices.Clone(s.History)
	return s
}

// Store is the State and its file. Several consoles may have the same file: each change is made to
// what the file has at that moment. Create it with Open. A nil Store remembers nothing.
type Store struct {
	path string

	stateLock sync.Mutex
	state     State
	unsaved   []func(*State)

	fileLock sync.Mutex // held by the one writer
}

// Path is where the file of this user is. The error says why there is none.
func Path(getenv func(string) string) (string, error) {
	dir := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) { // the standard says that a relative one is to be ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", core.Errorf(core.KindFailed, "nothing is remembered, because the home directory is not known: %w", err).WithNext("set HOME or XDG_STATE_HOME")
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "unibus", "console.json"), nil
}

// Open reads the file. With an error the Store has the defaults, and works otherwise: it never
// replaces a file that it cannot read.
func Open(path string) (*Store, error) {
	s := &Store{path: path}
	state, err := s.read()
	s.state = state
	return s, err
}

// State is a copy of what is remembered.
func (s *Store) State() State {
	if s == nil {
		return State{}
	}
	s.stateLock.Lock()
	defer s.stateLock.Unlock()
	return s.state.clone()
}

// Change edits the State. It does no I/O: Save does.
func (s *Store) Change(edit func(*State)) {
	if s == nil {
		return
	}
	s.stateLock.Lock()
	defer s.stateLock.Unlock()
	edit(&s.state)
	s.unsaved = append(s.unsaved, edit)
}

// Save writes the changes that are not saved yet. They are made to the file as it is now, so that
// another console's are kept.
func (s *Store) Save() error {
	if s == nil {
		return nil
	}
	s.fileLock.Lock()
	defer s.fileLock.Unlock()
	s.stateLock.Lock()
	edits := s.unsaved
	s.unsaved = nil
	s.stateLock.Unlock()
	if len(edits) == 0 {
		return nil
	}
	state, err := s.read()
	if err != nil {
		return err
	}
	for _, edit := range edits {
		edit(&state)
	}
	return s.write(state)
}

// read is the content of the file, the defaults where it is missing.
func (s *Store) read() (State, error) {
	text, err := readBounded(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return State{Version: version}, nil
	}
	var state State
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	switch {
	case err != nil:
		return State{Version: version}, unreadable(s.path, err)
	case state.Version != version:
		return State{Version: version}, unreadable(s.path, core.Errorf(core.KindInvalid, "its version is %d, and this console knows %d", state.Version, version))
	}
	state.History = state.History[max(0, len(state.History)-maxHistory):]
	return state, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(text) > maxFileSize {
		err = core.Errorf(core.KindInvalid, "it is larger than 1 MB")
	}
	return text, err
}

func unreadable(path string, err error) error {
	return core.Errorf(core.KindInvalid, "columns and commands are not remembered: %s cannot be read: %w", path, err).
		WithNext("mend or delete %s", core.ShellQuote(path))
}

// write replaces the file at once: whoever reads it meanwhile has the old one or the new one.
func (s *Store) write(state State) error {
	err := s.replaceFile(state)
	if err != nil {
		return core.Errorf(core.KindFailed, "columns and commands are not remembered: %w", err).WithNext("make %s writable", core.ShellQuote(filepath.Dir(s.path)))
	}
	return nil
}

func (s *Store) replaceFile(state State) error {
	dir := filepath.Dir(s.path)
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".console-*.json") // with the mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error counts
	}
	return err
}
