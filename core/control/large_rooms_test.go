package control

import (
	"encoding/json"
	"fmt"
	"testing"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/request"
	"unibus/core/store/storetest"
)

// TestManyMembers: 10,000 members with large keys come in pages that each fit
// into a message, and get boxes in parts that do.
func TestManyMembers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("not with -short")
	}
	w := newWorld(t)
	room := w.room(t, false)
	var snap core.Snapshot
	for range 10_000 {
		u := storetest.NewUser(t, "somebody")
		u.KEMKey = make([]byte, 1290)
		snap.Users = append(snap.Users, u)
		snap.Members = append(snap.Members, storetest.NewMember(core.RoomID(room), u.ID))
	}
	snap.Sort()
	if _, err := storetest.Import(t.Context(), w.store, snap); err != nil {
		t.Fatal(err)
	}
	seen, after := map[core.UserID]bool{}, ""
	var members []Member
	for range 1000 {
		page := w.must(t, w.owner, methodMembers, membersRequest{Room: room, Keys: true, Page: request.Page{After: after}}).(membersPage)
		b, err := json.Marshal(page)
		if err != nil || len(b) > 900<<10 {
			t.Fatalf("a page has %d bytes, %v", len(b), err)
		}
		for _, m := range page.Members {
			if seen[m.User] || m.User != w.owner && len(m.KEMKey) != 1290 {
				t.Fatalf("%s comes twice or without a key", m.User)
			}
			seen[m.User] = true
		}
		members = append(members, page.Members...)
		if after = page.Next; after == "" {
			break
		}
	}
	if len(seen) != 10_001 {
		t.Errorf("%d members came, want 10,001", len(seen))
	}
	if info := w.must(t, w.owner, methodRoomGet, roomRequest{room}).(RoomInfo); info.Members != 10_001 || info.Unkeyed != 10_001 {
		t.Errorf("the room is shown as %+v", info)
	}
	rekeyMany(t, w, core.RoomID(room), members)
}

// rekeyMany moves the room of all those to its first epoch, over the wire and in
// parts, gives one who comes later a box, and removes one.
func rekeyMany(t *testing.T, w *world, room core.RoomID, members []Member) {
	t.Helper()
	ctx, c := t.Context(), w.client(t, w.owner)
	record := core.EpochRecord{Room: room, Epoch: 1, Rec: rec1, Record: []byte("record")}
	var boxes []core.SealedKey
	for _, m := range members {
		boxes = append(boxes, core.SealedKey{User: m.User, Box: make([]byte, 1656)}) // as core/seal's are in so large a room
	}
	if _, err := c.Rekey(ctx, record, boxes[1:]); err != nil {
		t.Fatal(err)
	}
	wantRoom := func(what string, want RoomInfo) {
		t.Helper()
		got, err := c.Room(ctx, room)
		if err != nil || got.Room.Epoch != 1 || got.Members != want.Members || got.Unkeyed != want.Unkeyed || got.MustRekey != want.MustRekey {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	wantRoom("after a rekey that leaves one out", RoomInfo{Members: 10_001, Unkeyed: 1})
	late := boxes[0]
	late.Room, late.Epoch, late.Rec = room, 1, rec1
	if _, err := c.GiveKey(ctx, late); err != nil {
		t.Fatal(err)
	}
	wantRoom("after that one was given the key", RoomInfo{Members: 10_001})
	if _, err := c.Remove(ctx, room, otherThan(w.owner, members)); err != nil {
		t.Fatal(err)
	}
	wantRoom("after a removal", RoomInfo{Members: 10_000, MustRekey: 1})
	_, err := c.Rekey(ctx, core.EpochRecord{Room: room, Epoch: 2, Rec: "00000000000000a2", Record: []byte("record")}, boxes)
	wantKind(t, "a rekey with a box for who was removed", err, core.KindConflict)
	wantRoom("after that", RoomInfo{Members: 10_000, MustRekey: 1})
}

func otherThan(u core.UserID, members []Member) core.UserID {
	if members[0].User != u {
		return members[0].User
	}
	return members[1].User
}

// TestRoomsOfASession: the 1,001st room of a user is refused, and room is made by leaving one.
func TestRoomsOfASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var snap core.Snapshot
	for i := range auth.MaxRooms {
		id := core.RoomID(fmt.Sprintf("room-%04d", i))
		r := storetest.NewRoom(id, w.owner)
		r.Rec, r.State = core.LegacyRec, core.RoomActive
		snap.Rooms = append(snap.Rooms, r)
		snap.Members = append(snap.Members, storetest.NewMember(id, w.other))
	}
	snap.Sort()
	if _, err := storetest.Import(t.Context(), w.store, snap); err != nil {
		t.Fatal(err)
	}
	one := w.room(t, false)
	w.must(t, w.owner, methodInvite, inviteRequest{Room: one, User: string(w.other)})
	_, err := w.do(w.other, methodAccept, roomRequest{one})
	wantKind(t, "an invitation into the 1,001st room that is accepted", err, core.KindRefused)
	_, err = w.do(w.other, methodRoomCreate, CreateRequest{ID: "mine"})
	wantKind(t, "a 1,001st room of one's own", err, core.KindRefused)
	if _, err := w.store.Room(t.Context(), "mine"); core.KindOf(err) != core.KindNotFound {
		t.Errorf("the room is there: %v", err)
	}
	// Where others were faster the one too many is taken back.
	err = w.enterRoom(t.Context(), w.store, storetest.NewMember(core.RoomID(one), w.other))
	wantKind(t, "one room too many", err, core.KindRefused)
	w.must(t, w.other, methodLeave, roomRequest{"room-0000"})
	w.join(t, w.owner, one, w.other)
	seen, after := 0, ""
	for range 10 {
		page := w.must(t, w.other, methodRooms, request.Page{After: after, Limit: 300}).(roomsPage)
		seen += len(page.Rooms)
		if after = page.Next; after == "" {
			break
		}
	}
	if seen != auth.MaxRooms {
		t.Errorf("%d rooms came, want %d", seen, auth.MaxRooms)
	}
}

// TestLargestBoxes: boxes of the largest size come through in parts that fit
// into a message; one byte more is refused, and nothing is changed by it.
func TestLargestBoxes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("not with -short")
	}
	w := newWorld(t)
	room := core.RoomID(w.room(t, false))
	users := []core.UserID{w.owner}
	for range 2*maxPart/maxBox + 1 {
		u := w.addUser(t, "")
		w.join(t, w.owner, string(room), u)
		users = append(users, u)
	}
	boxes := func(size int) (all []core.SealedKey) {
		for _, u := range users {
			all = append(all, core.SealedKey{User: u, Box: make([]byte, size)})
		}
		return all
	}
	c := w.client(t, w.owner)
	record := core.EpochRecord{Room: room, Epoch: 1, Rec: rec1, Record: make([]byte, maxRecord)}
	_, err := c.Rekey(t.Context(), record, boxes(maxBox+1))
	wantKind(t, "boxes that are too large", err, core.KindInvalid)
	long := record
	long.Record = make([]byte, maxRecord+1)
	_, err = c.Rekey(t.Context(), long, boxes(1))
	wantKind(t, "a record that is too large", err, core.KindInvalid)
	if info, err := c.Room(t.Context(), room); err != nil || info.Room.Epoch != 0 || info.Unkeyed != len(users) {
		t.Errorf("afterwards: %+v, %v", info, err)
	}
	if _, err := c.Rekey(t.Context(), record, boxes(maxBox)); err != nil {
		t.Fatal(err)
	}
	if info, err := c.Room(t.Context(), room); err != nil || info.Room.Epoch != 1 || info.Unkeyed != 0 {
		t.Errorf("after the largest: %+v, %v", info, err)
	}
	if k, err := c.Key(t.Context(), room, 1); err != nil || len(k.Key.Box) != maxBox || len(k.Record.Record) != maxRecord {
		t.Errorf("the owner's key: %v", err)
	}
	_, err = c.Invite(t.Context(), room, w.other, "", make([]byte, int(c.cfg.Conn.MaxPayload())))
	wantKind(t, "a request beyond the payload", err, core.KindInvalid)
}
