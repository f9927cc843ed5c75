package core

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// UserSort is an order of the users' list.
type UserSort string

// The orders. Users that are equal in one are in the order of their ids.
const (
	SortByID      UserSort = "id"
	SortByName    UserSort = "name"
	SortByStatus  UserSort = "status" // active, then those that end, expired and revoked ones
	SortByRole    UserSort = "role"
	SortByCreated UserSort = "created"
	SortByChanged UserSort = "changed"
)

// UserSorts are the orders in which users can be listed.
func UserSorts() []UserSort {
	return []UserSort{SortByID, SortByName, SortByStatus, SortByRole, SortByCreated, SortByChanged}
}

// UserQuery selects users and orders them. The zero value is all users by id.
type UserQuery struct {
	Filter     string     `json:"filter,omitempty"` // a RowFilter of name, id, role and status
	Name       string     `json:"name,omitempty"`   // the whole name, in any case; "": any
	Status     UserStatus `json:"status,omitempty"` // active, revoked or expired; "": any
	Role       UserRole   `json:"role,omitempty"`   // "": any
	Sort       UserSort   `json:"sort,omitempty"`   // "": by id
	Descending bool       `json:"descending,omitempty"`

	InactiveSince Millis `json:"inactive_since,omitempty"` // users without a session at or after that time; 0: any
}

// UserPageRequest asks for one page of a query's answer: those after the cursor
// After, or those around the user Around where the query selects that user, or
// else those from the position Offset on.
type UserPageRequest struct {
	UserQuery
	Offset int      `json:"offset,omitempty"`
	Around UserID   `json:"around,omitempty"`  // half of the page is before this user
	After  string   `json:"after,omitempty"`   // a UserPage's Next
	Limit  int      `json:"limit,omitempty"`   // 0: MaxPage
	NoKeys bool     `json:"no_keys,omitempty"` // leaves out the encryption keys, most of what a user weighs
	Named  []UserID `json:"named,omitempty"`   // users to return besides, whether the query selects them or not

	LastSeen *LastSeen `json:"-"` // of the node that answers; nil: InactiveSince is refused
}

// UserPage is one page of users.
type UserPage struct {
	Users  []User     `json:"users"`
	Offset int        `json:"offset"` // the position of the first of them
	Total  int        `json:"total"`  // how many users the query selects
	Counts UserCounts `json:"counts"`
	Next   string     `json:"next,omitempty"`  // the next page's After, "" at the end
	Named  []User     `json:"named,omitempty"` // in the order of their ids and without their keys; a missing one does not exist

	Seen      map[UserID]Millis `json:"seen,omitempty"`       // the hour in which each of the users was seen last; those who were not are missing
	SeenSince Millis            `json:"seen_since,omitempty"` // when that began to be recorded; 0: nothing is recorded
}

// UserCounts is the number of users, whatever a query selects.
type UserCounts struct {
	All     int `json:"all"`
	Active  int `json:"active"`
	Revoked int `json:"revoked"`
	Expired int `json:"expired"`
	Admins  int `json:"admins"` // active ones
}

// Check refuses a request that no list can answer. KindInvalid.
func (r UserPageRequest) Check() error {
	switch {
	case r.Status != "" && r.Status != UserExpired && !slices.Contains(UserStatuses(), r.Status):
		return Errorf(KindInvalid, "%q is not a state of users", r.Status).WithNext("use active, revoked or expired")
	case r.Role != "" && r.Role != RoleMember && r.Role != RoleAdmin:
		return Errorf(KindInvalid, "%q is not a role", r.Role).WithNext("use member or admin")
	case r.InactiveSince < 0:
		return Errorf(KindInvalid, "users cannot be inactive since %d", r.InactiveSince).WithNext("give a time after 1970")
	case len(r.Named) > MaxPage:
		return Errorf(KindInvalid, "%d users are named", len(r.Named)).WithNext("name at most %d at once", MaxPage)
	}
	_, err := r.cursor()
	_, bad := r.Selector(0)
	return firstOf(checkSort("users", r.Sort, UserSorts()), checkPage("users", r.Offset, r.Limit, r.After, string(r.Around), r.Filter, r.Name), bad, err)
}

// Selector is true of the users that the query asks for. It is for one goroutine. KindInvalid
// for a filter that cannot be read.
func (q UserQuery) Selector(now Millis) (func(u *User) bool, error) {
	f, err := ParseRowFilter(q.Filter, "name", "id", "role", "status")
	return func(u *User) bool {
		status, name := u.StatusAt(now), ""
		if u.Name != nil {
			name = *u.Name
		}
		return (q.Status == "" || status == q.Status) && (q.Role == "" || u.Role == q.Role) && (q.Name == "" || strings.EqualFold(name, q.Name)) &&
			f.Selects(name, string(u.ID), string(u.Role), string(status))
	}, err
}

// selectsAll is true where no user is left out.
func (q UserQuery) selectsAll() bool {
	return q.Filter == "" && q.Name == "" && q.Status == "" && q.Role == "" && q.InactiveSince == 0
}

// Compare orders two users as the query lists them.
func (q UserQuery) Compare(a, b *User) int {
	if q.Descending {
		a, b = b, a
	}
	return q.Sort.compare(a, b)
}

func (s UserSort) compare(a, b *User) int {
	c := 0
	switch s {
	case SortByName:
		c = cmp.Or(cmp.Compare(nameRank(a), nameRank(b)), strings.Compare(foldedText(a.Name), foldedText(b.Name)))
	case SortByStatus:
		c = cmp.Or(strings.Compare(string(a.Status), string(b.Status)), cmp.Compare(endOf(b), endOf(a)))
	case SortByRole:
		c = strings.Compare(string(a.Role), string(b.Role))
	case SortByCreated:
		c = cmp.Compare(a.Created, b.Created)
	case SortByChanged:
		c = cmp.Compare(a.Updated, b.Updated)
	}
	if c != 0 {
		return c
	}
	return strings.Compare(string(a.ID), string(b.ID))
}

// nameRank puts users without a name last.
func nameRank(u *User) int {
	if u.Name == nil {
		return 1
	}
	return 0
}

// foldedText is how a text that may be missing is ordered: in any case.
func foldedText(text *string) string {
	if text == nil {
		return ""
	}
	return strings.ToLower(*text)
}

// endOf orders ends so that an order by it stays true while time passes: users
// expire in it from its far end.
func endOf(u *User) Millis {
	if u.Expires == 0 {
		return math.MaxInt64
	}
	return u.Expires
}

func (q UserQuery) cursorAfter(last *User) string {
	u := *last
	u.KEMKey = nil
	return encodeCursor(q, u)
}

// cursor is the last user of the page before, nil for the first page.
func (r UserPageRequest) cursor() (*User, error) {
	return decodeCursor(r.After, r.UserQuery, func(u User) bool { return u.ID != "" })
}
