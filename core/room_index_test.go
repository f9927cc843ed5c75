package core

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func ownerID(i int) UserID { return UserID(userID(slices.Repeat([]byte{byte(i)}, 32))) }

func indexedRoom(i int, r *rand.Rand) *Room {
	room := &Room{ID: RoomID(fmt.Sprintf("room-%06d", i)), Owner: ownerID(r.IntN(20)), Encrypted: r.IntN(3) > 0, Epoch: Epoch(r.IntN(9)), State: RoomActive, Created: Millis(r.IntN(50))}
	if name := fmt.Sprintf("Name-%d", r.IntN(200)); r.IntN(10) > 0 {
		room.Name = &name
	}
	return room
}

func someNotes(all map[RoomID]*Room, r *rand.Rand) *RoomNotes {
	out := &RoomNotes{ByRoom: map[RoomID]RoomNote{}}
	for id := range all {
		if r.IntN(20) > 0 {
			rank := r.IntN(3)
			out.ByRoom[id] = RoomNote{
				OwnerName: []string{"", "Ann", "ben", "Cat"}[r.IntN(4)], Members: r.IntN(30), Keys: []string{"rekey required", "ok", "archived"}[rank],
				KeysRank: float64(rank), KeySince: Millis(r.IntN(5)),
			}
		}
	}
	return out
}

// naiveRooms is the list of a query by its definition.
func naiveRooms(all map[RoomID]*Room, notes *RoomNotes, q RoomQuery) (out []Room) {
	f := strings.ToLower(q.Filter)
	for id, r := range all {
		n := notes.of(id)
		text := strings.ToLower(strings.Join([]string{string(id), foldedText(r.Name), n.OwnerName, n.Keys, string(r.Owner)}, "\n"))
		if (q.Owner == "" || q.Owner == r.Owner) && strings.Contains(text, f) {
			out = append(out, *r)
		}
	}
	value := func(r Room) (v string, missing bool) {
		n := notes.of(r.ID)
		switch q.Sort {
		case RoomsByName:
			return foldedText(r.Name), r.Name == nil
		case RoomsByOwner:
			return strings.ToLower(n.OwnerName) + "\n" + string(r.Owner), n.OwnerName == ""
		case RoomsByEpoch:
			return fmt.Sprintf("%020d", r.Epoch), !r.Encrypted
		case RoomsByCreated:
			return fmt.Sprintf("%020d", r.Created), false
		case RoomsByMembers:
			return fmt.Sprintf("%020d", n.Members), false
		case RoomsByKeys:
			return fmt.Sprint(n.KeysRank), false
		case RoomsByKeyAge:
			return fmt.Sprintf("%020d", 1000-n.KeySince), n.KeySince == 0
		}
		return "", false
	}
	slices.SortFunc(out, func(a, b Room) int {
		x, xMissing := value(a)
		y, yMissing := value(b)
		switch {
		case xMissing && !yMissing:
			return 1
		case yMissing && !xMissing:
			return -1
		case xMissing && q.Sort != RoomsByOwner && q.Sort != RoomsByEpoch:
			x, y = "", ""
		}
		c := cmp.Or(strings.Compare(x, y), strings.Compare(string(a.ID), string(b.ID)))
		if q.Descending {
			return -c
		}
		return c
	})
	return out
}

// TestRoomIndexIsTheList: after any changes of rooms and notes, any page in any order is
// that of the list which was sorted and filtered whole, and pages one after the other are
// all of it.
func TestRoomIndexIsTheList(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 12))
	all, start := map[RoomID]*Room{}, []*Room{}
	for i := range 900 {
		room := indexedRoom(i, r)
		all[room.ID], start = room, append(start, room)
	}
	ix, notes := NewRoomIndex(start), (*RoomNotes)(nil)
	queries := []RoomQuery{{}, {}, {Filter: "nAme-1"}, {Filter: "REKEY"}, {Filter: "0017"}, {Filter: "cat"}, {Filter: "aaaa"}, {Owner: ownerID(3)}, {Owner: ownerID(4), Filter: "ok"}, {Owner: ownerID(22)}, {Filter: "nothing"}}
	for round := range 600 {
		for range r.IntN(12) {
			room := indexedRoom(r.IntN(2500), r)
			before := all[room.ID]
			if r.IntN(3) == 0 {
				room = nil
			}
			if before == nil && room == nil {
				continue
			}
			ix.Put(before, room)
			if room == nil {
				delete(all, before.ID)
			} else {
				all[room.ID] = room
			}
		}
		if r.IntN(5) == 0 {
			notes = someNotes(all, r)
		}
		req := RoomPageRequest{RoomQuery: queries[r.IntN(len(queries))], Limit: 1 + r.IntN(90), Offset: r.IntN(1200)}
		req.Sort, req.Descending = RoomSorts()[r.IntN(len(RoomSorts()))], r.IntN(2) == 0
		if r.IntN(3) == 0 {
			req.Around = indexedRoom(r.IntN(2500), r).ID
		}
		list := naiveRooms(all, notes, req.RoomQuery)
		at := min(req.Offset, len(list))
		if i := slices.IndexFunc(list, func(x Room) bool { return x.ID == req.Around }); i >= 0 {
			at = max(0, i-req.Limit/2)
		}
		encrypted := 0
		for _, x := range all {
			if x.Encrypted {
				encrypted++
			}
		}
		want := RoomPage{Rooms: append([]Room{}, list[at:min(at+req.Limit, len(list))]...), Offset: at, Total: len(list), Counts: RoomCounts{All: len(all), Encrypted: encrypted}}
		got, err := ix.Page(req, notes)
		if err != nil {
			t.Fatal(err)
		}
		next := got.Next
		got.Next = ""
		if d := gocmp.Diff(want, got); d != "" {
			t.Fatalf("round %d, %+v (- by definition, + of the index):\n%s", round, req, d)
		}
		for req.Offset, req.Around = 0, ""; next != "" && round%10 == 0; {
			req.After = next
			p, err := ix.Page(req, notes)
			if err != nil || p.Offset != got.Offset+len(got.Rooms) {
				t.Fatalf("%+v: after position %d with %d rooms comes %d, %v", req, got.Offset, len(got.Rooms), p.Offset, err)
			}
			got, next = p, p.Next
		}
	}
}

// TestRoomPagesBesideOtherNotes: notes that change beside a reader do not hide a room from
// its pages as long as the order of that room stays.
func TestRoomPagesBesideOtherNotes(t *testing.T) {
	t.Parallel()
	var rooms []*Room
	before, after := &RoomNotes{ByRoom: map[RoomID]RoomNote{}}, &RoomNotes{ByRoom: map[RoomID]RoomNote{}}
	for i := range 10 {
		room := &Room{ID: RoomID(fmt.Sprintf("r%d", i)), Owner: ownerID(0), State: RoomActive}
		rooms = append(rooms, room)
		before.ByRoom[room.ID], after.ByRoom[room.ID] = RoomNote{Members: i}, RoomNote{Members: i}
	}
	after.ByRoom["r4"] = RoomNote{Members: 0} // the last room of the first page is the first one now
	ix := NewRoomIndex(rooms)
	r := RoomPageRequest{RoomQuery: RoomQuery{Sort: RoomsByMembers}, Limit: 5}
	p, err := ix.Page(r, before)
	if err != nil || p.Rooms[4].ID != "r4" {
		t.Fatalf("%+v, %v", p, err)
	}
	r.After = p.Next
	if p, err = ix.Page(r, after); err != nil || len(p.Rooms) != 5 || p.Rooms[0].ID != "r5" {
		t.Errorf("the second page after r4 moved: %+v, %v", p, err)
	}
}

// TestRoomPageRefusals: no page for a request that makes no sense, and the error says what does.
func TestRoomPageRefusals(t *testing.T) {
	t.Parallel()
	ix := NewRoomIndex([]*Room{{ID: "a", Owner: ownerID(0)}, {ID: "b", Owner: ownerID(0)}})
	first, err := ix.Page(RoomPageRequest{Limit: 1}, nil)
	if err != nil || first.Next == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	for name, r := range map[string]RoomPageRequest{
		"unknown order":         {RoomQuery: RoomQuery{Sort: "color"}},
		"an internal order":     {RoomQuery: RoomQuery{Sort: RoomSort(string(RoomsByName) + descendingOrder)}},
		"no owner's id":         {RoomQuery: RoomQuery{Owner: "ann"}},
		"negative limit":        {Limit: -1},
		"negative position":     {Offset: -1},
		"long filter":           {RoomQuery: RoomQuery{Filter: string(make([]byte, 257))}},
		"cursor and position":   {After: first.Next, Offset: 1},
		"cursor and room":       {After: first.Next, Around: "a"},
		"no cursor":             {After: "hello"},
		"cursor without a room": {After: "e30"},
		"foreign cursor":        {RoomQuery: RoomQuery{Sort: RoomsByName}, After: first.Next},
	} {
		p, err := ix.Page(r, nil)
		if KindOf(err) != KindInvalid || len(p.Rooms) != 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if p, err := ix.Page(RoomPageRequest{Limit: 1, After: first.Next}, nil); err != nil || len(p.Rooms) != 1 || p.Rooms[0].ID != "b" {
		t.Errorf("the next page: %+v, %v", p, err)
	}
}
