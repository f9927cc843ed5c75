package node

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/store/sqlite"
	"unibus/core/store/storetest"
)

// countedFile counts how often the whole of it is read.
type countedFile struct {
	*sqlite.Store
	read int
	fail error
}

func (f *countedFile) Fingerprint(ctx context.Context) (string, error) {
	f.read++
	if f.fail != nil {
		return "", f.fail
	}
	return f.Store.Fingerprint(ctx)
}

func TestFingerprintIsReadOnceTheFileWasWritten(t *testing.T) {
	t.Parallel()
	db := sqlite.New(sqlite.Config{Path: filepath.Join(t.TempDir(), "unibus.db"), Create: true})
	if err := db.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	file := &countedFile{Store: db, fail: core.Errorf(core.KindUnavailable, "busy")}
	var f fileFingerprint
	see := func() { f.update(t.Context(), file) }

	if see(); f.latest.Load() != nil {
		t.Error("a reading that failed left a fingerprint")
	}
	file.fail = nil
	see() // it is tried again, and once more after the first sight of the file
	see()
	empty, read := *f.latest.Load(), file.read
	for range 5 {
		see()
	}
	if file.read != read || *f.latest.Load() != empty {
		t.Errorf("a file that was not written was read %d times more", file.read-read)
	}

	u := storetest.NewUser(t, "somebody")
	if err := db.AddUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if see(); *f.latest.Load() == empty {
		t.Error("the fingerprint did not change with a new row")
	}
	want, err := db.Fingerprint(t.Context())
	if err != nil || *f.latest.Load() != want {
		t.Errorf("the fingerprint is %s, want %s, %v", *f.latest.Load(), want, err)
	}
}

// slowFile takes a moment to be read.
type slowFile struct{ path string }

func (f slowFile) Path() string { return f.path }
func (f slowFile) Fingerprint(context.Context) (string, error) {
	<-time.After(fingerprintEvery / fingerprintShare * 2)
	return "sum", nil
}

func TestFingerprintOfALargeFileIsSoughtRarely(t *testing.T) {
	t.Parallel()
	var f fileFingerprint
	file := slowFile{t.TempDir() + "/large.db"}
	if pause := f.update(t.Context(), file); pause < 2*fingerprintEvery {
		t.Errorf("after a long reading it pauses for %s", pause)
	}
	f.update(t.Context(), file)
	if pause := f.update(t.Context(), file); pause != fingerprintEvery {
		t.Errorf("where nothing was read it pauses for %s", pause)
	}
}
