package storetest

import (
	"context"
	"slices"
	"testing"

	"unibus/core"
)

// testRoomPages: a page is as current as the whole list, after every change that a store has
// for rooms, and notes are those that come with the request.
func testRoomPages(t *testing.T, s core.Store) {
	ctx := context.Background()
	page := func(r core.RoomPageRequest) core.RoomPage { t.Helper(); return roomPage(t, s, r) }
	if p := page(core.RoomPageRequest{}); len(p.Rooms) != 0 || p.Total != 0 || p.Next != "" {
		t.Errorf("a page of no rooms: %+v", p)
	}
	a, b, _ := seed(t, s)
	want := []core.Room{NewRoom("B", a.ID), NewRoom("a", b.ID), NewRoom("a-b", a.ID), NewRoom("a_b", a.ID), NewRoom("c", b.ID)}
	want[1].Encrypted = false
	for i, r := range want {
		ok(t, "CreateRoom", s.CreateRoom(ctx, r))
		if p := page(core.RoomPageRequest{}); p.Total != i+1 || p.Rooms[i].ID != r.ID {
			t.Errorf("the room %s that was just created is not found: %+v", r.ID, p.Rooms)
		}
	}
	var paged []core.Room
	for r := (core.RoomPageRequest{Limit: 2}); ; {
		p := page(r)
		paged = append(paged, p.Rooms...)
		if r.After = p.Next; r.After == "" {
			break
		}
	}
	equal(t, "the rooms of all pages", want, paged, noRecs)

	ids := func(q core.RoomQuery) (out []core.RoomID) {
		t.Helper()
		for _, r := range page(core.RoomPageRequest{RoomQuery: q}).Rooms {
			out = append(out, r.ID)
		}
		return out
	}
	equal(t, "the rooms of an owner", []core.RoomID{"a", "c"}, ids(core.RoomQuery{Owner: b.ID}))
	_, err := s.UpdateRoom(ctx, "a", core.RoomChange{Owner: a.ID, Name: text("Zebra")})
	ok(t, "UpdateRoom", err)
	equal(t, "the rooms of the owner before", []core.RoomID{"c"}, ids(core.RoomQuery{Owner: b.ID}))
	equal(t, "the room of a new name", []core.RoomID{"a"}, ids(core.RoomQuery{Filter: "zeBRA"}))
	_, err = Rekey(ctx, s, "c", 0, []core.SealedKey{NewKey("c", 1, a.ID)})
	ok(t, "Rekey", err)
	if p := page(core.RoomPageRequest{RoomQuery: core.RoomQuery{Sort: core.RoomsByEpoch, Descending: true}}); p.Rooms[0].ID != "c" || p.Rooms[0].Epoch != 1 {
		t.Errorf("the room with a new key is not the one of the highest epoch: %+v", p.Rooms[0])
	}
	_, err = s.UpdateRoom(ctx, "c", core.RoomChange{State: core.RoomArchived})
	ok(t, "UpdateRoom", err)
	if p := page(core.RoomPageRequest{Around: "c", Limit: 1}); p.Offset != 4 || p.Rooms[0].State != core.RoomArchived {
		t.Errorf("the page around an archived room: %+v", p)
	}
	notedRoomPages(t, s)
	_, err = s.RoomPage(ctx, core.RoomPageRequest{RoomQuery: core.RoomQuery{Sort: "color"}}, nil)
	wantKind(t, "RoomPage in an unknown order", err, core.KindInvalid)
}

// roomPage is a page, whose counts are those of the whole list.
func roomPage(t *testing.T, s core.Store, r core.RoomPageRequest) core.RoomPage {
	t.Helper()
	got, err := s.RoomPage(context.Background(), r, nil)
	ok(t, "RoomPage", err)
	all, err := s.Rooms(context.Background())
	ok(t, "Rooms", err)
	encrypted := 0
	for _, x := range all {
		if x.Encrypted {
			encrypted++
		}
	}
	equal(t, "counts", core.RoomCounts{All: len(all), Encrypted: encrypted}, got.Counts)
	return got
}

// notedRoomPages asks for orders and filters by notes, of the rooms that are there.
func notedRoomPages(t *testing.T, s core.Store) {
	t.Helper()
	ctx := context.Background()
	for _, most := range []core.RoomID{"B", "a_b", "c"} {
		notes := &core.RoomNotes{ByRoom: map[core.RoomID]core.RoomNote{"a": {Members: 1}, most: {Members: 7, Keys: "rekey required"}}}
		p, err := s.RoomPage(ctx, core.RoomPageRequest{RoomQuery: core.RoomQuery{Sort: core.RoomsByMembers, Descending: true}, Limit: 2}, notes)
		ok(t, "RoomPage", err)
		got := []core.RoomID{p.Rooms[0].ID, p.Rooms[1].ID}
		if !slices.Equal(got, []core.RoomID{most, "a"}) {
			t.Errorf("the rooms with most members are %v, want %s and a", got, most)
		}
		p, err = s.RoomPage(ctx, core.RoomPageRequest{RoomQuery: core.RoomQuery{Filter: "rekey"}}, notes)
		if err != nil || p.Total != 1 || p.Rooms[0].ID != most {
			t.Errorf("the room that needs a new key: %+v, %v", p, err)
		}
	}
}
