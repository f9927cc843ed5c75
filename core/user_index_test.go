package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func indexedUser(i int, r *rand.Rand) *User {
	u := &User{ID: UserID(fmt.Sprintf("U%055d", i)), Role: RoleMember, Status: UserActive, Created: Millis(r.IntN(50)), Updated: Millis(r.IntN(50))}
	if r.IntN(3) == 0 {
		u.KEMKey = []byte{1, byte(i)}
	}
	if name := fmt.Sprintf("Name-%d", r.IntN(200)); r.IntN(10) > 0 {
		u.Name = &name
	}
	if r.IntN(8) == 0 {
		u.Status = UserRevoked
	}
	if r.IntN(8) == 0 {
		u.Role = RoleAdmin
	}
	if r.IntN(4) == 0 {
		u.Expires = Millis(1 + r.IntN(100))
	}
	return u
}

// naivePage is what a page is by its definition.
func naivePage(all map[UserID]*User, r UserPageRequest, now Millis) (out UserPage) {
	var selected []*User
	selects, _ := r.Selector(now)
	for _, u := range all {
		out.Counts.All++
		switch u.StatusAt(now) {
		case UserRevoked:
			out.Counts.Revoked++
		case UserExpired:
			out.Counts.Expired++
		default:
			out.Counts.Active++
			if u.Role == RoleAdmin {
				out.Counts.Admins++
			}
		}
		if selects(u) {
			selected = append(selected, u)
		}
	}
	slices.SortFunc(selected, r.Compare)
	out.Total, out.Offset, out.Users = len(selected), min(r.Offset, len(selected)), []User{}
	if at := slices.IndexFunc(selected, func(u *User) bool { return u.ID == r.Around }); at >= 0 {
		out.Offset = max(0, at-r.Limit/2)
	}
	for _, u := range selected[out.Offset:min(out.Offset+r.Limit, out.Total)] {
		c := *u
		if r.NoKeys {
			c.KEMKey = nil
		}
		out.Users = append(out.Users, c)
	}
	return out
}

// TestUserIndexIsTheList: after any changes, any page in any order is that of the list
// which was sorted and filtered whole, and pages one after the other are all of it.
func TestUserIndexIsTheList(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	all, start := map[UserID]*User{}, []*User{}
	for i := range 900 {
		u := indexedUser(i, r)
		all[u.ID], start = u, append(start, u)
	}
	ix := NewUserIndex(start)
	filters := []UserQuery{{}, {}, {Filter: "nAme-1"}, {Filter: "revoked"}, {Filter: "0017"}, {Status: UserExpired}, {Status: UserActive, Role: RoleAdmin}, {Filter: "nobody"}, {Name: "nAME-17"}}
	for round := range 600 {
		for range r.IntN(12) {
			u := indexedUser(r.IntN(2500), r)
			before := all[u.ID]
			if r.IntN(3) == 0 {
				u = nil
			}
			if before == nil && u == nil {
				continue
			}
			ix.Put(before, u)
			if u == nil {
				delete(all, before.ID)
			} else {
				all[u.ID] = u
			}
		}
		req := UserPageRequest{UserQuery: filters[r.IntN(len(filters))], Limit: 1 + r.IntN(90), Offset: r.IntN(1200)}
		req.Sort, req.Descending = UserSorts()[r.IntN(6)], r.IntN(2) == 0
		req.NoKeys = r.IntN(2) == 0
		if r.IntN(3) == 0 {
			req.Around = indexedUser(r.IntN(2500), r).ID
		}
		now := Millis(round / 6)
		got, err := ix.Page(req, now)
		if err != nil {
			t.Fatal(err)
		}
		next := got.Next
		got.Next = ""
		if d := cmp.Diff(naivePage(all, req, now), got); d != "" {
			t.Fatalf("round %d, %+v (- by definition, + of the index):\n%s", round, req, d)
		}
		for req.Offset, req.Around = 0, ""; next != "" && round%20 == 0; {
			req.After = next
			p, err := ix.Page(req, now)
			if err != nil || p.Offset != got.Offset+len(got.Users) {
				t.Fatalf("after position %d with %d users comes %d, %v", got.Offset, len(got.Users), p.Offset, err)
			}
			got, next = p, p.Next
		}
	}
}

// TestUserPagesBesideChanges: users that are added and removed beside a reader neither
// hide others from its pages nor show one twice.
func TestUserPagesBesideChanges(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	var start []*User
	for i := range 1000 {
		start = append(start, indexedUser(10*i, r))
	}
	ix, seen := NewUserIndex(start), map[UserID]int{}
	req := UserPageRequest{UserQuery: UserQuery{Sort: SortByName}, Limit: 70}
	var last *User
	for page := 0; ; page++ {
		p, err := ix.Page(req, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range p.Users {
			seen[u.ID]++
		}
		if last != nil {
			ix.Put(last, nil) // the cursor's own user is gone
			seen[last.ID]--
		}
		if last = indexedUser(10*page+1, r); p.Next == "" {
			break
		}
		ix.Put(nil, last)
		seen[last.ID]--
		req.After = p.Next
	}
	for _, u := range start {
		if seen[u.ID] != 1 {
			t.Errorf("%s came %d times", u.ID, seen[u.ID])
		}
	}
}

// TestUserPageRefusals: no page for a request that makes no sense, and the error says what does.
func TestUserPageRefusals(t *testing.T) {
	t.Parallel()
	ix := NewUserIndex([]*User{{ID: "UA", Role: RoleMember, Status: UserActive}, {ID: "UB", Role: RoleMember, Status: UserActive}})
	first, err := ix.Page(UserPageRequest{Limit: 1}, 0)
	if err != nil || first.Next == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	for name, r := range map[string]UserPageRequest{
		"unknown order":         {UserQuery: UserQuery{Sort: "color"}},
		"unknown status":        {UserQuery: UserQuery{Status: "asleep"}},
		"unknown role":          {UserQuery: UserQuery{Role: "king"}},
		"negative limit":        {Limit: -1},
		"negative position":     {Offset: -1},
		"long filter":           {UserQuery: UserQuery{Filter: string(make([]byte, 257))}},
		"too many named":        {Named: make([]UserID, 1001)},
		"cursor and position":   {After: first.Next, Offset: 1},
		"cursor and user":       {After: first.Next, Around: "UA"},
		"long name":             {UserQuery: UserQuery{Name: string(make([]byte, 257))}},
		"no cursor":             {After: "hello"},
		"cursor without a user": {After: "e30"},
		"foreign cursor":        {UserQuery: UserQuery{Sort: SortByName}, After: first.Next},
	} {
		p, err := ix.Page(r, 0)
		if KindOf(err) != KindInvalid || AsError(err).Next == "" || len(p.Users) != 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if p, err := ix.Page(UserPageRequest{Limit: 1, After: first.Next}, 0); err != nil || len(p.Users) != 1 || p.Users[0].ID != "UB" {
		t.Errorf("the next page: %+v, %v", p, err)
	}
}
