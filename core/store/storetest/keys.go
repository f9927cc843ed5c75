package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"testing"

	"unibus/core"
)

// Rekey stages boxes of epoch from+1 and moves the room there, under a record
// without content and with a random name.
func Rekey(ctx context.Context, s core.Store, room core.RoomID, from core.Epoch, keys []core.SealedKey) (core.Room, error) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	rec := hex.EncodeToString(b[:])
	if err := s.StageKeys(ctx, room, from, rec, keys); err != nil {
		return core.Room{}, err
	}
	return s.CommitRekey(ctx, room, from, rec, nil)
}

func wantKey(t *testing.T, s core.Store, want core.SealedKey) {
	t.Helper()
	got, err := s.Key(context.Background(), want.Room, want.Epoch, want.User)
	ok(t, "Key", err)
	equal(t, "Key", want, got, noRecs)
}

func noKey(t *testing.T, s core.Store, room core.RoomID, epoch core.Epoch, user core.UserID) {
	t.Helper()
	_, err := s.Key(context.Background(), room, epoch, user)
	wantKind(t, "Key that is not there", err, core.KindNotFound)
}

func holders(t *testing.T, s core.Store, room core.RoomID, want ...core.UserID) {
	t.Helper()
	got, err := s.KeyHolders(context.Background(), room)
	ok(t, "KeyHolders", err)
	equal(t, "KeyHolders", want, got)
}

func testPutKey(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, c := seed(t, s)
	r := NewRoom("r", a.ID)
	r.Epoch = 3
	ok(t, "CreateRoom", s.CreateRoom(ctx, r))
	first, second := NewKey("r", 3, a.ID), NewKey("r", 3, b.ID)
	first.SealedBy = text("somebody")
	second.Box = []byte{}
	ok(t, "PutKey", s.PutKey(ctx, first))
	ok(t, "PutKey", s.PutKey(ctx, second))
	wantKey(t, s, first)
	wantKey(t, s, second)
	noKey(t, s, "r", 3, c.ID)
	noKey(t, s, "r", 2, a.ID)
	noKey(t, s, "none", 3, a.ID)
	holders(t, s, "r", a.ID, b.ID)
	for _, epoch := range []core.Epoch{0, 2, 4} {
		wantKind(t, "PutKey of another epoch", s.PutKey(ctx, NewKey("r", epoch, c.ID)), core.KindConflict)
		noKey(t, s, "r", epoch, c.ID)
	}
	wantKind(t, "PutKey in no room", s.PutKey(ctx, NewKey("none", 0, a.ID)), core.KindNotFound)
	_, err := s.KeyHolders(ctx, "none")
	wantKind(t, "KeyHolders of no room", err, core.KindNotFound)
	if n, err := s.Counts(ctx); err != nil || n.Keys != 2 {
		t.Errorf("Counts: %+v, %v, want 2 keys", n, err)
	}
}

func testRekey(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, c := seed(t, s)
	room := seedRoom(t, s, "r", a.ID)
	seedRoom(t, s, "r-2", a.ID)
	old := NewKey("r", 0, a.ID)
	ok(t, "PutKey", s.PutKey(ctx, old))

	for epoch := range core.Epoch(2) {
		next := []core.SealedKey{NewKey("r", epoch+1, a.ID), NewKey("r", epoch+1, b.ID)}
		asked := []core.SealedKey{next[0], next[1]}
		asked[0].Epoch, asked[0].Rec, asked[1].Rec = 99, "wrong", "" // the store sets both
		got, err := Rekey(ctx, s, "r", epoch, asked)
		ok(t, "Rekey", err)
		room.Epoch = epoch + 1
		equal(t, "Rekey", room, got, noRecs)
		wantKey(t, s, next[0])
		wantKey(t, s, next[1])
		noKey(t, s, "r", epoch+1, c.ID)
	}
	holders(t, s, "r", a.ID, b.ID)
	holders(t, s, "r-2")
	got, err := s.Room(ctx, "r")
	ok(t, "Room", err)
	equal(t, "Room after two rekeys", room, got, noRecs)
	wantKey(t, s, old)
	wantKey(t, s, NewKey("r", 1, b.ID))
	ok(t, "PutKey after Rekey", s.PutKey(ctx, NewKey("r", 2, c.ID)))
	wantKey(t, s, NewKey("r", 2, c.ID))
	if other, err := s.Room(ctx, "r-2"); err != nil || other.Epoch != 0 {
		t.Errorf("a rekey of one room moved another: %+v, %v", other, err)
	}
	if keys := export(t, s).Keys; len(keys) != 6 {
		t.Errorf("Export has %d keys, want those of all three epochs, 6", len(keys))
	}
}

func testRekeyConflict(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, _ := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	_, err := Rekey(ctx, s, "r", 0, []core.SealedKey{NewKey("r", 1, a.ID)})
	ok(t, "Rekey", err)
	before := export(t, s)
	for _, from := range []core.Epoch{0, 2} {
		late := []core.SealedKey{NewKey("r", from+1, a.ID), NewKey("r", from+1, b.ID)}
		late[0].Box = []byte("late")
		_, err = Rekey(ctx, s, "r", from, late)
		wantKind(t, "Rekey from another epoch", err, core.KindConflict)
	}
	equal(t, "what a lost rekey left", before, export(t, s))
	wantKey(t, s, NewKey("r", 1, a.ID))
	noKey(t, s, "r", 1, b.ID)
	noKey(t, s, "r", 3, b.ID)
	_, err = Rekey(ctx, s, "none", 0, nil)
	wantKind(t, "Rekey of no room", err, core.KindNotFound)
}

const (
	someRec  = "00000000000000aa"
	otherRec = "00000000000000bb"
)

// testStaged: staged boxes count from the commit on and not before, and boxes that another maker staged
// never do.
func testStaged(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, c := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	mine := []core.SealedKey{NewKey("r", 1, a.ID), NewKey("r", 1, b.ID)}
	stage := func(rec string, keys ...core.SealedKey) {
		t.Helper()
		ok(t, "StageKeys", s.StageKeys(ctx, "r", 0, rec, keys))
	}
	stage(someRec, mine[1])
	stage(otherRec, NewKey("r", 1, c.ID))
	stage(someRec, mine[0])
	got, err := s.StagedFor(ctx, "r", 0, someRec)
	ok(t, "StagedFor", err)
	equal(t, "StagedFor", []core.UserID{a.ID, b.ID}, got)
	noKey(t, s, "r", 1, a.ID)
	if room, err := s.Room(ctx, "r"); err != nil || room.Epoch != 0 {
		t.Errorf("what is only staged moved the room: %+v, %v", room, err)
	}
	room, err := s.CommitRekey(ctx, "r", 0, someRec, []byte("record 1"))
	ok(t, "CommitRekey", err)
	if room.Epoch != 1 || room.Rec != someRec {
		t.Errorf("CommitRekey: %+v", room)
	}
	wantKey(t, s, mine[0])
	wantKey(t, s, mine[1])
	noKey(t, s, "r", 1, c.ID)
	holders(t, s, "r", a.ID, b.ID)
	for what, f := range map[string]func() error{
		"CommitRekey": func() error { _, err := s.CommitRekey(ctx, "r", 0, otherRec, nil); return err },
		"StageKeys":   func() error { return s.StageKeys(ctx, "r", 0, someRec, mine) },
		"StagedFor":   func() error { _, err := s.StagedFor(ctx, "r", 0, otherRec); return err },
	} {
		wantKind(t, what+" from an epoch that is past", f(), core.KindConflict)
	}
	wantKind(t, "StageKeys under the room's own record", s.StageKeys(ctx, "r", 1, someRec, nil), core.KindInvalid)
	wantKind(t, "StageKeys under no record's name", s.StageKeys(ctx, "r", 1, "a.b", nil), core.KindInvalid)
	wantKind(t, "a box for a stranger", s.StageKeys(ctx, "r", 1, otherRec, []core.SealedKey{NewKey("r", 2, NewUserID(t))}), core.KindNotFound)
	wantKind(t, "a late box for a stranger", s.PutKey(ctx, NewKey("r", 1, NewUserID(t))), core.KindNotFound)
	_, err = Rekey(ctx, s, "r", 1, []core.SealedKey{NewKey("r", 2, NewUserID(t))})
	wantKind(t, "a rekey for a stranger", err, core.KindNotFound)
}

// testStagedByMany: rekeys of one member that never end, in whatever rooms, do
// not take away what another has staged.
func testStagedByMany(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, _ := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	seedRoom(t, s, "s", b.ID)
	stage := func(room core.RoomID, rec string, by core.UserID) {
		t.Helper()
		k, sealer := NewKey(room, 1, by), string(by)
		k.SealedBy = &sealer
		ok(t, "StageKeys", s.StageKeys(ctx, room, 0, rec, []core.SealedKey{k}))
	}
	stage("r", someRec, a.ID)
	for i := range 100 {
		stage([]core.RoomID{"r", "s"}[i%2], fmt.Sprintf("%016x", 0x1000+i), b.ID)
	}
	got, err := s.StagedFor(ctx, "r", 0, someRec)
	ok(t, "StagedFor", err)
	equal(t, "StagedFor after many of another's", []core.UserID{a.ID}, got)
	room, err := s.CommitRekey(ctx, "r", 0, someRec, nil)
	if err != nil || room.Epoch != 1 {
		t.Errorf("CommitRekey after many of another's: %+v, %v", room, err)
	}
	holders(t, s, "r", a.ID)
}

func testEpochs(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, _, _ := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	recs := []string{"0", someRec, otherRec}
	var want []core.EpochRecord
	for e := range core.Epoch(2) {
		ok(t, "StageKeys", s.StageKeys(ctx, "r", e, recs[e+1], []core.SealedKey{NewKey("r", e+1, a.ID)}))
		r := core.EpochRecord{Room: "r", Epoch: e + 1, Rec: recs[e+1], Prev: recs[e], Record: []byte{1, byte(e)}}
		_, err := s.CommitRekey(ctx, "r", e, r.Rec, r.Record)
		ok(t, "CommitRekey", err)
		want = append([]core.EpochRecord{r}, want...)
	}
	for _, c := range []struct {
		upto  core.Epoch
		limit int
		want  []core.EpochRecord
	}{{9, 10, want}, {2, 1, want[:1]}, {1, 10, want[1:]}, {0, 10, nil}} {
		got, err := s.Epochs(ctx, "r", c.upto, c.limit)
		ok(t, "Epochs", err)
		equal(t, "Epochs", c.want, got)
	}
	_, err := s.Epochs(ctx, "none", 1, 1)
	wantKind(t, "Epochs of no room", err, core.KindNotFound)
}

// testOldKeys: the boxes of epochs that were over before a time are deleted, and nothing
// else: not those of the current epoch, of one that was current at that time, and of
// epochs from a legacy database; and no record.
func testOldKeys(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, _ := seed(t, s)
	for _, room := range []core.RoomID{"quiet", "r"} {
		seedRoom(t, s, room, a.ID)
		ok(t, "PutKey", s.PutKey(ctx, NewKey(room, 0, a.ID)))
	}
	for e := range core.Epoch(3) { // made 0, 10 and 20 ms after Start
		boxes := []core.SealedKey{NewKey("r", e+1, a.ID), NewKey("r", e+1, b.ID)}
		for i := range boxes {
			boxes[i].Created += core.Millis(10 * e)
		}
		rec := fmt.Sprintf("%016x", 0x2000+int(e))
		ok(t, "StageKeys", s.StageKeys(ctx, "r", e, rec, boxes))
		_, err := s.CommitRekey(ctx, "r", e, rec, []byte{byte(e)})
		ok(t, "CommitRekey", err)
	}
	for _, c := range []struct {
		before  core.Millis
		limit   int
		deleted int
		left    core.Epoch // the lowest epoch above 0 whose boxes are all there
	}{
		{Start - 1, 9, 0, 1}, {Start + 9, 9, 0, 1}, {Start + 10, 1, 1, 2}, {Start + 15, 9, 1, 2}, {Start + 15, 9, 0, 2}, {Start + 1000, 9, 2, 3}, {Start + 1000, 9, 0, 3},
	} {
		n, err := s.DeleteOldKeys(ctx, c.before, c.limit)
		ok(t, "DeleteOldKeys", err)
		if n != c.deleted {
			t.Errorf("DeleteOldKeys before Start%+d: %d, want %d", c.before-Start, n, c.deleted)
		}
		for e := c.left; e <= 3; e++ {
			for _, u := range []core.UserID{a.ID, b.ID} {
				_, err := s.Key(ctx, "r", e, u)
				ok(t, fmt.Sprintf("Key of epoch %d after DeleteOldKeys before Start%+d", e, c.before-Start), err)
			}
		}
	}
	noKey(t, s, "r", 1, a.ID)
	noKey(t, s, "r", 2, b.ID)
	wantKey(t, s, NewKey("r", 0, a.ID))
	wantKey(t, s, NewKey("quiet", 0, a.ID))
	records, err := s.Epochs(ctx, "r", 3, 9)
	ok(t, "Epochs", err)
	if len(records) != 3 {
		t.Errorf("%d records are left, want all 3", len(records))
	}
	if keys := export(t, s).Keys; len(keys) != 4 {
		t.Errorf("Export has %d keys, want 4", len(keys))
	}
}
