package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"unibus/core"
	"unibus/core/store/storetest"
)

// empty2 makes an empty file of version 2.
func empty2(t *testing.T) string {
	t.Helper()
	path := dbPath(t)
	w, err := Create(t.Context(), path)
	must(t, err)
	_, err = w.Finish(t.Context())
	must(t, err)
	return path
}

// fill writes a snapshot with a Writer, its rows in a random order.
func fill(t *testing.T, in core.Snapshot) string {
	t.Helper()
	path := dbPath(t)
	w, err := Create(t.Context(), path)
	must(t, err)
	must(t, w.Put(t.Context(), shuffled(in, rand.IntN)))
	_, err = w.Finish(t.Context())
	must(t, err)
	return path
}

func shuffled(in core.Snapshot, intN func(int) int) []core.Row {
	var rows []core.Row
	for _, table := range core.Tables()[:4] {
		rows = append(rows, in.Rows(table)...)
	}
	for i := len(rows) - 1; i > 0; i-- {
		j := intN(i + 1)
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows
}

func TestStoreOfVersion2(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T) core.Store { return opened(t, Config{Path: empty2(t)}) }
	storetest.Run(t, open)
	storetest.RunStates(t, open)
}

// TestVersion2IsServedAndMoved: the same control plane comes back in every form, and a backup is the same again.
func TestVersion2IsServedAndMoved(t *testing.T) {
	t.Parallel()
	want := storetest.Rekeyed(t)
	s := opened(t, Config{Path: fill(t, want)})
	if s.SchemaVersion() != 2 {
		t.Errorf("version %d", s.SchemaVersion())
	}
	got, err := storetest.Export(t.Context(), s)
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Export (-want +got):\n%s", d)
	}
	wantRows(t, s, want)
	must(t, s.Integrity(t.Context()))
	if p, err := s.Problems(t.Context(), 0); err != nil || len(p) > 0 {
		t.Errorf("Problems: %v, %v", p, err)
	}
	info, err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "b.db"))
	must(t, err)
	b := opened(t, Config{Path: info.Path, ReadOnly: true})
	wantRows(t, b, want)
	sum, err := s.Fingerprint(t.Context())
	must(t, err)
	if copied, err := b.Fingerprint(t.Context()); err != nil || copied != sum || b.SchemaVersion() != 2 {
		t.Errorf("fingerprint %s of a backup of %s, %v", copied, sum, err)
	}
	must(t, raw(t, s.Path(), "UPDATE epoch_records SET record = X'01' WHERE epoch = 3"))
	if changed, err := s.Fingerprint(t.Context()); err != nil || changed == sum {
		t.Errorf("a changed record has the same fingerprint, %v", err)
	}
}

// TestVersion2OldIDs: the slow way, where no index has the order of the keys.
func TestVersion2OldIDs(t *testing.T) {
	t.Parallel()
	want := storetest.Rekeyed(t)
	s := opened(t, Config{Path: fill(t, want)})
	must(t, raw(t, s.Path(), "UPDATE users SET id = lower(id)", "UPDATE members SET user_id = lower(user_id) WHERE rowid % 2",
		"UPDATE room_keys SET user_id = substr(user_id, 1, 9) || lower(substr(user_id, 10)) WHERE rowid % 2"))
	wantRows(t, s, want)
}

func TestVersion2Fence(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{Path: fill(t, storetest.Rekeyed(t))})
	before := header(t, s)
	must(t, s.Fence(t.Context()))
	for _, table := range []string{"users", "rooms", "members", "room_keys", "epoch_records"} {
		for _, st := range []string{"DELETE FROM " + table, "UPDATE " + table + " SET rowid = rowid", "INSERT OR REPLACE INTO " + table + " SELECT * FROM " + table + " LIMIT 1"} {
			if err := raw(t, s.Path(), st); err == nil || !strings.Contains(err.Error(), "the control plane is moving") {
				t.Errorf("%s: %v", st, err)
			}
		}
	}
	wantKind(t, New(Config{Path: s.Path()}).Open(t.Context()), core.KindRefused, "fenced")
	mover := opened(t, Config{Path: s.Path(), AllowFenced: true})
	if version, err := texts(t.Context(), s.read, "PRAGMA user_version"); err != nil || version[0] != "1002" || mover.SchemaVersion() != 2 {
		t.Errorf("user_version %v, schema %d, %v", version, mover.SchemaVersion(), err)
	}
	must(t, mover.Lift(t.Context()))
	if d := cmp.Diff(before, header(t, s)); d != "" {
		t.Errorf("Lift left more or less than there was:\n%s", d)
	}
}

func TestVersion2Problems(t *testing.T) {
	t.Parallel()
	in := storetest.Rekeyed(t)
	path := fill(t, in)
	good, err := os.ReadFile(path)
	must(t, err)
	first := in.Records[0]
	at := fmt.Sprintf("%s.%d.%s._record", first.Room, first.Epoch, first.Rec)
	for _, c := range []struct {
		name, sql, table, key, text string
	}{
		{"state of a room", "UPDATE rooms SET state = 'gone' WHERE id = 'a-b'", "rooms", "a-b", `state "gone"`},
		{"state of a member", "UPDATE members SET state = NULL WHERE rowid = 1", "members", "", "state is NULL"},
		{"rec of a room NULL", "UPDATE rooms SET rec = NULL WHERE id = 'a'", "rooms", "a", "rec is NULL"},
		{"rec of a room", "UPDATE rooms SET rec = 'zz' WHERE id = 'a'", "rooms", "a", "not that of its epoch's record"},
		{"rec with a dot", "UPDATE epoch_records SET rec = 'a.b' WHERE epoch = 3", "epoch_records", "a-b.3.a.b._record", "not the name of a record"},
		{"record of no room", "INSERT INTO epoch_records VALUES ('q', 1, 'x', NULL, '0')", "epoch_records", "q.1.x._record", "its room q is not there"},
		{"record above", "INSERT INTO epoch_records VALUES ('a', 9, 'x', NULL, '0')", "epoch_records", "a.9.x._record", "above that of its room"},
		{"prev", "UPDATE epoch_records SET prev = 'zz' WHERE epoch = 3", "epoch_records", at, "not the rec of the epoch before"},
		{"record TEXT", "UPDATE epoch_records SET record = 'abc' WHERE epoch = 3", "epoch_records", at, "record has the type TEXT"},
		{"negative", "INSERT INTO epoch_records VALUES ('a', -1, 'x', NULL, '0')", "epoch_records", "a.-1.x._record", "negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := dbPath(t)
			must(t, os.WriteFile(path, good, 0o600))
			must(t, raw(t, path, c.sql))
			s := opened(t, Config{Path: path})
			got, err := s.Problems(t.Context(), 0)
			must(t, err)
			if !slices.ContainsFunc(got, func(p core.Problem) bool {
				return string(p.Table) == c.table && (c.key == "" || p.Key == c.key) && strings.Contains(p.Text, c.text)
			}) {
				t.Errorf("problems %+v\nwant %s %s %q", got, c.table, c.key, c.text)
			}
		})
	}
}

// genStates draws control planes that versions 2 and 3 can hold and version 1 cannot.
func genStates(t *rapid.T) core.Snapshot {
	s := genSnapshot(t)
	recs := map[epochOf]string{}
	s.Records = nil
	for i := range s.Rooms {
		r := &s.Rooms[i]
		r.State = rapid.SampledFrom([]core.RoomState{core.RoomActive, core.RoomArchived}).Draw(t, "room state")
		first := rapid.Uint64Range(0, uint64(r.Epoch)+1).Draw(t, "first epoch with a record")
		for e := core.Epoch(first); e <= r.Epoch; e++ {
			at := epochOf{r.ID, e}
			recs[at] = rapid.StringMatching(`[a-z0-9]{1,4}`).Draw(t, "rec")
			if recs[at] == core.LegacyRec {
				recs[at] = "00"
			}
			prev := core.LegacyRec
			if p, ok := recs[epochOf{r.ID, e - 1}]; ok {
				prev = p
			}
			record := rapid.SampledFrom([][]byte{nil, {}, {0}, {0, 0xff, '"'}}).Draw(t, "record")
			if rapid.IntRange(0, 9).Draw(t, "lost") > 0 { // a record may have been lost: its keys still have its rec
				s.Records = append(s.Records, core.EpochRecord{Room: r.ID, Epoch: e, Rec: recs[at], Prev: prev, Record: record})
			}
			r.Rec = recs[at]
		}
	}
	for i := range s.Users {
		s.Users[i].Expires = rapid.SampledFrom([]core.Millis{0, 0, 0, 1, storetest.Start}).Draw(t, "expires")
	}
	for i := range s.Members {
		s.Members[i].State = rapid.SampledFrom([]core.MemberState{core.MemberActive, core.MemberRemoved}).Draw(t, "member state")
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		if rec, ok := recs[epochOf{k.Room, k.Epoch}]; ok {
			k.Rec = rec
		}
	}
	s.Sort()
	return s
}

// TestWrittenRowsComeBack: all values, in whatever order and portions they are put, come back byte
// for byte.
func TestWrittenRowsComeBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		want := genStates(rt)
		n++
		path := filepath.Join(dir, fmt.Sprintf("%d.db", n))
		w, err := Create(context.Background(), path)
		must(t, err)
		rows := shuffled(want, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "swap") })
		for part := range slices.Chunk(rows, rapid.IntRange(1, 50).Draw(rt, "portion")) {
			if err := w.Put(context.Background(), part); err != nil {
				rt.Fatalf("Put: %v", err)
			}
		}
		if _, err := w.Finish(context.Background()); err != nil {
			rt.Fatalf("Finish: %v", err)
		}
		s := New(Config{Path: path})
		must(t, s.Open(context.Background()))
		defer func() { must(t, s.Close()); must(t, os.Remove(path)) }()
		wantRows(rt, s, want)
		if n, err := s.Import(context.Background(), want); err != nil || n != 0 {
			rt.Errorf("Import of the same wrote %d, %v", n, err)
		}
		got, err := storetest.Export(context.Background(), s)
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || d != "" {
			rt.Errorf("Export: %v\n%s", err, d)
		}
	})
}

func TestImportIntoVersion2(t *testing.T) {
	t.Parallel()
	path := empty2(t)
	s := opened(t, Config{Path: path})
	rapid.Check(t, func(rt *rapid.T) {
		must(t, raw(t, path, "DELETE FROM users; DELETE FROM rooms; DELETE FROM members; DELETE FROM room_keys; DELETE FROM epoch_records"))
		want := genStates(rt)
		if _, err := s.Import(context.Background(), want); err != nil {
			rt.Fatal(err)
		}
		wantRows(rt, s, want)
	})
}

// TestImportReplacesRecs: a snapshot whose room took another way takes the boxes of the old way with it.
func TestImportReplacesRecs(t *testing.T) {
	t.Parallel()
	in := storetest.Rekeyed(t)
	s := opened(t, Config{Path: fill(t, in)})
	other := in
	other.Rooms, other.Records, other.Keys = slices.Clone(in.Rooms), slices.Clone(in.Records), nil
	last := &other.Records[len(other.Records)-1]
	for i := range other.Rooms {
		if other.Rooms[i].Rec == last.Rec {
			other.Rooms[i].Rec = "another"
		}
	}
	lost := last.Rec
	last.Rec = "another"
	_, err := s.Import(t.Context(), other)
	must(t, err)
	got, err := storetest.Export(t.Context(), s)
	must(t, err)
	for _, k := range got.Keys {
		if k.Rec == lost || k.Rec == "another" {
			t.Errorf("a box of %s counts as one of another key: %+v", lost, k)
		}
	}
	if p, err := s.Problems(t.Context(), 0); err != nil || len(p) > 0 {
		t.Errorf("Problems: %v, %v", p, err)
	}
	two := in
	two.Records = append(slices.Clone(in.Records), core.EpochRecord{Room: last.Room, Epoch: last.Epoch, Rec: "twice", Prev: last.Prev})
	_, err = s.Import(t.Context(), two)
	wantKind(t, err, core.KindInvalid, "two recs")
}

func TestWriterFile(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	w, err := Create(t.Context(), path)
	must(t, err)
	_, err = Create(t.Context(), path)
	wantKind(t, err, core.KindExists, path)
	wantKind(t, New(Config{Path: path}).Open(t.Context()), core.KindInvalid, "schema version 0") // not a whole one yet
	must(t, w.Put(t.Context(), shuffled(storetest.Rekeyed(t), rand.IntN)))
	info, err := w.Finish(t.Context())
	must(t, err)
	if left, err := texts(t.Context(), opened(t, Config{Path: path, ReadOnly: true}).read, "SELECT rec FROM epoch_records WHERE prev IS NULL"); err != nil || len(left) > 0 {
		t.Errorf("notes of the writer are left: %v, %v", left, err)
	}
	must(t, w.Discard()) // does nothing any more
	_, err = w.Finish(t.Context())
	wantKind(t, err, core.KindFailed, "finished already")
	wantKind(t, w.Put(t.Context(), nil), core.KindUnavailable)
	files := contents(t, filepath.Dir(path))
	b := []byte(files[filepath.Base(path)])
	stat, err := os.Stat(path)
	must(t, err)
	if len(files) != 1 || int64(len(b)) != info.Bytes || info.Path != path || stat.Mode() != 0o600 {
		t.Errorf("%d files, %d bytes, %+v, mode %v", len(files), len(b), info, stat.Mode())
	}
	if !bytes.Equal(b[18:20], []byte{1, 1}) || string(b[68:72]) != "UNIB" { // no write-ahead log, our application
		t.Errorf("header %x", b[:100])
	}
	w, err = Create(t.Context(), path+"2")
	must(t, err)
	for range 2 {
		must(t, w.Discard())
	}
	if files := contents(t, filepath.Dir(path)); len(files) != 1 {
		t.Errorf("a discarded file was left: %d files", len(files))
	}
	for bad, kind := range map[string]core.Kind{"": core.KindInvalid, filepath.Join(path, "x"): core.KindFailed} {
		_, err := Create(t.Context(), bad)
		wantKind(t, err, kind)
	}
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	in := storetest.Rekeyed(t)
	key, record, user := core.KeyRow(in.Keys[0]), core.RecordRow(in.Records[0]), core.UserRow(in.Users[0])
	second := in.Keys[len(in.Keys)-1]
	second.Rec = "loser"
	other := in.Records[len(in.Records)-1]
	other.Prev = "loser"
	odd := in.Rooms[0]
	odd.State = "gone"
	w, err := Create(t.Context(), dbPath(t))
	must(t, err)
	defer func() { must(t, w.Discard()) }()
	must(t, w.Put(t.Context(), shuffled(in, rand.IntN)))
	for name, c := range map[string]struct {
		row  core.Row
		kind core.Kind
	}{
		"the index":       {in.Rows(core.TableRoomsByMember)[0], core.KindInvalid},
		"no table":        {core.Row{Table: "else", Key: "k"}, core.KindInvalid},
		"not JSON":        {core.Row{Table: core.TableUsers, Key: user.Key, Value: []byte("{")}, core.KindInvalid},
		"not canonical":   {core.Row{Table: core.TableUsers, Key: string(storetest.NewUserID(t)), Value: append([]byte(" "), user.Value...)}, core.KindInvalid},
		"not an id":       {core.Row{Table: core.TableUsers, Key: "bob", Value: user.Value}, core.KindInvalid},
		"a state":         {core.RoomRow(odd), core.KindInvalid},
		"a user twice":    {user, core.KindExists},
		"a key twice":     {key, core.KindExists},
		"a record twice":  {record, core.KindInvalid},
		"a lost rekey":    {core.KeyRow(second), core.KindInvalid},
		"another history": {core.RecordRow(other), core.KindInvalid},
	} {
		fresh := core.UserRow(storetest.NewUser(t, "goes with the rest"))
		err := w.Put(t.Context(), []core.Row{fresh, c.row})
		if core.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.row.Key) || !strings.Contains(fmt.Sprint(err), string(c.row.Table)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = w.Finish(t.Context())
	must(t, err)
	s := opened(t, Config{Path: w.Path()})
	wantRows(t, s, in)
}

func TestWriterFinishLooksForOrphans(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*core.Snapshot){
		"user":        func(in *core.Snapshot) { in.Users = in.Users[1:] },
		"room":        func(in *core.Snapshot) { in.Rooms = in.Rooms[1:] },
		"rec of room": func(in *core.Snapshot) { in.Rooms = in.Rooms[:1]; in.Members, in.Keys = nil, nil },
		"above":       func(in *core.Snapshot) { in.Keys[0].Epoch = 77 },
	} {
		in := storetest.Rekeyed(t)
		in.Members, in.Keys, in.Rooms = slices.Clone(in.Members), slices.Clone(in.Keys), slices.Clone(in.Rooms)
		spoil(&in)
		w, err := Create(t.Context(), dbPath(t))
		must(t, err)
		must(t, w.Put(t.Context(), shuffled(in, rand.IntN)))
		_, err = w.Finish(t.Context())
		if core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
		wantKind(t, New(Config{Path: w.Path()}).Open(t.Context()), core.KindInvalid)
		must(t, w.Discard())
	}
}
