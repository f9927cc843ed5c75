package tuitest

import (
	"unibus/core"
	"unibus/core/admin"
)

// roomIndex is what a node keeps of rooms for pages of them.
type roomIndex struct {
	*core.RoomIndex
	notes   *core.RoomNotes
	counts  admin.RoomCounts
	rooms   map[core.RoomID]admin.RoomSummary
	indexed []admin.RoomSummary
}

// roomIndexOf keeps the index while the rooms are the same: a change replaces the whole slice.
func (f *FakeClient) roomIndexOf(state ClusterState) *roomIndex {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.roomIndex != nil && isSameSlice(f.roomIndex.indexed, state.Rooms) {
		return f.roomIndex
	}
	ix := &roomIndex{notes: &core.RoomNotes{ByRoom: map[core.RoomID]core.RoomNote{}}, rooms: map[core.RoomID]admin.RoomSummary{}, indexed: state.Rooms}
	names := map[core.UserID]*string{}
	for _, u := range state.Users {
		names[u.ID] = u.Name
	}
	var all []*core.Room
	for i, r := range state.Rooms {
		r.OwnerName = names[r.Owner]
		ix.rooms[r.ID], all = r, append(all, &state.Rooms[i].Room)
		ix.note(r)
	}
	ix.RoomIndex = core.NewRoomIndex(all)
	f.roomIndex = ix
	return ix
}

func (ix *roomIndex) note(r admin.RoomSummary) {
	name := ""
	if r.OwnerName != nil {
		name = *r.OwnerName
	}
	ix.notes.ByRoom[r.ID] = admin.NoteOf(r.Keys, name, r.Members)
	ix.counts.Memberships += r.Members
	switch {
	case r.Keys == nil:
	case r.Keys.State == admin.KeysRekey:
		ix.counts.Rekey++
	case r.Keys.State == admin.KeysMissing:
		ix.counts.Missing++
	}
}

func isSameSlice[T any](a, b []T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
