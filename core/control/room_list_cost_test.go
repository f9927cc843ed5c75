package control

import (
	"fmt"
	"testing"

	"unibus/core"
	"unibus/core/request"
	"unibus/core/store/storetest"
)

// TestRoomListReadsTheCallersRoomsAlone: the reads for a list of a caller's rooms do not grow
// with the rooms of others; a page begins after the one before.
func TestRoomListReadsTheCallersRoomsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	snap := core.Snapshot{}
	const mine = 5
	for i := range 1_000 {
		id := core.RoomID(fmt.Sprintf("room-%06d", i))
		snap.Rooms = append(snap.Rooms, core.Room{ID: id, Owner: w.owner, State: core.RoomActive, Created: 5})
		if i < mine {
			snap.Members = append(snap.Members, storetest.NewMember(id, w.other))
		}
	}
	snap.Sort()
	if _, err := storetest.Import(t.Context(), w.store, snap); err != nil {
		t.Fatal(err)
	}
	counted := &storetest.RoomCounter{Store: w.store}
	w.holder.Publish(counted)
	var got []core.RoomID
	after := ""
	for range 10 {
		page := w.must(t, w.other, methodRooms, request.Page{After: after, Limit: 2}).(roomsPage)
		for _, r := range page.Rooms {
			got = append(got, r.ID)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if fmt.Sprint(got) != "[room-000000 room-000001 room-000002 room-000003 room-000004]" {
		t.Errorf("listed %v", got)
	}
	if counted.Count == 0 || counted.Count > 3*mine {
		t.Errorf("%d rooms were read, of 1,000 in the store, to list %d", counted.Count, mine)
	}
}
