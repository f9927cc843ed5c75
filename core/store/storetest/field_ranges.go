package storetest

import (
	"context"
	"math"
	"testing"

	"unibus/core"
)

// testFieldRanges tries what core's checks refuse: a store that took it could not give it to the other store, or not give
// it back. Values at the limits are accepted.
func testFieldRanges(t *testing.T, s core.Store) {
	ctx := context.Background()
	owner := NewUser(t, "owner")
	ok(t, "AddUser", s.AddUser(ctx, owner))
	bad, odd := "\xff", "\x00\u200c\u2028"
	u := NewUser(t, "")
	u.Name = &bad
	wantKind(t, "AddUser with a name that is not UTF-8", s.AddUser(ctx, u), core.KindInvalid)
	u.Name, u.Created, u.Updated = &odd, math.MinInt64, math.MaxInt64
	ok(t, "AddUser", s.AddUser(ctx, u))
	got, err := s.User(ctx, u.ID)
	ok(t, "User", err)
	equal(t, "a user at the limits", u, got)

	r := NewRoom("last", owner.ID)
	r.Epoch = core.MaxEpoch + 1
	wantKind(t, "CreateRoom beyond the last epoch", s.CreateRoom(ctx, r), core.KindInvalid)
	r.Epoch, r.Name = core.MaxEpoch, &bad
	wantKind(t, "CreateRoom with a name that is not UTF-8", s.CreateRoom(ctx, r), core.KindInvalid)
	r.Name = &odd
	ok(t, "CreateRoom", s.CreateRoom(ctx, r))
	_, err = s.UpdateRoom(ctx, r.ID, core.RoomChange{Name: &bad})
	wantKind(t, "UpdateRoom with a name that is not UTF-8", err, core.KindInvalid)
	room, err := s.Room(ctx, r.ID)
	ok(t, "Room", err)
	if room.Epoch != core.MaxEpoch || *room.Name != odd {
		t.Errorf("%+v", room)
	}

	m := NewMember(r.ID, u.ID)
	m.InvitedBy = &bad
	wantKind(t, "PutMember with an inviter that is not UTF-8", s.PutMember(ctx, m), core.KindInvalid)
	m.InvitedBy = &odd
	ok(t, "PutMember", s.PutMember(ctx, m))

	k := NewKey(r.ID, core.MaxEpoch, u.ID)
	k.SealedBy = &bad
	wantKind(t, "PutKey with a sealer that is not UTF-8", s.PutKey(ctx, k), core.KindInvalid)
	k.SealedBy, k.Box = &odd, nil
	wantKind(t, "PutKey without a box", s.PutKey(ctx, k), core.KindInvalid)
	k.Box = []byte{}
	ok(t, "PutKey of an empty box", s.PutKey(ctx, k))
	key, err := s.Key(ctx, r.ID, core.MaxEpoch, u.ID)
	ok(t, "Key", err)
	if key.Box == nil || len(key.Box) > 0 || *key.SealedBy != odd {
		t.Errorf("%+v", key)
	}

	const rec = "00112233445566778899aabb"
	_, err = s.CommitRekey(ctx, r.ID, core.MaxEpoch, rec, nil)
	wantKind(t, "CommitRekey at the last epoch", err, core.KindInvalid)
	wantKind(t, "StageKeys at the last epoch", s.StageKeys(ctx, r.ID, core.MaxEpoch, rec, []core.SealedKey{k}), core.KindInvalid)

	large := NewUser(t, "")
	large.KEMKey = make([]byte, core.MaxValue)
	wantKind(t, "AddUser too large for a message", s.AddUser(ctx, large), core.KindInvalid)
	_, err = s.SetKEMKey(ctx, owner.ID, large.KEMKey, 1)
	wantKind(t, "SetKEMKey too large for a message", err, core.KindInvalid)
}
