package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"unibus/core"
)

// Source is where the settings of a node came from, so that they can be read again.
type Source struct {
	File    string // "" and no UNIBUS_CONFIG: no file
	Environ []string
	Flags   map[string][]string

	loaded atomic.Pointer[string]  // what Fingerprint returned before the last Load
	from   atomic.Pointer[origins] // of the settings that Load read last
}

// loadTries bounds how often Load reads a file that changes while it is read.
const loadTries = 3

// Load reads the settings anew, as the function of that name does. KindUnavailable for a
// file that changes while it is read: half of a file may be a valid one, with fewer operators.
func (s *Source) Load() (Node, error) {
	for try := 1; ; try++ {
		before := s.Fingerprint() // before: a write in between shows as a change
		s.loaded.Store(&before)
		n, from, err := load(s.File, s.Environ, s.Flags)
		s.from.Store(&from)
		if s.Fingerprint() == before {
			return n, err
		}
		if try == loadTries {
			return Node{}, s.changes()
		}
	}
}

func (s *Source) changes() error {
	return core.Errorf(core.KindUnavailable, "the configuration file %s changes while it is read", s.Path()).
		WithNext("see which program writes it; a file that is written elsewhere and then renamed is whole at every moment")
}

// settlePause is how long a file must not change to be taken for whole.
const settlePause = 300 * time.Millisecond

// Settle waits until the file rests, and no longer than ctx. KindUnavailable where it does not.
func (s *Source) Settle(ctx context.Context) error {
	for before := s.Fingerprint(); ; {
		select {
		case <-ctx.Done():
			return s.changes()
		case <-time.After(settlePause):
		}
		now := s.Fingerprint()
		if now == before {
			return nil
		}
		before = now
	}
}

// LoadedFingerprint is what Fingerprint returned when the settings were last read, successfully or
// not; "" before that.
func (s *Source) LoadedFingerprint() string {
	if loaded := s.loaded.Load(); loaded != nil {
		return *loaded
	}
	return ""
}

// Path is the file that is read; "" where there is none.
func (s *Source) Path() string {
	if s.File != "" {
		return s.File
	}
	return environment(s.Environ)[envConfig]
}

// Fingerprint changes when the file does: its time and size, its content, and its owner
// and mode. A file that cannot be read has one of its own.
func (s *Source) Fingerprint() string {
	info, err := os.Stat(s.Path())
	if err != nil {
		return "unreadable"
	}
	if info.Size() > maxFile {
		return "too large"
	}
	data, err := os.ReadFile(s.Path())
	if err != nil {
		return "unreadable"
	}
	sum := sha256.Sum256(data)
	owner := uint32(0)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = st.Uid
	}
	return fmt.Sprintf("%d %d %s %s %d", info.ModTime().UnixNano(), len(data), hex.EncodeToString(sum[:]), info.Mode(), owner)
}

// Diff names the settings that differ, by their flags.
func Diff(a, b Node) []string {
	var names []string
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		name, _, _ := strings.Cut(va.Type().Field(i).Tag.Get("toml"), ",")
		if name == "-" || reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			continue
		}
		names = append(names, name)
	}
	return names
}
