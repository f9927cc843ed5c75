package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/storetest"
)

func dbPath(t *testing.T) string { return filepath.Join(t.TempDir(), "unibus.db") }

func create(t *testing.T, path string) *Store {
	t.Helper()
	return opened(t, Config{Path: path, Create: true})
}

func opened(t *testing.T, cfg Config) *Store {
	t.Helper()
	s := New(cfg)
	must(t, s.Open(t.Context()))
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// raw runs statements as another program would, without any check.
func raw(t *testing.T, path string, statements ...string) error {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(2000)&_pragma=synchronous(0)")
	must(t, err)
	defer func() { must(t, db.Close()) }()
	for _, st := range statements {
		if _, err := db.ExecContext(t.Context(), st); err != nil {
			return err
		}
	}
	return nil
}

func wantKind(t *testing.T, err error, want core.Kind, words ...string) {
	t.Helper()
	if core.KindOf(err) != want {
		t.Fatalf("kind %q, want %q (error: %v)", core.KindOf(err), want, err)
	}
	said := core.AsError(err)
	for _, w := range words {
		if !strings.Contains(said.Text, w) {
			t.Errorf("%q does not say %q", said.Text, w)
		}
	}
	for _, leak := range []string{"sql:", "SQLITE_", "no such file or directory"} {
		if strings.Contains(said.Text, leak) {
			t.Errorf("%q speaks the library's language: %q", said.Text, leak)
		}
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) core.Store { return create(t, dbPath(t)) })
}

// TestStoreOnOldFile runs the suite on a file as the first release made it, its
// statements word by word: however our schema changes, such files must be opened.
func TestStoreOnOldFile(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) core.Store {
		path := dbPath(t)
		must(t, raw(t, path, `
CREATE TABLE users(id TEXT PRIMARY KEY, name TEXT, role TEXT, status TEXT, kem_key BLOB, created_at INTEGER, updated_at INTEGER);
CREATE TABLE rooms(id TEXT PRIMARY KEY, name TEXT, owner TEXT, encrypted INTEGER, epoch INTEGER, created_at INTEGER);
CREATE TABLE members(room_id TEXT, user_id TEXT, role TEXT, invited_by TEXT, proof BLOB, joined_at INTEGER, PRIMARY KEY(room_id, user_id));
CREATE TABLE room_keys(room_id TEXT, epoch INTEGER, user_id TEXT, box BLOB, sealed_by TEXT, created_at INTEGER, PRIMARY KEY(room_id, epoch, user_id));
PRAGMA application_id=0x554E4942; PRAGMA user_version=1;`))
		return opened(t, Config{Path: path})
	})
}

// TestSchemaMayBeSpacedOtherwise: white space between words is no other schema, and one inside of a text is.
func TestSchemaMayBeSpacedOtherwise(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	spaced := strings.NewReplacer("(", " (\n\t", ",", " ,\n\t", ")", "\n)").Replace(legacySchema)
	must(t, raw(t, path, spaced, "PRAGMA application_id=0x554E4942", "PRAGMA user_version=1"))
	must(t, opened(t, Config{Path: path}).AddUser(t.Context(), storetest.NewUser(t, "a")))
	for a, b := range map[string]string{"a TEXT DEFAULT '0'": "a TEXT DEFAULT ' 0'", "a b": "ab", "a DEFAULT (1)": "a DEFAULT 1"} {
		if _, same := matchDeclaration("CREATE TABLE t("+a+")", "CREATE TABLE t("+b+")"); same {
			t.Errorf("%q counts as %q", a, b)
		}
	}
}

// TestRaisedFileIsOpened: a file of version 1 that became one of version 2 is declared otherwise than one that was made so.
func TestRaisedFileIsOpened(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	u := storetest.NewUser(t, "a")
	must(t, s.AddUser(t.Context(), u))
	must(t, s.CreateRoom(t.Context(), storetest.NewRoom("r", u.ID)))
	_, err := s.UpdateRoom(t.Context(), "r", core.RoomChange{State: core.RoomArchived})
	must(t, err)
	must(t, s.Track(t.Context()))
	must(t, s.Fence(t.Context()))
	again := opened(t, Config{Path: path, AllowFenced: true})
	if again.SchemaVersion() != 2 {
		t.Errorf("version %d", again.SchemaVersion())
	}
	wantKind(t, New(Config{Path: path, Backup: true, AllowFenced: true}).Open(t.Context()), core.KindInvalid, "_unibus_changes")
}

func TestOpenCreates(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "odd ?name#%41.db")
	s := create(t, path)
	must(t, s.AddUser(t.Context(), storetest.NewUser(t, "a")))
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Mode() != 0o600 {
			t.Errorf("%s has the mode %v", name, info.Mode())
		}
	}
	if s.SchemaVersion() != 1 || s.Path() != path || s.Size() == 0 {
		t.Errorf("version %d, path %q, size %d", s.SchemaVersion(), s.Path(), s.Size())
	}
	must(t, s.Integrity(t.Context()))
	must(t, s.Close())
	again := create(t, path) // Create on a file that is there changes nothing
	if n, err := again.Counts(t.Context()); err != nil || n.Users != 1 {
		t.Errorf("after opening again: %+v, %v", n, err)
	}
	wantKind(t, again.Open(t.Context()), core.KindFailed, "open already")
}

func TestOpenZeroLength(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	must(t, os.WriteFile(path, nil, 0o644))
	wantKind(t, New(Config{Path: path}).Open(t.Context()), core.KindInvalid, path, "empty")
	wantKind(t, New(Config{Path: path, Create: true, ReadOnly: true}).Open(t.Context()), core.KindInvalid, path, "empty")
	// It may have been a control plane: it is not made a new one in silence.
	wantKind(t, New(Config{Path: path, Create: true}).Open(t.Context()), core.KindInvalid, path, "empty")
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("the empty file was touched: %v, %v", info, err)
	}
}

// TestOpenWaitsForWhoMakesTheFile: two processes that start at once share the file that one of them makes.
func TestOpenWaitsForWhoMakesTheFile(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	must(t, os.WriteFile(path, nil, 0o600))
	other := dbPath(t)
	must(t, create(t, other).Close())
	opened := make(chan error, 1)
	go func() {
		s := New(Config{Path: path, Create: true})
		opened <- errors.Join(s.Open(t.Context()), s.Close())
	}()
	must(t, os.Rename(other, path))
	must(t, <-opened)
}

func TestOpenFollowsSymlinks(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	must(t, create(t, path).Close())
	link := filepath.Join(t.TempDir(), "link.db")
	must(t, os.Symlink(path, link))
	if s := opened(t, Config{Path: link}); s.Path() != path {
		t.Errorf("path %q, want %q", s.Path(), path)
	}
}

// TestOpenRefuses gives Open every sort of wrong file: a sentence, and the directory as it was.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	sample := dbPath(t)
	s := create(t, sample)
	_, err := s.Import(t.Context(), storetest.TwoRooms(t))
	must(t, err)
	must(t, s.Close())
	good, err := os.ReadFile(sample)
	must(t, err)
	sql := func(statements ...string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			must(t, os.WriteFile(path, good, 0o600))
			must(t, raw(t, path, append([]string{"PRAGMA journal_mode=DELETE"}, statements...)...))
		}
	}
	file := func(b []byte, mode fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			must(t, os.WriteFile(path, b, 0o600))
			must(t, os.Chmod(path, mode))
		}
	}
	for _, c := range []struct {
		name  string
		make  func(*testing.T, string)
		kind  core.Kind
		words string
	}{
		{"missing", func(*testing.T, string) {}, core.KindNotFound, "does not exist"},
		{"truncated header", file(good[:50], 0o600), core.KindFailed, "truncated"},
		{"truncated in the first page", file(good[:1000], 0o600), core.KindFailed, "truncated"},
		{"truncated by a page", file(good[:len(good)-4096], 0o600), core.KindFailed, "truncated"},
		{"text", file([]byte("hello"), 0o600), core.KindInvalid, "not a SQLite database"},
		{"long text", file(bytes.Repeat([]byte("hello "), 999), 0o600), core.KindInvalid, "not a SQLite database"},
		{"damaged", file(append(bytes.Clone(good[:100]), make([]byte, len(good)-100)...), 0o600), core.KindFailed, "damaged"},
		{"zero length", file(nil, 0o600), core.KindInvalid, "empty"},
		{"another program's", sql("PRAGMA application_id=7"), core.KindInvalid, "another program"},
		{"newer", sql("PRAGMA user_version=3"), core.KindInvalid, "schema version 3"},
		{"version 2 without its columns", sql("PRAGMA user_version=2"), core.KindInvalid, "rooms.rec"},
		{"older", sql("PRAGMA user_version=0"), core.KindInvalid, "schema version 0"},
		{"negative", sql("PRAGMA user_version=-5"), core.KindInvalid, "schema version -5"},
		{"without a column", sql("ALTER TABLE rooms DROP COLUMN epoch"), core.KindInvalid, "rooms.epoch"},
		{"without a table", sql("DROP TABLE members"), core.KindInvalid, "members."},
		{"fenced", sql("PRAGMA user_version=1001"), core.KindRefused, "fenced"},
		{"directory", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, core.KindInvalid, "directory"},
		{"unreadable", file(good, 0o200), core.KindRefused, "permissions"},
		{"not writable", file(good, 0o400), core.KindRefused, "permissions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := dbPath(t)
			c.make(t, path)
			before := contents(t, filepath.Dir(path))
			err := New(Config{Path: path}).Open(t.Context())
			wantKind(t, err, c.kind, path)
			if said := strings.ReplaceAll(core.AsError(err).Text, path, ""); !strings.Contains(said, c.words) { // the path has the test's name in it
				t.Errorf("%q does not say %q", said, c.words)
			}
			if core.AsError(err).Next == "" {
				t.Errorf("%v does not say what to do", err)
			}
			if d := cmp.Diff(before, contents(t, filepath.Dir(path))); d != "" {
				t.Errorf("a refused file was changed:\n%s", d)
			}
		})
	}
}

// contents is every file of a directory, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		b, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		all[e.Name()] = string(b)
	}
	return all
}

func TestOpenInMissingDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "no", "unibus.db")
	wantKind(t, New(Config{Path: path, Create: true}).Open(t.Context()), core.KindNotFound, path)
	wantKind(t, New(Config{}).Open(t.Context()), core.KindInvalid)
}

func TestCreateRaces(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	errs := make(chan error)
	for range 8 {
		s := New(Config{Path: path, Create: true})
		t.Cleanup(func() { _ = s.Close() })
		go func() { errs <- s.Open(context.Background()) }()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	want := storetest.TwoRooms(t)
	_, err := create(t, path).Import(t.Context(), want)
	must(t, err)
	s := opened(t, Config{Path: path, ReadOnly: true})
	got, err := storetest.Export(t.Context(), s)
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	wantKind(t, s.AddUser(t.Context(), storetest.NewUser(t, "a")), core.KindRefused, "reading")
	wantKind(t, s.Fence(t.Context()), core.KindRefused, "reading")
	_, err = s.Backup(t.Context(), filepath.Join(t.TempDir(), "b.db"))
	must(t, err)
}

// TestOldIDs: users' ids in lower and mixed case are one user with one id in upper case.
func TestOldIDs(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	want := storetest.TwoRooms(t)
	_, err := s.Import(t.Context(), want)
	must(t, err)
	must(t, raw(t, path,
		"UPDATE users SET id = lower(id) WHERE rowid % 2", "UPDATE rooms SET owner = lower(owner)",
		"UPDATE members SET user_id = lower(user_id)", "UPDATE room_keys SET user_id = substr(user_id, 1, 9) || lower(substr(user_id, 10))"))

	got, err := storetest.Export(t.Context(), s)
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("Export of a file with ids in lower case:\n%s", d)
	}
	wantRows(t, s, want)
	if n, err := s.Import(t.Context(), want); err != nil || n != 0 {
		t.Errorf("Import of the same: %d, %v", n, err)
	}
	problems, err := s.Problems(t.Context(), 0)
	if err != nil || len(problems) > 0 {
		t.Errorf("Problems: %v, %v", problems, err)
	}
	for _, u := range want.Users {
		wantKind(t, s.AddUser(t.Context(), u), core.KindExists)
		revoked, err := s.SetUserStatus(t.Context(), u.ID, core.UserRevoked, 5)
		if err != nil || revoked.ID != u.ID {
			t.Errorf("SetUserStatus: %v, %v", revoked.ID, err)
		}
		if yes, err := storetest.IsAuthorized(t.Context(), s, u.ID); yes || err != nil {
			t.Errorf("a revoked user is authorized: %v, %v", yes, err)
		}
	}
	k := want.Keys[0]
	if _, err := s.Key(t.Context(), k.Room, k.Epoch, k.User); err != nil {
		t.Error(err)
	}
	m := want.Members[0]
	must(t, s.PutMember(t.Context(), m))
	must(t, errOf(s.RemoveMember(t.Context(), m.Room, m.User)))
	wantKind(t, errOf(s.RemoveMember(t.Context(), m.Room, m.User)), core.KindNotFound)
}

// TestTwoSpellingsDeny: one user in two rows, one of them revoked. Nobody can say which counts.
func TestTwoSpellingsDeny(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	u := storetest.NewUser(t, "a")
	u.Role = core.RoleAdmin
	must(t, s.AddUser(t.Context(), u))
	must(t, raw(t, path, "INSERT INTO users SELECT lower(id), name, role, 'revoked', kem_key, 1, 1 FROM users"))
	yes, err := storetest.IsAuthorized(t.Context(), s, u.ID)
	wantKind(t, err, core.KindFailed, "only in case")
	admin, err := core.HasAdmin(t.Context(), s, u.ID, storetest.Start)
	wantKind(t, err, core.KindFailed, "only in case")
	if yes || admin {
		t.Error("allowed")
	}
}

// TestBusy: another process holds the file. The operation's timeout and the caller's context both end the wait.
func TestBusy(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	quick := opened(t, Config{Path: path, Timeout: 300 * time.Millisecond})
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	must(t, err)
	defer func() { must(t, db.Close()) }()
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)

	u := storetest.NewUser(t, "a")
	start := time.Now()
	wantKind(t, quick.AddUser(t.Context(), u), core.KindUnavailable, path)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wantKind(t, s.AddUser(ctx, u), core.KindUnavailable, path)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("waited %v", took)
	}
	if _, err := s.Users(t.Context()); err != nil {
		t.Errorf("a writer elsewhere stopped a reader: %v", err)
	}
	must(t, tx.Rollback())
	must(t, s.AddUser(t.Context(), u))
}

// TestChangeKnowsWhatWasWritten: a change is told of a commit, and of nothing that a lock or
// a refusal ended before.
func TestChangeKnowsWhatWasWritten(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	quick := opened(t, Config{Path: path, Timeout: 300 * time.Millisecond})
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	must(t, err)
	defer func() { must(t, db.Close()) }()
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	u := storetest.NewUser(t, "a")
	add := func(what string, s *Store, sent bool, kind core.Kind, outcome core.Outcome) {
		t.Helper()
		ctx, change := core.BeginChange(t.Context())
		err := change.Explain(s.AddUser(ctx, u))
		if change.Sent() != sent || core.KindOf(err) != kind || core.OutcomeOf(err) != outcome {
			t.Errorf("%s: sent %v, %v, outcome %q", what, change.Sent(), err, core.OutcomeOf(err))
		}
	}
	add("another process holds the file", quick, false, core.KindUnavailable, core.OutcomeNone)
	must(t, tx.Rollback())
	add("a new user", s, true, "", "")
	add("the same user", s, false, core.KindExists, "")
}

func TestRefusesWhatVersion1CannotHold(t *testing.T) {
	t.Parallel()
	s := create(t, dbPath(t))
	for name, spoil := range map[string]func(*core.Snapshot){
		"record":        func(in *core.Snapshot) { in.Records = []core.EpochRecord{{Room: "a"}} },
		"rec of a room": func(in *core.Snapshot) { in.Rooms[0].Rec = "x" },
		"rec of a key":  func(in *core.Snapshot) { in.Keys[0].Rec = "x" },
		"archived":      func(in *core.Snapshot) { in.Rooms[0].State = core.RoomArchived },
		"no box":        func(in *core.Snapshot) { in.Keys[0].Box = nil },
		"orphan key":    func(in *core.Snapshot) { in.Keys[0].User = storetest.NewUserID(t) },
		"orphan member": func(in *core.Snapshot) { in.Members[0].Room = "nowhere" },
		"orphan room":   func(in *core.Snapshot) { in.Rooms[0].Owner = storetest.NewUserID(t) },
		"role":          func(in *core.Snapshot) { in.Members[0].Role = "king" },
		"user's id":     func(in *core.Snapshot) { in.Users[0].ID = core.UserID(strings.ToLower(string(in.Users[0].ID))) },
		"not UTF-8":     func(in *core.Snapshot) { bad := "\xff"; in.Users[3].Name = &bad },
		"epoch":         func(in *core.Snapshot) { in.Rooms[0].Epoch = 1 << 63 },
	} {
		in := storetest.TwoRooms(t)
		spoil(&in)
		_, err := s.Import(t.Context(), in)
		if core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := s.Counts(t.Context()); err != nil || n != (core.Counts{}) {
		t.Errorf("a refused import left %+v, %v", n, err)
	}
}

func TestImportForgetsRemovedMembers(t *testing.T) {
	t.Parallel()
	s := create(t, dbPath(t))
	in := storetest.TwoRooms(t)
	_, err := s.Import(t.Context(), in)
	must(t, err)
	in.Members[0].State = core.MemberRemoved
	for _, want := range []int{1, 0} {
		if n, err := s.Import(t.Context(), in); err != nil || n != want {
			t.Errorf("Import wrote %d, %v, want %d", n, err, want)
		}
	}
}

func TestRekeyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := create(t, dbPath(t))
	u := storetest.NewUser(t, "a")
	must(t, s.AddUser(t.Context(), u))
	must(t, s.CreateRoom(t.Context(), storetest.NewRoom("r", u.ID)))
	good := storetest.NewKey("r", 1, u.ID)
	noBox := good
	noBox.Box = nil
	for name, keys := range map[string][]core.SealedKey{
		"stranger": {good, storetest.NewKey("r", 1, storetest.NewUserID(t))},
		"twice":    {good, good},
		"no box":   {noBox},
	} {
		if _, err := storetest.Rekey(t.Context(), s, "r", 0, keys); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if r, err := s.Room(t.Context(), "r"); err != nil || r.Epoch != 0 {
		t.Errorf("room at %d, %v", r.Epoch, err)
	}
	if n, err := s.Counts(t.Context()); err != nil || n.Keys != 0 {
		t.Errorf("a refused rekey left %d boxes, %v", n.Keys, err)
	}
}

// errOf drops the record that comes with an error.
func errOf(_ core.Member, err error) error { return err }

func BenchmarkRoomPages(b *testing.B) {
	storetest.BenchmarkRoomPages(b, func(b *testing.B) core.Store {
		s := New(Config{Path: filepath.Join(b.TempDir(), "unibus.db"), Create: true, Timeout: time.Minute})
		if err := s.Open(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		return s
	})
}
