package core

import (
	"cmp"
	"slices"
)

// Snapshot is a whole control plane, each slice in the order of its keys (see Rows).
type Snapshot struct {
	Users   []User        `json:"users"`
	Rooms   []Room        `json:"rooms"`
	Members []Member      `json:"members"`
	Keys    []SealedKey   `json:"keys"`
	Records []EpochRecord `json:"records,omitempty"`
}

// Rows returns the rows of one table of the snapshot in bytewise key order, the order of digests.
func (s Snapshot) Rows(t Table) []Row {
	var rows []Row
	switch t {
	case TableUsers:
		rows = mapRows(s.Users, UserRow)
	case TableRooms:
		rows = mapRows(s.Rooms, RoomRow)
	case TableMembers:
		rows = mapRows(s.Members, MemberRow)
	case TableRoomKeys:
		rows = append(mapRows(s.Keys, KeyRow), mapRows(s.Records, RecordRow)...)
	case TableRoomsByMember:
		rows = mapRows(s.Members, IndexRow)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Key, b.Key) })
	return rows
}

// Sort puts every slice into the order of its keys, in place, so that equal control planes are equal Go values.
func (s *Snapshot) Sort() {
	sortByKey(s.Users, UserRow)
	sortByKey(s.Rooms, RoomRow)
	sortByKey(s.Members, MemberRow)
	sortByKey(s.Keys, KeyRow)
	sortByKey(s.Records, RecordRow)
}

func mapRows[T any](in []T, f func(T) Row) []Row {
	out := make([]Row, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func sortByKey[T any](in []T, f func(T) Row) {
	slices.SortFunc(in, func(a, b T) int { return cmp.Compare(f(a).Key, f(b).Key) })
}
