package core

import (
	"cmp"
	"context"
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

// RowExporter hands out the rows of users, rooms, members and room_keys, each
// table in bytewise key order. It ends with the first error of each.
type RowExporter interface {
	ExportRows(ctx context.Context, each func(Row) error) error
}

// Export reads everything that counts in a store: every sealed key of every
// epoch, users with their status.
func Export(ctx context.Context, from RowExporter) (out Snapshot, err error) {
	if err := from.ExportRows(ctx, out.add); err != nil {
		return Snapshot{}, err
	}
	return out, nil
}

// add decodes a row to the end of its slice.
func (s *Snapshot) add(r Row) error {
	switch r.Table {
	case TableUsers:
		return appendDecoded(&s.Users, DecodeUser, r)
	case TableRooms:
		return appendDecoded(&s.Rooms, DecodeRoom, r)
	case TableMembers:
		return appendDecoded(&s.Members, DecodeMember, r)
	case TableRoomKeys:
		key, record, err := DecodeKey(r)
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
	return Errorf(KindFailed, "a row of %s was exported, which is derived or unknown", r.Table)
}

func appendDecoded[T any](to *[]T, decode func(Row) (T, error), r Row) error {
	v, err := decode(r)
	if err == nil {
		*to = append(*to, v)
	}
	return err
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
