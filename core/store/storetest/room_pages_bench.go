package storetest

import (
	"context"
	"fmt"
	"testing"

	"unibus/core"
)

// BenchmarkRoomPages has a store read a page of forty rooms from the middle of many, the rooms
// of one owner, and for comparison all rooms.
func BenchmarkRoomPages(b *testing.B, open func(b *testing.B) core.Store) {
	for _, n := range []int{1000, 10_000, 100_000} {
		in := core.Snapshot{Users: []core.User{NewUser(b, "a"), NewUser(b, "b")}}
		for i := range n {
			r := NewRoom(core.RoomID(fmt.Sprintf("room-%06d", i)), in.Users[0].ID)
			if i%(n/10) == 3 {
				r.Owner = in.Users[1].ID
			}
			in.Rooms = append(in.Rooms, r)
		}
		in.Sort()
		s := open(b)
		if _, err := Import(b.Context(), s, in); err != nil {
			b.Fatal(err)
		}
		ctx := core.Unproven(b.Context()) // a proof costs the same, however many rooms there are
		page := func(q core.RoomQuery, offset int) func(context.Context) error {
			return func(ctx context.Context) error {
				p, err := s.RoomPage(ctx, core.RoomPageRequest{RoomQuery: q, Offset: offset, Limit: 40}, nil)
				if err == nil && len(p.Rooms) < 10 {
					return fmt.Errorf("a page of %d rooms", len(p.Rooms))
				}
				return err
			}
		}
		for _, c := range []struct {
			name string
			read func(context.Context) error
		}{
			{"page", page(core.RoomQuery{Sort: core.RoomsByName}, n/2)},
			{"owner", page(core.RoomQuery{Owner: in.Users[1].ID}, 0)},
			{"all", func(ctx context.Context) error { _, err := s.Rooms(ctx); return err }},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				if err := c.read(ctx); err != nil { // the first one after a change makes an index
					b.Fatal(err)
				}
				for b.Loop() {
					if err := c.read(ctx); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
