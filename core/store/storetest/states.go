package storetest

import (
	"context"
	"testing"

	"unibus/core"
)

// RunStates runs what only a backend with states and records promises beyond
// Run: archived rooms, removed members that are kept, the records of rekeys.
func RunStates(t *testing.T, open func(t *testing.T) core.Store) {
	for _, c := range []struct {
		name string
		f    func(*testing.T, core.Store)
	}{
		{"ArchivedRooms", testArchivedRooms},
		{"RemovedMembers", testRemovedMembers},
		{"ExportInvitations", testExportInvitations},
		{"RekeyRecords", testRekeyRecords},
		{"ExportImportStates", testExportImportStates},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(t, open(t)) })
	}
}

func testArchivedRooms(t *testing.T, s core.Store) {
	ctx := context.Background()
	u, _, _ := seed(t, s)
	want := NewRoom("old", u.ID)
	want.State, want.Rec = core.RoomArchived, "ignored"
	ok(t, "CreateRoom", s.CreateRoom(ctx, want))
	want.Rec = core.LegacyRec
	got, err := s.Room(ctx, "old")
	ok(t, "Room", err)
	equal(t, "an archived room", want, got)
	odd := NewRoom("odd", u.ID)
	odd.State = "gone"
	wantKind(t, "CreateRoom in an unknown state", s.CreateRoom(ctx, odd), core.KindInvalid)
}

func testRemovedMembers(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, _ := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	gone := NewMember("r", b.ID)
	gone.Proof, gone.InvitedBy = []byte{}, text("somebody")
	ok(t, "PutMember", s.PutMember(ctx, NewMember("r", a.ID)))
	ok(t, "PutMember", s.PutMember(ctx, gone))
	ok(t, "RemoveMember", errOf(s.RemoveMember(ctx, "r", b.ID)))
	gone.State = core.MemberRemoved
	want := core.Snapshot{Members: []core.Member{NewMember("r", a.ID), gone}}
	want.Sort()
	equal(t, "Export keeps who was removed", want.Members, export(t, s).Members)
	equal(t, "the index keeps who was removed", want.Rows(core.TableRoomsByMember), export(t, s).Rows(core.TableRoomsByMember))
	if rooms, err := s.RoomsOf(ctx, b.ID); err != nil || len(rooms) != 0 {
		t.Errorf("RoomsOf somebody who was removed: %v, %v", rooms, err)
	}
	if n, err := s.Counts(ctx); err != nil || n.Members != 1 {
		t.Errorf("Counts: %+v, %v, want 1 member", n, err)
	}
	wantKind(t, "RemoveMember twice", errOf(s.RemoveMember(ctx, "r", b.ID)), core.KindNotFound)
}

func testExportInvitations(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, _ := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	invited := NewMember("r", b.ID)
	invited.State, invited.InvitedBy = core.MemberInvited, text(string(a.ID))
	ok(t, "PutMember", s.PutMember(ctx, NewMember("r", a.ID)))
	ok(t, "PutMember of an invitation", s.PutMember(ctx, invited))
	want := core.Snapshot{Members: []core.Member{NewMember("r", a.ID), invited}}
	want.Sort()
	equal(t, "Export has invitations", want.Members, export(t, s).Members)
	equal(t, "the index has invitations", want.Rows(core.TableRoomsByMember), export(t, s).Rows(core.TableRoomsByMember))
}

func testRekeyRecords(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, _ := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	ok(t, "PutKey", s.PutKey(ctx, NewKey("r", 0, a.ID)))
	prev := core.LegacyRec
	var records []core.EpochRecord
	for epoch := range core.Epoch(2) {
		room, err := s.Rekey(ctx, "r", epoch, []core.SealedKey{NewKey("r", epoch+1, a.ID)})
		ok(t, "Rekey", err)
		records = append(records, core.EpochRecord{Room: "r", Epoch: epoch + 1, Rec: room.Rec, Prev: prev})
		if room.Rec == prev || room.Rec == core.LegacyRec {
			t.Errorf("a rekey has no rec of its own: %q after %q", room.Rec, prev)
		}
		prev = room.Rec
	}
	ok(t, "PutKey", s.PutKey(ctx, NewKey("r", 2, b.ID)))
	got := export(t, s)
	equal(t, "the records of two rekeys", records, got.Records)
	recs := []string{core.LegacyRec, records[0].Rec, records[1].Rec}
	for _, k := range got.Keys {
		one, err := s.Key(ctx, "r", k.Epoch, k.User)
		if err != nil || k.Rec != recs[k.Epoch] || one.Rec != k.Rec {
			t.Errorf("the key of epoch %d has the rec %q in Export and %q in Key, want %q, %v", k.Epoch, k.Rec, one.Rec, recs[k.Epoch], err)
		}
	}
}

func testExportImportStates(t *testing.T, s core.Store) {
	ctx := context.Background()
	want := Rekeyed(t)
	_, err := s.Import(ctx, want)
	ok(t, "Import", err)
	equal(t, "Export of what was imported", want, export(t, s))
	if n, err := s.Import(ctx, want); err != nil || n != 0 {
		t.Errorf("the second Import wrote %d, %v; want 0", n, err)
	}
	for _, k := range want.Keys {
		got, err := s.Key(ctx, k.Room, k.Epoch, k.User)
		ok(t, "Key", err)
		equal(t, "Key", k, got)
	}
}
