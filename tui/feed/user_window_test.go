package feed_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/feed"
)

// usersSource serves users like a node; each request is announced, and answered when it
// is let go.
type usersSource struct {
	fakeSource
	index    *core.UserIndex
	requests chan core.UserPageRequest
	letGo    chan struct{}
}

func newUsersSource(n int) *usersSource {
	var all []*core.User
	for i := range n {
		all = append(all, &core.User{ID: core.UserID(fmt.Sprintf("U%05d", i)), Status: core.UserActive})
	}
	s := &usersSource{index: core.NewUserIndex(all), requests: make(chan core.UserPageRequest, 100), letGo: make(chan struct{}, 100)}
	s.status = func() (admin.Status, error) { return admin.Status{}, nil }
	s.history = func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil }
	return s
}

func (s *usersSource) UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error) {
	s.requests <- r
	select {
	case <-s.letGo:
	case <-ctx.Done():
		return core.UserPage{}, ctx.Err()
	}
	return s.index.Page(r, 0)
}

func (s *usersSource) next(t *testing.T) core.UserPageRequest {
	t.Helper()
	select {
	case r := <-s.requests:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("no request came")
		return core.UserPageRequest{}
	}
}

func usersWindow(offset int, q core.UserQuery, named ...core.UserID) feed.Subscription {
	return feed.Subscription{Users: &feed.UserWindow{UserPageRequest: core.UserPageRequest{UserQuery: q, Offset: offset, Limit: 100, Named: named}}}
}

// startUsersFeed runs a feed whose lists are only polled when the subscription asks for
// more, and waits for the users of a window.
func startUsersFeed(t *testing.T, s *usersSource, offset int) *feed.Feed {
	t.Helper()
	f := feed.New(feed.Config{Client: s, Timeout: time.Minute, ListInterval: time.Hour})
	f.Subscribe(usersWindow(offset, core.UserQuery{}))
	go f.Run(t.Context())
	s.letGo <- struct{}{}
	s.next(t)
	awaitUsers(t, f, core.UserQuery{}, offset)
	return f
}

// awaitUsers waits for the answer to a request.
func awaitUsers(t *testing.T, f *feed.Feed, q core.UserQuery, offset int) {
	t.Helper()
	deadline, tick := time.After(10*time.Second), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if s := f.Snapshot(); s.Users.Known() && s.UsersRequest.UserQuery == q && s.Users.Value.Offset == offset {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the snapshot has %+v from position %d", f.Snapshot().UsersRequest, f.Snapshot().Users.Value.Offset)
		case <-tick.C:
		}
	}
}

// TestWindowThatChangesDuringAPollIsNotLost: also one that the snapshot had when it was
// asked for, and that the answer which was on its way then replaced.
func TestWindowThatChangesDuringAPollIsNotLost(t *testing.T) {
	t.Parallel()
	s := newUsersSource(1000)
	f := startUsersFeed(t, s, 0)
	f.Subscribe(usersWindow(500, core.UserQuery{}))
	if r := s.next(t); r.Offset != 500 {
		t.Fatalf("the request is %+v", r)
	}
	f.Subscribe(usersWindow(0, core.UserQuery{})) // there, until the answer comes
	s.letGo <- struct{}{}
	if r := s.next(t); r.Offset != 0 {
		t.Fatalf("the request is %+v", r)
	}
	s.letGo <- struct{}{}
	awaitUsers(t, f, core.UserQuery{}, 0)

	filter := core.UserQuery{Filter: "U0099"}
	f.Subscribe(usersWindow(700, core.UserQuery{}))
	s.next(t)
	f.Subscribe(usersWindow(0, filter))
	s.letGo <- struct{}{}
	if r := s.next(t); r.UserQuery != filter {
		t.Fatalf("the request is %+v", r)
	}
	if got := f.Snapshot(); got.UsersRequest.UserQuery == filter || got.HasUsersOnScreen(usersWindow(0, filter).Users) {
		t.Error("the answer for all users counts as one for the filter")
	}
	s.letGo <- struct{}{}
	awaitUsers(t, f, filter, 0)
	if got := f.Snapshot().Users.Value; got.Total != 10 {
		t.Errorf("%d match, want 10", got.Total)
	}
}

// TestCursorThatLeavesItsRowIsFollowed: the answer around a row is not where the operator went
// while it was on its way, as with an order that is turned around and a step to the top.
func TestCursorThatLeavesItsRowIsFollowed(t *testing.T) {
	t.Parallel()
	s := newUsersSource(1000)
	f := startUsersFeed(t, s, 0)
	turned := core.UserQuery{Descending: true}
	around := usersWindow(0, turned)
	around.Users.Around = "U00000"
	f.Subscribe(around)
	s.next(t)
	f.Subscribe(usersWindow(0, turned))
	s.letGo <- struct{}{}
	if r := s.next(t); r.Around != "" {
		t.Errorf("the request is %+v", r)
	}
	s.letGo <- struct{}{}
	awaitUsers(t, f, turned, 0)
}

// TestUsersAreRequestedOnlyForWhatIsMissing: a window that moves over rows that are there,
// or that follows rows which moved, waits for the next regular poll; a user to name does not.
func TestUsersAreRequestedOnlyForWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newUsersSource(1000)
	f := startUsersFeed(t, s, 100)
	for _, sub := range []feed.Subscription{
		usersWindow(100, core.UserQuery{}),
		usersWindow(100, core.UserQuery{}, "U00150"),
		{Users: &feed.UserWindow{UserPageRequest: core.UserPageRequest{Offset: 120, Limit: 50, Around: "U00140"}}},
	} {
		if f.Subscribe(sub); len(s.requests) != 0 {
			t.Errorf("%+v was requested, and is there", sub.Users)
		}
	}
	f.Subscribe(usersWindow(100, core.UserQuery{}, "U00150", "U00900"))
	if r := s.next(t); !slices.Contains(r.Named, "U00900") {
		t.Errorf("the request is %+v", r)
	}
	s.letGo <- struct{}{}
	f.Subscribe(usersWindow(101, core.UserQuery{}, "U00900"))
	if r := s.next(t); r.Offset != 101 {
		t.Errorf("the request is %+v", r)
	}
}

// TestPageThatANodeCutIsCompleted: a node ends a page where it grows too large for a message.
func TestPageThatANodeCutIsCompleted(t *testing.T) {
	t.Parallel()
	var all []*core.User
	for i := range 900 {
		all = append(all, &core.User{ID: core.UserID(fmt.Sprintf("U%05d", i)), Status: core.UserActive, KEMKey: make([]byte, 1216)})
	}
	ix, requests := core.NewUserIndex(all), 0
	s := newUsersSource(0)
	s.fakeSource.users = func(r core.UserPageRequest) (core.UserPage, error) { requests++; return ix.Page(r, 0) }
	f := newFastFeed(&s.fakeSource)
	f.Subscribe(feed.Subscription{Users: &feed.UserWindow{UserPageRequest: core.UserPageRequest{Offset: 10, Limit: 600}}})
	got := f.PollOnce(t.Context()).Users.Value
	if len(got.Users) != 600 || requests != 3 || got.Users[599].ID != "U00609" {
		t.Errorf("%d users in %d requests", len(got.Users), requests)
	}
	noKeys := feed.UserWindow{UserPageRequest: core.UserPageRequest{Offset: 10, Limit: 600, NoKeys: true}}
	withKeys := noKeys
	withKeys.NoKeys = false
	if snap := f.Snapshot(); !snap.HasUsers(&noKeys) {
		t.Error("users with their keys are asked for again without them")
	}
	requests = 0
	f.Subscribe(feed.Subscription{Users: &noKeys})
	if snap := f.PollOnce(t.Context()); requests != 1 || len(snap.Users.Value.Users) != 600 || snap.Users.Value.Users[0].KEMKey != nil || snap.HasUsers(&withKeys) {
		t.Errorf("without keys there are %d users in %d requests", len(snap.Users.Value.Users), requests)
	}
}
