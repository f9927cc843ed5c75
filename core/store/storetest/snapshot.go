package storetest

import (
	"context"
	"testing"

	"unibus/core"
)

func testExportImport(t *testing.T, s core.Store) {
	ctx := context.Background()
	want := TwoRooms(t)
	written, err := s.Import(ctx, want)
	ok(t, "Import", err)
	if least := len(want.Users) + len(want.Rooms) + len(want.Members) + len(want.Keys); written < least {
		t.Errorf("the first Import wrote %d, want at least %d", written, least)
	}
	equal(t, "Export of what was imported", want, export(t, s))
	for _, table := range core.Tables() {
		a, errA := core.DigestRows(want.Rows(table))
		b, errB := core.DigestRows(export(t, s).Rows(table))
		if errA != nil || errB != nil || a != b {
			t.Errorf("digest of %s: %+v %v, want %+v %v", table, b, errB, a, errA)
		}
	}
	written, err = s.Import(ctx, want)
	if err != nil || written != 0 {
		t.Errorf("the second Import wrote %d, %v; want 0", written, err)
	}
	n, err := s.Counts(ctx)
	counts := core.Counts{Users: len(want.Users), Rooms: len(want.Rooms), Members: len(want.Members), Keys: len(want.Keys)}
	if err != nil || n != counts {
		t.Errorf("Counts: %+v, %v, want %+v", n, err, counts)
	}
	for _, k := range want.Keys {
		wantKey(t, s, k)
	}
	for _, u := range want.Users {
		yes, err := s.IsAuthorized(ctx, u.ID)
		if err != nil || yes != (u.Status == core.UserActive) {
			t.Errorf("IsAuthorized of an imported %s user: %v, %v", u.Status, yes, err)
		}
	}
}

func testImportOverwrites(t *testing.T, s core.Store) {
	ctx := context.Background()
	want := TwoRooms(t)
	own := NewUser(t, "own")
	ok(t, "AddUser", s.AddUser(ctx, own))
	_, err := s.Import(ctx, want)
	ok(t, "Import", err)

	var member core.User
	for _, u := range want.Users {
		if u.Role == core.RoleMember && u.Status == core.UserActive {
			member = u
		}
	}
	_, err = s.SetUserStatus(ctx, member.ID, core.UserRevoked, Start+9)
	ok(t, "SetUserStatus", err)
	written, err := s.Import(ctx, want)
	if err != nil || written != 1 {
		t.Errorf("Import over one changed user wrote %d, %v; want 1", written, err)
	}

	m := want.Members[0]
	ok(t, "RemoveMember", errOf(s.RemoveMember(ctx, m.Room, m.User)))
	written, err = s.Import(ctx, want)
	if err != nil || written == 0 {
		t.Errorf("Import over a removed member wrote %d, %v", written, err)
	}
	all := want
	all.Users = append([]core.User{own}, want.Users...)
	all.Sort()
	equal(t, "Export after Import over changes", all, export(t, s))
	if rooms, err := s.RoomsOf(ctx, m.User); err != nil || len(rooms) == 0 {
		t.Errorf("RoomsOf an imported member: %v, %v", rooms, err)
	}
}
