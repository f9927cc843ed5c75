package core

import (
	"cmp"
	"strings"
)

// RoomSort is an order of the rooms' list.
type RoomSort string

// The orders. Rooms that are equal in one are in the order of their ids. Rooms without a
// value for an order come last, ascending or descending.
const (
	RoomsByID      RoomSort = "id"
	RoomsByName    RoomSort = "name"
	RoomsByEpoch   RoomSort = "epoch" // plain rooms have none
	RoomsByCreated RoomSort = "created"

	// By what RoomNotes say:
	RoomsByOwner   RoomSort = "owner" // by the owner's name
	RoomsByMembers RoomSort = "members"
	RoomsByKeys    RoomSort = "keys"    // rooms that need attention first
	RoomsByKeyAge  RoomSort = "key-age" // the newest key first
)

// RoomSorts are the orders in which rooms can be listed.
func RoomSorts() []RoomSort {
	return []RoomSort{RoomsByID, RoomsByName, RoomsByOwner, RoomsByMembers, RoomsByKeys, RoomsByKeyAge, RoomsByEpoch, RoomsByCreated}
}

// RoomNote is what is known of a room and not kept with it.
type RoomNote struct {
	OwnerName string  `json:"owner_name,omitempty"`
	Members   int     `json:"members,omitempty"` // active ones
	Keys      string  `json:"keys,omitempty"`    // how it stands with the key, in words
	KeysRank  float64 `json:"keys_rank,omitempty"`
	KeySince  Millis  `json:"key_since,omitempty"` // 0: not known
}

// RoomNotes are notes of all rooms, of one moment: the caller of Store.RoomPage makes them.
// They must not change any more; others are other RoomNotes.
type RoomNotes struct {
	ByRoom map[RoomID]RoomNote
}

// of is the note of a room, empty where there is none.
func (n *RoomNotes) of(id RoomID) RoomNote {
	if n == nil {
		return RoomNote{}
	}
	return n.ByRoom[id]
}

// RoomQuery selects rooms and orders them. The zero value is all rooms by id.
type RoomQuery struct {
	Filter     string   `json:"filter,omitempty"` // a RowFilter of name, id, owner (name and id) and keys, what the note says of them
	Owner      UserID   `json:"owner,omitempty"`  // "": any
	Sort       RoomSort `json:"sort,omitempty"`   // "": by id
	Descending bool     `json:"descending,omitempty"`
}

// RoomPageRequest asks for one page of a query's answer: those after the cursor After, or
// those around the room Around where the query selects that room, or else those from the
// position Offset on.
type RoomPageRequest struct {
	RoomQuery
	Offset int    `json:"offset,omitempty"`
	Around RoomID `json:"around,omitempty"` // half of the page is before this room
	After  string `json:"after,omitempty"`  // a RoomPage's Next
	Limit  int    `json:"limit,omitempty"`  // 0: MaxPage
}

// RoomPage is one page of rooms.
type RoomPage struct {
	Rooms  []Room
	Offset int // the position of the first of them
	Total  int // how many rooms the query selects
	Counts RoomCounts
	Next   string // the next page's After, "" at the end
}

// RoomCounts is the number of rooms, whatever a query selects.
type RoomCounts struct {
	All       int `json:"all"`
	Encrypted int `json:"encrypted"`
}

// Check refuses a request that no list can answer. KindInvalid.
func (r RoomPageRequest) Check() error {
	var owner error
	if r.Owner != "" {
		owner = checkUserID(r.Owner)
	}
	_, err := r.cursor()
	_, bad := r.selector()
	return firstOf(checkSort("rooms", r.Sort, RoomSorts()), owner, checkPage("rooms", r.Offset, r.Limit, r.After, string(r.Around), r.Filter), bad, err)
}

// roomRow is a room and its note, as a list has it.
type roomRow struct {
	Room Room     `json:"room"`
	Note RoomNote `json:"note"`
}

// selector is true of the rooms that the query asks for. It is for one goroutine. KindInvalid
// for a filter that cannot be read.
func (q RoomQuery) selector() (func(r *roomRow) bool, error) {
	f, err := ParseRowFilter(q.Filter, "name", "id", "owner", "owner", "keys")
	return func(r *roomRow) bool {
		name := ""
		if r.Room.Name != nil {
			name = *r.Room.Name
		}
		return (q.Owner == "" || r.Room.Owner == q.Owner) && f.Selects(name, string(r.Room.ID), r.Note.OwnerName, string(r.Room.Owner), r.Note.Keys)
	}, err
}

// order is the list that the query is answered from, and whether backward. An order with
// values that may be missing has a list of its own for each direction.
func (q RoomQuery) order() (name string, backward bool) {
	switch q.Sort {
	case "":
		return string(RoomsByID), q.Descending
	case RoomsByID, RoomsByCreated, RoomsByMembers, RoomsByKeys:
		return string(q.Sort), q.Descending
	}
	if q.Descending {
		return string(q.Sort) + descendingOrder, false
	}
	return string(q.Sort), false
}

const descendingOrder = " descending"

// compareRoomsBy is the comparison of a list that RoomQuery.order names.
func compareRoomsBy(order string) func(a, b *roomRow) int {
	name, descending := strings.CutSuffix(order, descendingOrder)
	by := RoomSort(name)
	return func(a, b *roomRow) int {
		c := cmp.Compare(by.isMissing(a), by.isMissing(b))
		if c == 0 && descending {
			a, b = b, a
		}
		return cmp.Or(c, by.compareValues(a, b), strings.Compare(string(a.Room.ID), string(b.Room.ID)))
	}
}

// isMissing is 1 for a room of which the order has no value, else 0.
func (s RoomSort) isMissing(r *roomRow) int {
	if s == RoomsByName && (r.Room.Name == nil || *r.Room.Name == "") || s == RoomsByOwner && r.Note.OwnerName == "" ||
		s == RoomsByEpoch && !r.Room.Encrypted || s == RoomsByKeyAge && r.Note.KeySince == 0 {
		return 1
	}
	return 0
}

func (s RoomSort) compareValues(a, b *roomRow) int {
	switch s {
	case RoomsByName:
		return strings.Compare(foldedText(a.Room.Name), foldedText(b.Room.Name))
	case RoomsByOwner:
		return cmp.Or(strings.Compare(strings.ToLower(a.Note.OwnerName), strings.ToLower(b.Note.OwnerName)), strings.Compare(string(a.Room.Owner), string(b.Room.Owner)))
	case RoomsByEpoch:
		return cmp.Compare(a.Room.Epoch, b.Room.Epoch)
	case RoomsByCreated:
		return cmp.Compare(a.Room.Created, b.Room.Created)
	case RoomsByMembers:
		return cmp.Compare(a.Note.Members, b.Note.Members)
	case RoomsByKeys:
		return cmp.Compare(a.Note.KeysRank, b.Note.KeysRank)
	case RoomsByKeyAge:
		return cmp.Compare(b.Note.KeySince, a.Note.KeySince)
	}
	return 0
}

// usesNotes is true for an order by what RoomNotes say.
func (s RoomSort) usesNotes() bool {
	return s == RoomsByOwner || s == RoomsByMembers || s == RoomsByKeys || s == RoomsByKeyAge
}

// cursor is the last room of the page before, nil for the first page.
func (r RoomPageRequest) cursor() (*roomRow, error) {
	return decodeCursor(r.After, r.RoomQuery, func(last roomRow) bool { return last.Room.ID != "" })
}
