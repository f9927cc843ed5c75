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

// pageCost is what a page and a change beside it cost.
func pageCost(t testing.TB, ix *UserIndex, r UserPageRequest) time.Duration {
	const rounds = 20
	begin := time.Now()
	for range rounds {
		if _, err := ix.Page(r, 50); err != nil {
			t.Fatal(err)
		}
		u := indexedUser(5_000_000, rand.New(rand.NewPCG(7, 8)))
		ix.Put(nil, u)
		ix.Put(u, nil)
	}
	return time.Since(begin) / rounds
}

// TestPageCostsTheSame: a page of forty users out of 100,000 costs at most three times
// one out of 1,000, in any order and beside changes. Both take turns, and the least of
// each counts: other processes only ever add.
func TestPageCostsTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	small, large := largeIndex(1000), largeIndex(100_000)
	for _, sort := range UserSorts() {
		r := UserPageRequest{UserQuery: UserQuery{Sort: sort, Descending: true}, Limit: 40}
		few, many := time.Hour, time.Hour
		for range 60 {
			r.Offset = 500
			few = min(few, pageCost(t, small, r))
			r.Offset = 50_000
			many = min(many, pageCost(t, large, r))
		}
		t.Logf("by %s: %v of 1,000 users, %v of 100,000: %.2f times", sort, few, many, float64(many)/float64(few))
		if many > 3*few {
			t.Errorf("by %s, a page of 100,000 users costs %v and one of 1,000 %v", sort, many, few)
		}
	}
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
