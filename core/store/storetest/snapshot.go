package storetest

import (
	"context"
	"testing"

	"unibus/core"
)

// rowExporter hands out the rows of users, rooms, members and room_keys, each
// table in bytewise key order. It ends with the first error of each.
type rowExporter interface {
	ExportRows(ctx context.Context, each func(core.Row) error) error
}

// Export reads a whole store of either backend.
func Export(ctx context.Context, s core.Store) (core.Snapshot, error) {
	from, ok := s.(rowExporter)
	if !ok {
		return core.Snapshot{}, core.Errorf(core.KindFailed, "a store of the backend %s exports no rows", s.Backend())
	}
	var out core.Snapshot
	if err := from.ExportRows(ctx, func(r core.Row) error { return appendRow(&out, r) }); err != nil {
		return core.Snapshot{}, err
	}
	return out, nil
}

// appendRow decodes a row to the end of its slice.
func appendRow(s *core.Snapshot, r core.Row) error {
	switch r.Table {
	case core.TableUsers:
		return appendDecoded(&s.Users, core.DecodeUser, r)
	case core.TableRooms:
		return appendDecoded(&s.Rooms, core.DecodeRoom, r)
	case core.TableMembers:
		return appendDecoded(&s.Members, core.DecodeMember, r)
	case core.TableRoomKeys:
		key, record, err := core.DecodeKey(r)
		switch {
		case err != nil:
			return err
		case record != nil:
			s.Records = append(s.Records, *record)
		default:
			s.Keys = append(s.Keys, *key)
		}
		return nil
	}
	return core.Errorf(core.KindFailed, "a row of %s was exported, which is derived or unknown", r.Table)
}

func appendDecoded[T any](to *[]T, decode func(core.Row) (T, error), r core.Row) error {
	v, err := decode(r)
	if err == nil {
		*to = append(*to, v)
	}
	return err
}

// DigestRows is the digest of rows that are in bytewise key order.
func DigestRows(rows []core.Row) (core.Digest, error) {
	d := core.NewDigester()
	for _, r := range rows {
		d.Add(r.Key, r.Value)
	}
	return d.Sum()
}

// Import writes a snapshot over what is in a store of either backend, and returns how
// many keys or rows it put. Equal ones are not written, rows that the snapshot lacks
// are left alone.
func Import(ctx context.Context, s core.Store, in core.Snapshot) (written int, err error) {
	switch s := s.(type) {
	case interface {
		Import(ctx context.Context, in core.Snapshot) (int, error)
	}:
		return s.Import(ctx, in)
	case interface {
		PutRows(ctx context.Context, rows []core.Row) (int, error)
	}:
		for _, t := range core.Tables() {
			n, err := s.PutRows(ctx, in.Rows(t))
			written += n
			if err != nil {
				return written, err
			}
		}
		return written, nil
	}
	return 0, core.Errorf(core.KindFailed, "a store of the backend %s imports nothing", s.Backend())
}

func testExportImport(t *testing.T, s core.Store) {
	ctx := context.Background()
	want := TwoRooms(t)
	written, err := Import(ctx, s, want)
	ok(t, "Import", err)
	if least := len(want.Users) + len(want.Rooms) + len(want.Members) + len(want.Keys); written < least {
		t.Errorf("the first Import wrote %d, want at least %d", written, least)
	}
	equal(t, "Export of what was imported", want, export(t, s))
	for _, table := range core.Tables() {
		a, errA := DigestRows(want.Rows(table))
		b, errB := DigestRows(export(t, s).Rows(table))
		if errA != nil || errB != nil || a != b {
			t.Errorf("digest of %s: %+v %v, want %+v %v", table, b, errB, a, errA)
		}
	}
	written, err = Import(ctx, s, want)
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
		yes, err := IsAuthorized(ctx, s, u.ID)
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
	_, err := Import(ctx, s, want)
	ok(t, "Import", err)

	var member core.User
	for _, u := range want.Users {
		if u.Role == core.RoleMember && u.Status == core.UserActive {
			member = u
		}
	}
	_, err = s.SetUserStatus(ctx, member.ID, core.UserRevoked, Start+9)
	ok(t, "SetUserStatus", err)
	written, err := Import(ctx, s, want)
	if err != nil || written != 1 {
		t.Errorf("Import over one changed user wrote %d, %v; want 1", written, err)
	}

	m := want.Members[0]
	ok(t, "RemoveMember", errOf(s.RemoveMember(ctx, m.Room, m.User)))
	written, err = Import(ctx, s, want)
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
