package core

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync"
)

// UserIndex answers pages of users. A store keeps one beside its users and tells it
// each change, under the lock that it changes its users with; a page is then as
// current as the store. The users that it is given must not be changed.
//
// A page without a filter is found by position: its cost does not grow with the
// users. A filter looks at every user once, and its result serves until one changes.
type UserIndex struct {
	mu     sync.Mutex
	byID   *orderedList[*User]
	orders map[UserSort]*orderedList[*User] // those that were asked for
	ends   [2]*orderedList[*User]           // active users that have an end: all, and the admins
	views  map[UserQuery]userView           // results of filters, at most maxViews

	revoked, admins int // admins: of the status active, expired ones included
}

// userView is what a filter selected, in order, until a user's time is over.
type userView struct {
	sort  UserSort
	users []*User
	until Millis
}

const maxViews = 8

// NewUserIndex makes an index of users in any order.
func NewUserIndex(users []*User) *UserIndex {
	sorted := slices.SortedFunc(slices.Values(users), SortByID.compare)
	ix := &UserIndex{byID: newOrderedList(sorted, SortByID.compare), orders: map[UserSort]*orderedList[*User]{}}
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
	ix.views = nil
}

// each changes every list that has a user.
func (ix *UserIndex) each(u *User, change func(*orderedList[*User], *User)) {
	change(ix.byID, u)
	for _, order := range ix.orders {
		change(order, u)
	}
	for i, ends := range ix.ends {
		if ix.hasEnd(i, u) {
			change(ends, u)
		}
	}
}

// order returns the list of an order; it is made when it is first asked for.
func (ix *UserIndex) order(by UserSort) *orderedList[*User] {
	if by == "" || by == SortByID {
		return ix.byID
	}
	if l := ix.orders[by]; l != nil {
		return l
	}
	all := slices.Concat(ix.byID.chunks...)
	slices.SortFunc(all, by.compare)
	ix.orders[by] = newOrderedList(all, by.compare)
	return ix.orders[by]
}

// Page returns one page as of now. KindInvalid for a request that Check refuses.
func (ix *UserIndex) Page(r UserPageRequest, now Millis) (UserPage, error) {
	if err := r.Check(); err != nil {
		return UserPage{}, err
	}
	last, _ := r.cursor() // checked
	ix.mu.Lock()
	defer ix.mu.Unlock()
	out := UserPage{Counts: ix.counts(now), Named: ix.named(r.Named)}
	var list userList = ix.order(r.Sort)
	if !r.selectsAll() {
		list = ix.view(r.UserQuery, now)
	}
	out.Total = list.len()
	out.Offset = min(r.Offset, out.Total)
	if last != nil {
		out.Offset = positionAfter(list, r.UserQuery, last)
	} else if at, selected := ix.position(r, list); selected {
		out.Offset = max(0, at-r.limit()/2)
	}
	out.fill(r, list)
	return out, nil
}

// position is where the user Around is in a list; false if it is not there.
func (ix *UserIndex) position(r UserPageRequest, list userList) (at int, selected bool) {
	u, known := ix.byID.find(&User{ID: r.Around})
	if !known {
		return 0, false
	}
	at, selected = list.countBefore(u)
	if r.Descending {
		at = list.len() - 1 - at
	}
	return at, selected
}

// limit is how many users a page has at the most.
func (r UserPageRequest) limit() int {
	if r.Limit == 0 || r.Limit > MaxPage {
		return MaxPage
	}
	return r.Limit
}

// fill takes the users of a page from a list.
func (p *UserPage) fill(r UserPageRequest, list userList) {
	limit, size := r.limit(), 0
	p.Users = make([]User, 0, min(limit, p.Total-p.Offset))
	list.each(p.Offset, r.Descending, func(u *User) bool {
		if size += 256; !r.NoKeys {
			size += 3 * len(u.KEMKey) / 2
		}
		if u.Name != nil {
			size += 6 * len(*u.Name) // as JSON escapes it at worst
		}
		if len(p.Users) == limit || len(p.Users) > 0 && size > pageBytes {
			return false
		}
		c := cloneUser(u)
		if r.NoKeys {
			c.KEMKey = nil
		}
		p.Users = append(p.Users, c)
		return true
	})
	if n := len(p.Users); n > 0 && p.Offset+n < p.Total {
		p.Next = r.cursorAfter(&p.Users[n-1])
	}
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
		All: ix.byID.size, Revoked: ix.revoked, Expired: expired,
		Active: ix.byID.size - ix.revoked - expired, Admins: ix.admins - expiredAdmins,
	}
}

// named looks users up by their ids.
func (ix *UserIndex) named(ids []UserID) (out []User) {
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if u, ok := ix.byID.find(&User{ID: id}); ok {
			c := cloneUser(u)
			c.KEMKey = nil // a thousand keys do not fit into an answer
			out = append(out, c)
		}
	}
	return out
}

// view is the result of a filter.
func (ix *UserIndex) view(q UserQuery, now Millis) userView {
	ascending := q
	ascending.Descending = false
	if v, ok := ix.views[ascending]; ok && now < v.until {
		return v
	}
	v := userView{sort: q.Sort, until: 1<<63 - 1}
	ix.order(q.Sort).each(0, false, func(u *User) bool {
		if q.Selects(u, now) {
			v.users = append(v.users, u)
		}
		return true
	})
	expired, _ := ix.ends[0].countBefore(&User{Expires: now + 1})
	ix.ends[0].each(expired, false, func(u *User) bool { v.until = u.Expires; return false })
	if ix.views == nil || len(ix.views) >= maxViews {
		ix.views = map[UserQuery]userView{}
	}
	ix.views[ascending] = v
	return v
}

// userList is a list that a page is taken from.
type userList interface {
	len() int
	countBefore(u *User) (n int, found bool)           // in the list's own direction
	each(from int, backward bool, do func(*User) bool) // from counts from the end if backward
}

func (l *orderedList[T]) len() int { return l.size }

func (v userView) len() int { return len(v.users) }

func (v userView) countBefore(u *User) (n int, found bool) {
	return slices.BinarySearchFunc(v.users, u, v.sort.compare)
}

// positionAfter is where a query goes on after a user that need not be in the list any more.
func positionAfter(list userList, q UserQuery, last *User) int {
	before, found := list.countBefore(last)
	switch {
	case q.Descending:
		return list.len() - before
	case found:
		return before + 1
	}
	return before
}

func (v userView) each(from int, backward bool, do func(*User) bool) {
	for i := from; i < len(v.users); i++ {
		at := i
		if backward {
			at = len(v.users) - 1 - i
		}
		if !do(v.users[at]) {
			return
		}
	}
}
