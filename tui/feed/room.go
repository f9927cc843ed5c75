package feed

import (
	"context"

	"unibus/core/admin"
)

// room asks for the room that is looked at, with as many pages of its members as
// somebody has come to: all of them are asked for again each time, because who is
// revoked or has a key changes in the middle.
func (f *Feed) room(ctx context.Context) {
	w := f.want.Load()
	if w.Room == "" {
		return
	}
	if f.Now().RoomID != w.Room {
		f.change(func(s *Snapshot) {
			s.RoomID, s.Room = w.Room, Topic[admin.RoomDetail]{Freshness: Freshness{N: s.Room.N + 1}}
		}) // N never comes back, or one room's people would pass for another's
	}
	ask(ctx, f, func(s *Snapshot) *Topic[admin.RoomDetail] { return &s.Room },
		func(ctx context.Context) (admin.RoomDetail, error) {
			d, err := f.cfg.Source.RoomPage(ctx, admin.RoomRequest{ID: w.Room})
			for n := 1; err == nil && n < w.RoomPages && d.Next != ""; n++ {
				var more admin.RoomDetail
				if more, err = f.cfg.Source.RoomPage(ctx, admin.RoomRequest{ID: w.Room, After: d.Next}); err == nil {
					d = d.With(more)
				}
			}
			return d, err
		}, nil)
}
