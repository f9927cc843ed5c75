package storetest

import (
	"context"
	"testing"

	"unibus/core"
)

// testRoomKeys: one pass over all rooms tells what Members and KeyHolders tell
// of each, also after an invitation, a removal, a rekey that lost and one that counted.
func testRoomKeys(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, c := seed(t, s)
	active := func(revoked ...core.UserID) func(core.UserID) bool {
		return func(id core.UserID) bool {
			for _, r := range revoked {
				if r == id {
					return false
				}
			}
			return true
		}
	}
	none, err := s.RoomKeys(ctx)
	ok(t, "RoomKeys of no room", err)
	equal(t, "RoomKeys of no room", []core.RoomKeys{}, none)
	_, err = s.EpochBegan(ctx, "none")
	wantKind(t, "EpochBegan of no room", err, core.KindNotFound)

	for _, id := range []core.RoomID{"r", "r-2", "r_3"} {
		seedRoom(t, s, id, a.ID)
	}
	for _, u := range []core.User{a, b, c} {
		ok(t, "PutMember", s.PutMember(ctx, NewMember("r", u.ID)))
	}
	began(t, s, "r-2", NewRoom("r-2", a.ID).Created)
	first, late := NewKey("r", 1, a.ID), NewKey("r", 1, c.ID)
	first.Created, late.Created = 7000, 9000
	_, err = Rekey(ctx, s, "r", 0, []core.SealedKey{first})
	ok(t, "Rekey", err)
	ok(t, "PutKey of a user invited later", s.PutKey(ctx, late))
	ok(t, "StageKeys that nothing leads to", s.StageKeys(ctx, "r", 1, "00000000000000ff", []core.SealedKey{NewKey("r", 2, b.ID)}))
	began(t, s, "r", 7000)

	r := surveyed(t, s, "r")
	equal(t, "members without a key", []core.UserID{b.ID}, r.Unkeyed(active()))
	equal(t, "holders that must not have it", []core.UserID{}, r.MustRekey(active()))
	equal(t, "members that may rekey", []core.UserID{a.ID, c.ID}, r.CanRekey(active()))
	equal(t, "after a revocation", []core.UserID{a.ID}, r.MustRekey(active(a.ID)))
	equal(t, "the member left", []core.UserID{c.ID}, r.CanRekey(active(a.ID)))
	equal(t, "a revoked one needs no key", []core.UserID{}, r.Unkeyed(active(b.ID)))

	ok(t, "RemoveMember", errOf(s.RemoveMember(ctx, "r", c.ID)))
	r = surveyed(t, s, "r")
	equal(t, "after a removal", []core.UserID{c.ID}, r.MustRekey(active()))
	equal(t, "members that may rekey now", []core.UserID{a.ID}, r.CanRekey(active()))
	second := NewKey("r", 2, a.ID)
	second.Created = 11_000
	_, err = Rekey(ctx, s, "r", 1, []core.SealedKey{second})
	ok(t, "Rekey", err)
	began(t, s, "r", 11_000)
	equal(t, "after the rekey", []core.UserID{}, surveyed(t, s, "r").MustRekey(active()))
}

// surveyed is one room of RoomKeys, once every room there is what the other methods say.
func surveyed(t *testing.T, s core.Store, room core.RoomID) (found core.RoomKeys) {
	t.Helper()
	ctx := context.Background()
	rooms, err := s.Rooms(ctx)
	ok(t, "Rooms", err)
	var want []core.RoomKeys
	for _, r := range rooms {
		k := core.RoomKeys{Room: r}
		members, err := s.Members(ctx, r.ID)
		ok(t, "Members", err)
		for _, m := range members {
			k.Members = append(k.Members, m.User)
		}
		k.Holders, err = s.KeyHolders(ctx, r.ID)
		ok(t, "KeyHolders", err)
		want = append(want, k)
		if r.ID == room {
			found = k
		}
	}
	got, err := s.RoomKeys(ctx)
	ok(t, "RoomKeys", err)
	equal(t, "RoomKeys", want, got)
	opened := map[core.UserID][]core.RoomID{}
	for _, k := range got {
		for _, id := range k.Holders {
			if opened[id] = append(opened[id], k.Room.ID); !k.Room.Encrypted {
				opened[id] = opened[id][:len(opened[id])-1]
			}
		}
	}
	for id, rooms := range opened {
		of, err := s.RoomsOpenedBy(t.Context(), id)
		ok(t, "RoomsOpenedBy", err)
		equal(t, "RoomsOpenedBy", append([]core.RoomID{}, rooms...), of)
	}
	return found
}

func began(t *testing.T, s core.Store, room core.RoomID, want core.Millis) {
	t.Helper()
	got, err := s.EpochBegan(context.Background(), room)
	ok(t, "EpochBegan", err)
	if got != want {
		t.Errorf("the epoch of %s began at %d, want %d", room, got, want)
	}
}
