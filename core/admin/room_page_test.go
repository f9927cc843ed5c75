package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/storetest"
)

func (w *keyWorld) page(t *testing.T, r core.RoomPageRequest) RoomPage {
	t.Helper()
	out, err := w.roomPage(t.Context(), core.Operator{}, r)
	must(t, err)
	return out.(RoomPage)
}

func idsOf(p RoomPage) (ids []core.RoomID) {
	for _, r := range p.Rooms {
		ids = append(ids, r.ID)
	}
	return ids
}

// TestRoomPages: orders, filters and counts by what is not kept with a room, over both stores.
func TestRoomPages(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		ctx := t.Context()
		w.room(t, "c-well", 0, 1, 2, 3)
		w.room(t, "b-lacking", 0, 2)
		w.room(t, "d-removed", 1, 2, 3)
		must(t, w.store.CreateRoom(ctx, core.Room{ID: "a-plain", Owner: w.people[1].ID, State: core.RoomActive, Created: 5}))
		must(t, errOf(w.store.RemoveMember(ctx, "d-removed", w.people[3].ID)))
		for _, c := range []struct {
			q    core.RoomQuery
			want string
		}{
			{core.RoomQuery{}, "a-plain b-lacking c-well d-removed"},
			{core.RoomQuery{Sort: core.RoomsByKeys}, "d-removed b-lacking c-well a-plain"},
			{core.RoomQuery{Sort: core.RoomsByKeys, Descending: true}, "a-plain c-well b-lacking d-removed"},
			{core.RoomQuery{Sort: core.RoomsByMembers, Descending: true}, "c-well b-lacking d-removed a-plain"},
			{core.RoomQuery{Sort: core.RoomsByOwner, Descending: true}, "a-plain d-removed c-well b-lacking"}, // ben, then ann
			{core.RoomQuery{Sort: core.RoomsByKeyAge}, "d-removed b-lacking c-well a-plain"},                  // ben's box is the later one
			{core.RoomQuery{Sort: core.RoomsByKeyAge, Descending: true}, "c-well b-lacking d-removed a-plain"},
			{core.RoomQuery{Filter: "REKEY"}, "d-removed"},
			{core.RoomQuery{Filter: "without a key"}, "b-lacking"},
			{core.RoomQuery{Filter: "BEN"}, "a-plain"},
			{core.RoomQuery{Owner: w.people[1].ID}, "a-plain"},
		} {
			p := w.page(t, core.RoomPageRequest{RoomQuery: c.q})
			if got := strings.Trim(fmt.Sprint(idsOf(p)), "[]"); got != c.want || p.Total != len(p.Rooms) {
				t.Errorf("%+v: %d are %s, want %s", c.q, p.Total, got, c.want)
			}
			if want := (RoomCounts{RoomCounts: core.RoomCounts{All: 4, Encrypted: 3}, Memberships: 11, Rekey: 1, Missing: 1}); p.Counts != want {
				t.Errorf("%+v: the counts are %+v, want %+v", c.q, p.Counts, want)
			}
		}
		must(t, w.store.PutMember(ctx, core.Member{Room: "a-plain", User: w.people[5].ID, Role: core.MemberMember, State: core.MemberActive}))
		p := w.page(t, core.RoomPageRequest{Limit: 1})
		if r := p.Rooms[0]; r.Members != 1 || *r.OwnerName != "ben" || r.Keys.State != KeysPlain || p.Next == "" {
			t.Errorf("a member who was just added is not counted in the row: %+v", r)
		}
		if p = w.page(t, core.RoomPageRequest{Limit: 1, After: p.Next}); p.Offset != 1 || p.Rooms[0].ID != "b-lacking" {
			t.Errorf("the next page: %+v", p)
		}
		_, err := w.roomPage(ctx, core.Operator{}, core.RoomPageRequest{Limit: -1})
		if core.KindOf(err) != core.KindInvalid {
			t.Errorf("a negative limit: %v", err)
		}
	})
}

// TestRoomPageFitsIntoAMessage: also where one user, whose name is long, owns every room.
func TestRoomPageFitsIntoAMessage(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		owner := core.User{ID: w.people[0].ID, Role: core.RoleMember, Status: core.UserActive}
		long := strings.Repeat("\x01é", 100_000)
		named := namedStore{w.store, owner.ID, long}
		w.cfg.Store.(*core.StoreHandle).Publish(named)
		var in core.Snapshot
		for i := range 700 {
			id := core.RoomID(fmt.Sprintf("%s-%03d", strings.Repeat("r", 60), i))
			in.Rooms = append(in.Rooms, core.Room{ID: id, Name: new(strings.Repeat("\x01", 40)), Owner: owner.ID, Rec: core.LegacyRec, State: core.RoomActive, Encrypted: true, Created: 5})
		}
		must(t, errOf(storetest.Import(t.Context(), w.store, in)))
		for _, by := range []core.RoomSort{core.RoomsByID, core.RoomsByOwner, core.RoomsByName} {
			var all []core.RoomID
			for r := (core.RoomPageRequest{RoomQuery: core.RoomQuery{Sort: by}}); ; {
				p := w.page(t, r)
				if b, _ := json.Marshal(p); len(b) > 1<<20-4096 {
					t.Fatalf("by %s, %d rooms have %d bytes", by, len(p.Rooms), len(b))
				}
				all = append(all, idsOf(p)...)
				if r.After = p.Next; r.After == "" {
					break
				}
			}
			if slices.Sort(all); len(slices.Compact(all)) != 700 {
				t.Errorf("by %s there are %d rooms", by, len(all))
			}
		}
	})
}

// namedStore gives one user a name.
type namedStore struct {
	core.Store
	id   core.UserID
	name string
}

func (n namedStore) Users(ctx context.Context) ([]core.User, error) {
	all, err := n.Store.Users(ctx)
	return n.named(all), err
}

func (n namedStore) UserPage(ctx context.Context, r core.UserPageRequest, now core.Millis) (core.UserPage, error) {
	p, err := n.Store.UserPage(ctx, r, now)
	p.Named = n.named(p.Named)
	return p, err
}

func (n namedStore) named(all []core.User) []core.User {
	for i := range all {
		if all[i].ID == n.id {
			all[i].Name = &n.name
		}
	}
	return all
}

// TestRoomPageDoesNotWaitForKeys: a page comes soon with older keys, or without any, while a
// pass over all rooms takes long; and it has them once there are some.
func TestRoomPageDoesNotWaitForKeys(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		w.room(t, "r", 0, 1, 2, 3)
		slow := &slowStore{Store: w.store, gate: make(chan struct{}, 10)}
		w.cfg.Store.(*core.StoreHandle).Publish(slow)
		timed := func() (RoomPage, time.Duration) {
			began := time.Now()
			return w.page(t, core.RoomPageRequest{}), time.Since(began)
		}
		p, took := timed()
		if p.Rooms[0].Keys != nil || p.Total != 1 || took < listFirstWait || took > listFirstWait+time.Second {
			t.Errorf("without any pass: %+v after %s", p, took)
		}
		slow.gate <- struct{}{}
		for deadline := time.Now().Add(10 * time.Second); p.Rooms[0].Keys == nil; p, _ = timed() {
			if time.Now().After(deadline) {
				t.Fatal("the keys never came")
			}
		}
		if p.Rooms[0].Keys.State != KeysOK {
			t.Errorf("after a pass: %+v", p.Rooms[0].Keys)
		}
		older := *w.keys.last.Load()
		older.at, older.duration = time.Now().Add(-2*listMaxAge), 0
		w.keys.last.Store(&older)
		if p, took := timed(); p.Rooms[0].Keys == nil || took > listWait+time.Second {
			t.Errorf("beside another pass: %+v after %s", p, took)
		}
		close(slow.gate)
	})
}

// slowStore takes as long for a pass as the test says.
type slowStore struct {
	core.Store
	gate chan struct{}
}

func (s *slowStore) RoomKeys(ctx context.Context) ([]core.RoomKeys, error) {
	select {
	case <-s.gate:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Store.RoomKeys(ctx)
}

// TestNotesAreKept: equal notes are the same object, by which a store keeps its orders. An age
// that was looked up makes new notes for a list in the order of ages alone.
func TestNotesAreKept(t *testing.T) {
	t.Parallel()
	snapshot := func(members int) *keyHealthSnapshot {
		v := &keyHealthSnapshot{health: map[core.RoomID]epochHealth{}, active: map[core.UserID]bool{}}
		v.add(core.RoomKeys{Room: core.Room{ID: "r", Encrypted: true, State: core.RoomActive, Epoch: 1, Rec: "x"}, Members: make([]core.UserID, members)}, nil)
		return v
	}
	var k keyHealthCache
	first := k.notesOf(snapshot(3), false)
	if again := k.notesOf(snapshot(3), false); again != first {
		t.Errorf("%+v became %+v", first, again)
	}
	v := snapshot(4)
	second := k.notesOf(v, true)
	if second == first || second.ByRoom["r"].Members != 4 {
		t.Errorf("after a change: %+v", second)
	}
	k.epochStarts, k.lookedUp = map[core.RoomID]epochStart{"r": {1, "x", 77}}, 1
	if notes := k.notesOf(v, false); notes != second {
		t.Errorf("an order by something else got other notes: %+v", notes)
	}
	want := core.RoomNote{Members: 4, Keys: "ok", KeysRank: 2e9, KeySince: 77}
	if d := cmp.Diff(want, k.notesOf(v, true).ByRoom["r"]); d != "" {
		t.Errorf("the order by age (-want +got):\n%s", d)
	}
	if k.notesOf(nil, true) != nil {
		t.Error("there are notes without a snapshot")
	}
}
