package core

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
)

// UserIndex answers pages of users. A store keeps one beside its users and tells it
// each change, under the lock that it changes its users with; a page is then as
// current as the store. The users that it is given must not be changed.
type UserIndex struct {
	mu    sync.Mutex
	pages pageIndex[User, UserQuery]
	ends  [2]*orderedList[*User] // active users that have an end: all, and the admins

	revoked, admins int // admins: of the status active, expired ones included
}

// NewUserIndex makes an index of users in any order.
func NewUserIndex(users []*User) *UserIndex {
	pages, sorted := newPageIndex[User, UserQuery](users, compareUsersBy)
	ix := &UserIndex{pages: pages}
	var ends [2][]*User
	for _, u := range sorted {
		ix.count(u, 1)
		for i := range ends {
			if ix.hasEnd(i, u) {
				ends[i] = append(ends[i], u)
			}
		}
	}
	for i := range ends {
		slices.SortFunc(ends[i], compareEnds)
		ix.ends[i] = newOrderedList(ends[i], compareEnds)
	}
	return ix
}

func compareUsersBy(order string) func(a, b *User) int { return UserSort(order).compare }

func compareEnds(a, b *User) int {
	return cmp.Or(cmp.Compare(a.Expires, b.Expires), strings.Compare(string(a.ID), string(b.ID)))
}

// hasEnd is true for the users of ends[i].
func (ix *UserIndex) hasEnd(i int, u *User) bool {
	return u.Status == UserActive && u.Expires != 0 && (i == 0 || u.Role == RoleAdmin)
}

func (ix *UserIndex) count(u *User, n int) {
	switch {
	case u.Status == UserRevoked:
		ix.revoked += n
	case u.Role == RoleAdmin:
		ix.admins += n
	}
}

// Put adds a user, or changes it: before is what the index had, nil for nothing.
func (ix *UserIndex) Put(before, now *User) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if before != nil {
		ix.each(before, (*orderedList[*User]).remove)
		ix.count(before, -1)
	}
	if now != nil {
		ix.each(now, (*orderedList[*User]).insert)
		ix.count(now, 1)
	}
}

// each changes every list that has a user.
func (ix *UserIndex) each(u *User, change func(*orderedList[*User], *User)) {
	ix.pages.change(u, change)
	for i, ends := range ix.ends {
		if ix.hasEnd(i, u) {
			change(ends, u)
		}
	}
}

// Page returns one page as of now. KindInvalid for a request that Check refuses.
func (ix *UserIndex) Page(r UserPageRequest, now Millis) (UserPage, error) {
	if err := r.Check(); err != nil {
		return UserPage{}, err
	}
	if r.InactiveSince > 0 && r.LastSeen == nil {
		return UserPage{}, errNotRecorded()
	}
	start := pageStart[User]{offset: r.Offset, limit: pageLimit(r.Limit), backward: r.Descending}
	start.after, _ = r.cursor() // checked
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if u, known := ix.pages.byID.find(&User{ID: r.Around}); known {
		start.around = u
	}
	out := UserPage{Counts: ix.counts(now), Named: ix.named(r.Named)}
	var list pageList[User] = ix.pages.order(string(r.Sort))
	if !r.selectsAll() {
		list = ix.view(r, now)
	}
	out.Total, out.Offset = list.len(), start.in(list)
	rows, more := cutPage(list, out.Offset, start.limit, start.backward, r.size)
	out.Users = make([]User, len(rows))
	for i, u := range rows {
		if out.Users[i] = cloneUser(u); r.NoKeys {
			out.Users[i].KEMKey = nil
		}
	}
	if more {
		out.Next = r.cursorAfter(rows[len(rows)-1])
	}
	r.addSeen(&out)
	return out, nil
}

// errNotRecorded is for a control plane in a file: the nodes record who has a session.
func errNotRecorded() error {
	return Errorf(KindInvalid, "a file does not record the times of last sessions").WithNext("ask a node: give --server and --identity in place of --db")
}

// addSeen adds when the users of a page, and those that are named, had a session last.
func (r UserPageRequest) addSeen(out *UserPage) {
	if r.LastSeen == nil {
		return
	}
	out.SeenSince, out.Seen = r.LastSeen.Began(), map[UserID]Millis{}
	for _, users := range [][]User{out.Users, out.Named} {
		for _, u := range users {
			if at := r.LastSeen.Of(u.ID); at > 0 {
				out.Seen[u.ID] = at
			}
		}
	}
}

// size is how many bytes a user has in a page at the most.
func (r UserPageRequest) size(u *User) int {
	n := 256 + jsonSize(u.Name)
	if !r.NoKeys {
		n += 3 * len(u.KEMKey) / 2
	}
	return n
}

func cloneUser(u *User) User {
	c := *u
	c.KEMKey = bytes.Clone(u.KEMKey)
	if u.Name != nil {
		name := *u.Name
		c.Name = &name
	}
	return c
}

func (ix *UserIndex) counts(now Millis) UserCounts {
	expired, _ := ix.ends[0].countBefore(&User{Expires: now + 1})
	expiredAdmins, _ := ix.ends[1].countBefore(&User{Expires: now + 1})
	return UserCounts{
		All: ix.pages.byID.size, Revoked: ix.revoked, Expired: expired,
		Active: ix.pages.byID.size - ix.revoked - expired, Admins: ix.admins - expiredAdmins,
	}
}

// named looks users up by their ids.
func (ix *UserIndex) named(ids []UserID) (out []User) {
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if u, ok := ix.pages.byID.find(&User{ID: id}); ok {
			c := cloneUser(u)
			c.KEMKey = nil // a thousand keys do not fit into an answer
			out = append(out, c)
		}
	}
	return out
}

// view is the result of a filter. It serves until the next user expires. One by sessions is
// not kept: the record of them changes without the index.
func (ix *UserIndex) view(r UserPageRequest, now Millis) pageView[User] {
	ascending := r.UserQuery
	ascending.Descending = false
	find := func() pageView[User] { return ix.find(r, now) }
	if r.InactiveSince > 0 {
		return find()
	}
	return ix.pages.view(ascending, now, find)
}

func (ix *UserIndex) find(r UserPageRequest, now Millis) pageView[User] {
	v := pageView[User]{compare: r.Sort.compare, until: math.MaxInt64}
	selects, _ := r.Selector(now) // Page has checked it
	ix.pages.order(string(r.Sort)).each(0, false, func(u *User) bool {
		if selects(u) && (r.InactiveSince == 0 || r.LastSeen.InactiveSince(u, r.InactiveSince)) {
			v.rows = append(v.rows, u)
		}
		return true
	})
	expired, _ := ix.ends[0].countBefore(&User{Expires: now + 1})
	ix.ends[0].each(expired, false, func(u *User) bool { v.until = u.Expires; return false })
	return v
}
