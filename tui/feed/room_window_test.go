package feed_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/feed"
)

// roomsSource answers from an index of rooms whose names are so long that a page of a node has
// some hundreds of them. It notes the requests.
func roomsSource(n int) (s *fakeSource, requests chan core.RoomPageRequest) {
	all := make([]*core.Room, n)
	for i := range all {
		all[i] = &core.Room{ID: core.RoomID(fmt.Sprintf("r%05d", i)), Name: new(strings.Repeat("x", 300)), State: core.RoomActive}
	}
	ix := core.NewRoomIndex(all)
	requests = make(chan core.RoomPageRequest, 100)
	return &fakeSource{
		status:  func() (admin.Status, error) { return admin.Status{}, nil },
		history: func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil },
		users:   func(core.UserPageRequest) (core.UserPage, error) { return core.UserPage{}, nil },
		rooms: func(r core.RoomPageRequest) (admin.RoomPage, error) {
			requests <- r
			p, err := ix.Page(r, nil)
			out := admin.RoomPage{Offset: p.Offset, Total: p.Total, Next: p.Next}
			for _, room := range p.Rooms {
				out.Rooms = append(out.Rooms, admin.RoomSummary{Room: room})
			}
			return out, err
		},
	}, requests
}

func roomsWindow(offset, limit int, q core.RoomQuery) feed.Subscription {
	return feed.Subscription{Rooms: &feed.RoomWindow{RoomPageRequest: core.RoomPageRequest{RoomQuery: q, Offset: offset, Limit: limit}, Rows: 1, First: offset}}
}

// TestRoomsOfAWindow: a page that a node cut is completed, nothing is requested while no page
// shows rooms, and an answer about one list does not count for another.
func TestRoomsOfAWindow(t *testing.T) {
	t.Parallel()
	s, requests := roomsSource(5000)
	f := newFastFeed(s)
	if f.PollOnce(t.Context()); len(requests) != 0 {
		t.Errorf("%+v is requested, and no page shows rooms", <-requests)
	}
	f.Subscribe(roomsWindow(100, 500, core.RoomQuery{}))
	snap := f.PollOnce(t.Context())
	if got := snap.Rooms.Value; len(got.Rooms) != 500 || got.Offset != 100 || got.Total != 5000 || got.Rooms[499].ID != "r00599" || len(requests) != 3 {
		t.Errorf("%d rooms from %d on in %d requests", len(got.Rooms), got.Offset, len(requests))
	}
	filter := core.RoomQuery{Filter: "r0012"}
	for what, c := range map[string]struct {
		w    feed.Subscription
		want bool
	}{
		"the window": {roomsWindow(100, 500, core.RoomQuery{}), true}, "a part": {roomsWindow(300, 50, core.RoomQuery{}), true},
		"before it": {roomsWindow(99, 50, core.RoomQuery{}), false}, "behind it": {roomsWindow(590, 20, core.RoomQuery{}), false},
		"another list": {roomsWindow(100, 10, filter), false},
	} {
		if got := snap.HasRooms(c.w.Rooms); got != c.want {
			t.Errorf("%s is there: %v", what, got)
		}
	}
	f.Subscribe(roomsWindow(0, 50, filter))
	if got := f.PollOnce(t.Context()).Rooms.Value; got.Total != 10 {
		t.Errorf("%d match, want 10", got.Total)
	}
	if room, listed := f.Snapshot().ListedRoom("r00125"); !listed || room.ID != "r00125" {
		t.Errorf("a room that matches is not listed: %+v", room)
	}
	if _, listed := f.Snapshot().ListedRoom("r00200"); listed {
		t.Error("a room of the list before is listed")
	}
}

// TestRoomsAreRequestedForWhatIsMissing at once, and for nothing else.
func TestRoomsAreRequestedForWhatIsMissing(t *testing.T) {
	t.Parallel()
	s, requests := roomsSource(1000)
	f := feed.New(feed.Config{Client: s, Timeout: time.Minute, ListInterval: time.Hour})
	next := func() core.RoomPageRequest {
		t.Helper()
		select {
		case r := <-requests:
			return r
		case <-time.After(10 * time.Second):
			t.Fatal("no request came")
			return core.RoomPageRequest{}
		}
	}
	f.Subscribe(roomsWindow(100, 100, core.RoomQuery{}))
	go f.Run(t.Context())
	next()
	deadline, tick := time.After(10*time.Second), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !f.Snapshot().HasRooms(roomsWindow(100, 100, core.RoomQuery{}).Rooms) {
		select {
		case <-deadline:
			t.Fatal("the answer did not arrive")
		case <-tick.C:
		}
	}
	f.Subscribe(roomsWindow(120, 50, core.RoomQuery{})) // it is there
	f.Subscribe(roomsWindow(150, 100, core.RoomQuery{}))
	if r := next(); r.Offset != 150 {
		t.Errorf("%+v is requested", r)
	}
	f.Subscribe(roomsWindow(150, 100, core.RoomQuery{Sort: core.RoomsByName}))
	if r := next(); r.Sort != core.RoomsByName || len(requests) != 0 {
		t.Errorf("%+v is requested", r)
	}
	around := roomsWindow(0, 100, core.RoomQuery{Sort: core.RoomsByCreated, Descending: true})
	around.Rooms.Around = "r00000" // the last one of that order
	f.Subscribe(around)
	next()
	f.Subscribe(roomsWindow(0, 100, around.Rooms.RoomQuery)) // the operator left that room
	if r := next(); r.Around != "" {
		t.Errorf("%+v is requested", r)
	}
}
