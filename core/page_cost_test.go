package core

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func largeIndex(n int) *UserIndex {
	r, all := rand.New(rand.NewPCG(5, 6)), make([]*User, n)
	for i := range all {
		all[i] = indexedUser(i, r)
	}
	return NewUserIndex(all)
}

func largeRoomIndex(n int) (*RoomIndex, *RoomNotes) {
	r, all, byID := rand.New(rand.NewPCG(13, 14)), make([]*Room, n), map[RoomID]*Room{}
	for i := range all {
		all[i] = indexedRoom(i, r)
		all[i].Owner = ownerID(i % 200)
		if i%100 == 7 { // ten of 1,000, and of 100,000 ten as well
			all[i].Owner = ownerID(200 + min(i/1000, 1))
		}
		byID[all[i].ID] = all[i]
	}
	return NewRoomIndex(all), someNotes(byID, r)
}

// cost is what do takes on average.
func cost(t testing.TB, do func() error) time.Duration {
	const rounds = 20
	begin := time.Now()
	for range rounds {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(begin) / rounds
}

// assertSameCost: work with many rows costs at most three times as much as work with few.
// Both take turns, and the least of each counts: other processes only ever add.
func assertSameCost(t *testing.T, what string, few, many func() error) {
	t.Helper()
	least, most := time.Hour, time.Hour
	for range 60 {
		least, most = min(least, cost(t, few)), min(most, cost(t, many))
	}
	t.Logf("%s: %v of 1,000 rows, %v of 100,000: %.2f times", what, least, most, float64(most)/float64(least))
	if most > 3*least {
		t.Errorf("%s costs %v of 100,000 rows and %v of 1,000", what, most, least)
	}
}

// TestPageCostsTheSame: a page of forty out of 100,000 costs what one out of 1,000 does, in
// any order and beside changes.
func TestPageCostsTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	users := func(n int, by UserSort) func() error {
		ix := largeIndex(n)
		return func() error {
			_, err := ix.Page(UserPageRequest{UserQuery: UserQuery{Sort: by, Descending: true}, Offset: n / 2, Limit: 40}, 50)
			u := indexedUser(5_000_000, rand.New(rand.NewPCG(7, 8)))
			ix.Put(nil, u)
			ix.Put(u, nil)
			return err
		}
	}
	for _, by := range UserSorts() {
		assertSameCost(t, "users by "+string(by), users(1000, by), users(100_000, by))
	}
	rooms := func(n int, q RoomQuery) func() error {
		ix, notes := largeRoomIndex(n)
		return func() error {
			p, err := ix.Page(RoomPageRequest{RoomQuery: q, Offset: n / 2, Limit: 40}, notes)
			if q.Owner != "" && p.Total != 10 {
				t.Fatalf("%d rooms of the owner", p.Total)
			}
			room := indexedRoom(5_000_000, rand.New(rand.NewPCG(7, 8)))
			ix.Put(nil, room)
			ix.Put(room, nil)
			return err
		}
	}
	for _, by := range RoomSorts() {
		q := RoomQuery{Sort: by, Descending: true}
		assertSameCost(t, "rooms by "+string(by), rooms(1000, q), rooms(100_000, q))
	}
	q := RoomQuery{Sort: RoomsByName, Owner: ownerID(200)}
	assertSameCost(t, "rooms of one owner", rooms(1000, q), rooms(100_000, q))
}

// BenchmarkUserPage is a page of forty from the middle, as the console asks for it; with a
// filter, the first page after a change, which looks at every user.
func BenchmarkUserPage(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		ix := largeIndex(n)
		r := UserPageRequest{UserQuery: UserQuery{Sort: SortByName}, Offset: n / 2, Limit: 40}
		filter := UserPageRequest{UserQuery: UserQuery{Filter: "name-17"}, Limit: 40}
		random := rand.New(rand.NewPCG(9, 10))
		for name, r := range map[string]UserPageRequest{"page": r, "filter": filter, "filter after a change": filter} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if name == "filter after a change" {
						u := indexedUser(5_000_000, random)
						ix.Put(nil, u)
						ix.Put(u, nil)
					}
					if _, err := ix.Page(r, 50); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRoomPage is the same of rooms, in an order by notes; "other notes" is the first page after they changed.
func BenchmarkRoomPage(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		ix, notes := largeRoomIndex(n)
		page := RoomPageRequest{RoomQuery: RoomQuery{Sort: RoomsByMembers}, Offset: n / 2, Limit: 40}
		for name, r := range map[string]RoomPageRequest{
			"page": page, "owner": {RoomQuery: RoomQuery{Owner: ownerID(200)}, Limit: 40},
			"filter": {RoomQuery: RoomQuery{Filter: "rekey"}, Limit: 40}, "other notes": page,
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if name == "other notes" {
						notes = &RoomNotes{ByRoom: notes.ByRoom}
					}
					if _, err := ix.Page(r, notes); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
