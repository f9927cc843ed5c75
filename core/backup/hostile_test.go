package backup

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/store/sqlite"
	"unibus/core/store/sqlite/hostile"
	"unibus/core/store/storetest"
)

// TestGenuineFilesAreRestored: a file of an earlier release comes back, in its own version, and can be served.
func TestGenuineFilesAreRestored(t *testing.T) {
	t.Parallel()
	for _, name := range hostile.Genuine() {
		from, to := filepath.Join(t.TempDir(), "from.db"), filepath.Join(t.TempDir(), "new.db")
		must(t, os.WriteFile(from, hostile.GenuineFile(name), 0o600))
		want, err := Check(t.Context(), from)
		must(t, err)
		r, err := Restore(t.Context(), from, to, Expect{})
		if err != nil || !r.Same(want) || r.Schema != want.Schema || r.Tables[0].Count == 0 || r.Signed != nil {
			t.Errorf("%s: %+v, %v, not %+v", name, r, err, want)
		}
		only(t, from)
		s := sqlite.New(sqlite.Config{Path: to})
		must(t, errors.Join(s.Open(t.Context()), s.AddUser(t.Context(), storetest.NewUser(t, "new")), s.Close()))
	}
}

// TestRestoreRefusesHostileSchemas: nothing of it runs, and nothing is made of it.
func TestRestoreRefusesHostileSchemas(t *testing.T) {
	t.Parallel()
	good := hostile.GenuineFile("version1")
	files := append(hostile.Schemas(), hostile.File{Name: "a table of signatures that is another", SQL: []string{"CREATE TABLE backup_signature(format INTEGER)"}},
		hostile.File{Name: "a view of signatures", SQL: []string{"CREATE VIEW backup_signature AS SELECT 1 AS format"}})
	for _, f := range files {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			from, to := filepath.Join(t.TempDir(), "from.db"), filepath.Join(t.TempDir(), "new.db")
			must(t, os.WriteFile(from, good, 0o600))
			must(t, hostile.Spoil(from, append([]string{"PRAGMA journal_mode=DELETE"}, f.SQL...)...))
			before, err := os.ReadFile(from)
			must(t, err)
			began := time.Now()
			if _, err = Restore(t.Context(), from, to, Expect{}); err == nil || core.AsError(err).Next == "" {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			only(t, to)
			if _, err := os.Stat(to); err == nil {
				t.Error("there is a new database")
			}
			only(t, from)
			if after, err := os.ReadFile(from); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
}

// TestRestoreRefusesAStaleIndex: by the index of users one is not there who is, and the other way round.
func TestRestoreRefusesAStaleIndex(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "from.db"), filepath.Join(t.TempDir(), "new.db")
	must(t, os.WriteFile(from, hostile.GenuineFile("version1"), 0o600))
	must(t, hostile.StaleIndex(from, "DELETE FROM users WHERE status = 'revoked'"))
	_, err := Restore(t.Context(), from, to, Expect{})
	wantKind(t, err, core.KindFailed, "damaged")
	only(t, to)
}

// TestRestoreRefusesWhatLiesBeside: a journal may write any page over the file's, and of a log no SHA-256 speaks.
func TestRestoreRefusesWhatLiesBeside(t *testing.T) {
	t.Parallel()
	from, to := database(t), filepath.Join(t.TempDir(), "new.db")
	must(t, os.WriteFile(from+"-journal", []byte("journal"), 0o600))
	_, err := Restore(t.Context(), from, to, Expect{})
	wantKind(t, err, core.KindInvalid, "-journal")
	must(t, os.Remove(from+"-journal"))

	s := sqlite.New(sqlite.Config{Path: from})
	must(t, s.Open(t.Context()))
	defer func() { must(t, s.Close()) }()
	must(t, s.AddUser(t.Context(), storetest.NewUser(t, "late")))
	digest, _, err := fileSHA256(from)
	must(t, err)
	_, err = Restore(t.Context(), from, to, Expect{SHA256: digest})
	wantKind(t, err, core.KindInvalid, "-wal")
	only(t, to)
}

// TestRestoreMakesTheFileItself: page by page it is another file, with nothing in it but rows.
func TestRestoreMakesTheFileItself(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "from.db"), filepath.Join(t.TempDir(), "new.db")
	must(t, os.WriteFile(from, hostile.GenuineFile("version1"), 0o600))
	const secret = "what was deleted and is still on a page"
	must(t, hostile.Spoil(from, "PRAGMA journal_mode=DELETE", "PRAGMA page_size=8192", "VACUUM",
		"INSERT INTO users VALUES ('"+secret+"', NULL, 'admin', 'active', NULL, 1, 1)", "DELETE FROM users WHERE id = '"+secret+"'"))
	if b, err := os.ReadFile(from); err != nil || !bytes.Contains(b, []byte(secret)) {
		t.Fatalf("the test needs it to be there: %v", err)
	}
	r, err := Restore(t.Context(), from, to, Expect{})
	must(t, err)
	b, err := os.ReadFile(to)
	must(t, err)
	if bytes.Contains(b, []byte(secret)) || r.Schema != 1 || b[16] != 4096>>8 {
		t.Errorf("pages of the file came along (version %d, page size %d)", r.Schema, int(b[16])<<8)
	}
}

// bases are whole files, the last of them signed, and the contents of each.
func bases(t testing.TB) (files [][]byte, contents []Content) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base.db")
	for _, name := range append(hostile.Genuine(), "version1") {
		must(t, os.WriteFile(path, hostile.GenuineFile(name), 0o600))
		c, err := Check(t.Context(), path)
		must(t, err)
		if len(files) == len(hostile.Genuine()) {
			_, err = sign(t.Context(), testKeyOfZeroes(t), "n1", path, c, time.UnixMilli(1))
			must(t, err)
		}
		b, err := os.ReadFile(path)
		must(t, err)
		files, contents = append(files, b), append(contents, c)
	}
	return files, contents
}

// FuzzRestoreMutatedFile: a file with changed bytes is refused, or the restored file is sound. A sound
// one has a whole control plane, is the same when it is read again, and of a signed file has the
// signed rows.
func FuzzRestoreMutatedFile(f *testing.F) {
	files, contents := bases(f)
	random := rand.New(rand.NewPCG(1, 2))
	for which, b := range files {
		for range 20 {
			f.Add(uint8(which), random.Uint32N(uint32(len(b))), []byte{byte(random.Uint32()), byte(random.Uint32())}, uint32(0))
		}
		for _, at := range []uint32{16, 18, 24, 28, 40, 44, 47, 52, 56, 60, 63, 68, 100, 103, 105, 108} { // of the header and of the schema's page
			f.Add(uint8(which), at, []byte{0xFF}, uint32(0))
			f.Add(uint8(which), at, []byte{0, 0, 0, 2}, uint32(0))
		}
		for page := range uint32(len(b) / 1024) { // an interior page of a table, and one of an index, that leads to itself
			f.Add(uint8(which), page*1024, []byte{5, 0, 0, 0, 1, 0, 20, 0, 0, 0, 0, byte(page + 1), 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(page + 1), 1}, uint32(0))
			f.Add(uint8(which), page*1024, []byte{2, 0, 0, 0, 1, 0, 20, 0, 0, 0, 0, byte(page + 1), 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(page + 1), 1, 1}, uint32(0))
			f.Add(uint8(which), uint32(0), []byte{}, page*1024+512)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, base uint8, at uint32, patch []byte, cut uint32) {
		which := int(base) % len(files)
		b := bytes.Clone(files[which])
		if cut > 0 {
			b = b[:int(cut)%len(b)]
		}
		if len(b) > 0 {
			copy(b[int(at)%len(b):], patch)
		}
		restored(t, dir, b, contents[which])
	})
}

// restored restores a file, which must end in time, and judges what came of it.
func restored(t *testing.T, dir string, b []byte, was Content) {
	t.Helper()
	here, err := os.MkdirTemp(dir, "")
	must(t, err)
	defer func() { must(t, os.RemoveAll(here)) }()
	from, to := filepath.Join(here, "from.db"), filepath.Join(here, "new.db")
	must(t, os.WriteFile(from, b, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := Restore(ctx, from, to, Expect{})
	if ctx.Err() != nil {
		t.Fatal("it did not end in time")
	}
	if err != nil {
		if _, there := os.Stat(to); there == nil {
			t.Errorf("%v, and there is a new file", err)
		}
		return
	}
	if r.Signed != nil && !r.Same(was) {
		t.Errorf("what %s signed are other rows: %s, not %s", r.Signed.Node, r.Content, was)
	}
	got, err := Check(t.Context(), to)
	if err != nil || !got.Same(r.Content) {
		t.Errorf("what was made holds %s, not %s: %v", got, r.Content, err)
	}
}

const maxFuzzedSQL = 4 << 10

// FuzzHostileSchema runs SQL on a file before it is given to restore. Either the file is refused, or
// its restore is a whole control plane and holds nothing but rows.
func FuzzHostileSchema(f *testing.F) {
	for _, file := range hostile.Schemas() {
		if sql := strings.Join(file.SQL, ";\n"); len(sql) < maxFuzzedSQL { // a long one would take all of the time
			f.Add(sql)
		}
	}
	f.Add("UPDATE users SET role = 'admin'")
	f.Add("PRAGMA writable_schema=1; UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'users'")
	good, dir := hostile.GenuineFile("version1"), f.TempDir()
	f.Fuzz(func(t *testing.T, sql string) {
		if lower := strings.ToLower(sql); len(sql) >= maxFuzzedSQL || strings.Contains(lower, "attach") || strings.Contains(lower, "into") && strings.Contains(lower, "vacuum") {
			t.Skip("it would write elsewhere")
		}
		path := filepath.Join(dir, "spoiled.db")
		must(t, os.WriteFile(path, good, 0o600))
		err := hostile.SpoilWithin(time.Second, path, "PRAGMA journal_mode=DELETE", sql)
		b, readErr := os.ReadFile(path)
		must(t, errors.Join(readErr, removeAll(path)))
		if err != nil && bytes.Equal(b, good) {
			t.Skip(err)
		}
		restored(t, dir, b, Content{})
	})
}

func removeAll(path string) error {
	return errors.Join(os.Remove(path), os.RemoveAll(path+"-wal"), os.RemoveAll(path+"-shm"), os.RemoveAll(path+"-journal"))
}
