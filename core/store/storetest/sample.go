package storetest

import (
	"fmt"
	"testing"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// Start is the time of the first change in every sample, 2026-09-01 08:00 UTC;
// nothing here reads a clock.
const Start core.Millis = 1788249600000

// NewUserID returns the public nkey of a new user; its seed is thrown away.
func NewUserID(t testing.TB) core.UserID {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatalf("making a user's nkey: %v", err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatalf("reading a user's nkey: %v", err)
	}
	id, err := core.ParseUserID(public)
	if err != nil {
		t.Fatalf("core does not know a user's nkey: %v", err)
	}
	return id
}

// NewUser is an active member called name, with a key of 32 bytes.
func NewUser(t testing.TB, name string) core.User {
	t.Helper()
	id := NewUserID(t)
	return core.User{
		ID: id, Name: &name, Role: core.RoleMember, Status: core.UserActive,
		KEMKey: []byte(id[:32]), Created: Start, Updated: Start,
	}
}

// NewRoom is an encrypted room at epoch 0.
func NewRoom(id core.RoomID, owner core.UserID) core.Room {
	name := "room " + string(id)
	return core.Room{
		ID: id, Name: &name, Owner: owner, Encrypted: true,
		Rec: core.LegacyRec, State: core.RoomActive, Created: Start,
	}
}

// NewMember is an ordinary active member.
func NewMember(room core.RoomID, user core.UserID) core.Member {
	return core.Member{Room: room, User: user, Role: core.MemberMember, State: core.MemberActive, Joined: Start}
}

// NewKey is a box of its own for every room, epoch and user.
func NewKey(room core.RoomID, epoch core.Epoch, user core.UserID) core.SealedKey {
	return core.SealedKey{
		Room: room, Epoch: epoch, Rec: core.LegacyRec, User: user,
		Box: fmt.Appendf([]byte{0, 0xff}, "%s/%d/%s", room, epoch, user), Created: Start,
	}
}

// TwoRooms is a control plane as a version 1 database can hold it, in the order
// of its keys: four users, one of them an admin and one revoked; a room with
// plain text and one rekeyed to epoch 2, with the keys of epochs 0 to 2; names
// that are absent, empty, with a NUL, beyond the basic plane; room ids that
// sort differently alone and in a key ("a" and "a-b").
func TwoRooms(t testing.TB) core.Snapshot {
	t.Helper()
	admin, alice, bob, gone := NewUser(t, "Ådmin \U0001F511"), NewUser(t, ""), NewUser(t, "nul\x00byte"), NewUser(t, "<&>\u2028")
	admin.Role = core.RoleAdmin
	alice.KEMKey = []byte{}
	bob.Name, bob.KEMKey = nil, nil
	gone.Status, gone.Updated = core.UserRevoked, Start+1000

	plain, sealed := NewRoom("a", admin.ID), NewRoom("a-b", alice.ID)
	plain.Name, plain.Encrypted = nil, false
	sealed.Name, sealed.Epoch = text("kitchen\x00\u00e9\u202e"), 2

	s := core.Snapshot{
		Users: []core.User{admin, alice, bob, gone},
		Rooms: []core.Room{plain, sealed},
	}
	for _, u := range s.Users {
		s.Members = append(s.Members, NewMember(sealed.ID, u.ID))
	}
	s.Members = append(s.Members, NewMember(plain.ID, admin.ID), NewMember(plain.ID, bob.ID))
	s.Members[0].Role, s.Members[0].InvitedBy, s.Members[0].Proof = core.MemberAdmin, text(""), []byte{}
	s.Members[1].Role, s.Members[1].InvitedBy = core.MemberOwner, text("somebody, opaque")
	s.Members[2].Proof = []byte{0, 1, 0xfe, 0xff}
	s.Members[1].Proof = append([]byte(core.StatementsPrefix), 0, 2, 0xfe, 0xff) // signed statements: a row of version 3

	for epoch := range core.Epoch(3) {
		for i, u := range s.Users {
			if epoch == 2 && u.Status == core.UserRevoked {
				continue
			}
			k := NewKey(sealed.ID, epoch, u.ID)
			if i == 1 {
				k.Box, k.SealedBy = []byte{}, text(string(admin.ID))
			}
			s.Keys = append(s.Keys, k)
		}
	}
	s.Sort()
	return s
}

func text(s string) *string { return &s }

// Rekeyed is TwoRooms as a backend with states and records has it after a
// while: the encrypted room moved on to epoch 4 under records of its own, an
// archived room, a removed member.
func Rekeyed(t testing.TB) core.Snapshot {
	t.Helper()
	s := TwoRooms(t)
	room := &s.Rooms[1]
	for _, rec := range []string{"00ff", "9a"} {
		r := core.EpochRecord{Room: room.ID, Epoch: room.Epoch + 1, Rec: rec, Prev: room.Rec}
		if rec == "9a" {
			r.Record = []byte{0, 0xfe, '"'}
		}
		s.Records = append(s.Records, r)
		room.Epoch, room.Rec = r.Epoch, r.Rec
		for _, u := range s.Users[:2] {
			k := NewKey(r.Room, r.Epoch, u.ID)
			k.Rec = r.Rec
			s.Keys = append(s.Keys, k)
		}
	}
	archived := NewRoom("old_one", s.Users[0].ID)
	archived.State = core.RoomArchived
	s.Rooms = append(s.Rooms, archived)
	s.Members[3].State = core.MemberRemoved
	s.Sort()
	return s
}
