package core

import (
	"math"
	"slices"
	"strings"
	"sync"
)

// RoomIndex answers pages of rooms. A store keeps one beside its rooms and tells it each
// change, under the lock that it changes its rooms with; a page is then as current as the
// store, and in an order by notes as current as these.
//
// A page without a filter, and the rooms of one owner, are found by position: their cost
// does not grow with the rooms. Other notes than the last ones, and the first page of a
// filter after a change, look at every room once.
type RoomIndex struct {
	mu      sync.Mutex
	pages   pageIndex[roomRow, RoomQuery]
	byOwner *orderedList[*roomRow]
	notes   *RoomNotes

	encrypted int
}

// NewRoomIndex makes an index of rooms in any order. It keeps none of them.
func NewRoomIndex(rooms []*Room) *RoomIndex {
	ix, rows := &RoomIndex{}, make([]*roomRow, len(rooms))
	for i, r := range rooms {
		rows[i] = &roomRow{Room: cloneRoom(*r)}
		ix.count(r, 1)
	}
	ix.pages, rows = newPageIndex[roomRow, RoomQuery](rows, compareRoomsBy)
	slices.SortFunc(rows, compareOwners)
	ix.byOwner = newOrderedList(rows, compareOwners)
	return ix
}

func cloneRoom(r Room) Room {
	if r.Name != nil {
		name := *r.Name
		r.Name = &name
	}
	return r
}

func compareOwners(a, b *roomRow) int {
	if c := strings.Compare(string(a.Room.Owner), string(b.Room.Owner)); c != 0 {
		return c
	}
	return strings.Compare(string(a.Room.ID), string(b.Room.ID))
}

func (ix *RoomIndex) count(r *Room, n int) {
	if r.Encrypted {
		ix.encrypted += n
	}
}

// Put adds a room, or changes it: before is what the index had, nil for nothing.
func (ix *RoomIndex) Put(before, now *Room) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if before != nil {
		if row, known := ix.find(before.ID); known {
			ix.change(row, (*orderedList[*roomRow]).remove)
			ix.count(&row.Room, -1)
		}
	}
	if now != nil {
		ix.change(&roomRow{Room: cloneRoom(*now), Note: ix.notes.of(now.ID)}, (*orderedList[*roomRow]).insert)
		ix.count(now, 1)
	}
}

func (ix *RoomIndex) change(row *roomRow, do func(*orderedList[*roomRow], *roomRow)) {
	ix.pages.change(row, do)
	do(ix.byOwner, row)
}

func (ix *RoomIndex) find(id RoomID) (*roomRow, bool) {
	return ix.pages.byID.find(&roomRow{Room: Room{ID: id}})
}

// useNotes gives every room its note of other notes than before. The orders by notes are
// made again when they are asked for.
func (ix *RoomIndex) useNotes(notes *RoomNotes) {
	if notes == ix.notes {
		return
	}
	ix.notes, ix.pages.views = notes, nil
	for order := range ix.pages.orders {
		if RoomSort(strings.TrimSuffix(order, descendingOrder)).usesNotes() {
			delete(ix.pages.orders, order)
		}
	}
	ix.pages.byID.each(0, false, func(row *roomRow) bool {
		row.Note = notes.of(row.Room.ID) // no list that is left is in an order by it
		return true
	})
}

// Page returns one page. KindInvalid for a request that Check refuses.
func (ix *RoomIndex) Page(r RoomPageRequest, notes *RoomNotes) (RoomPage, error) {
	if err := r.Check(); err != nil {
		return RoomPage{}, err
	}
	order, backward := r.order()
	start := pageStart[roomRow]{offset: r.Offset, limit: pageLimit(r.Limit), backward: backward}
	start.after, _ = r.cursor() // checked
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.useNotes(notes)
	if row, known := ix.find(r.Around); known {
		start.around = row
	}
	var list pageList[roomRow]
	if r.Filter != "" || r.Owner != "" {
		list = ix.view(r.RoomQuery, order)
	} else {
		list = ix.pages.order(order)
	}
	out := RoomPage{Total: list.len(), Offset: start.in(list), Counts: RoomCounts{All: ix.pages.byID.size, Encrypted: ix.encrypted}}
	rows, more := cutPage(list, out.Offset, start.limit, backward, func(row *roomRow) int { return 512 + jsonSize(row.Room.Name) })
	out.Rooms = make([]Room, len(rows))
	for i, row := range rows {
		out.Rooms[i] = cloneRoom(row.Room)
	}
	if more {
		out.Next = r.cursorAfter(rows[len(rows)-1])
	}
	return out, nil
}

// view is the result of a filter, or an owner's rooms.
func (ix *RoomIndex) view(q RoomQuery, order string) pageView[roomRow] {
	return ix.pages.view(q, 0, func() pageView[roomRow] {
		selects, _ := q.selector() // Page has checked it
		v := pageView[roomRow]{compare: ix.pages.compare(order), until: math.MaxInt64}
		add := func(row *roomRow) bool {
			if selects(row) {
				v.rows = append(v.rows, row)
			}
			return q.Owner == "" || row.Room.Owner == q.Owner
		}
		if q.Owner == "" {
			ix.pages.order(order).each(0, false, add)
			return v
		}
		from, _ := ix.byOwner.countBefore(&roomRow{Room: Room{Owner: q.Owner}})
		ix.byOwner.each(from, false, add)
		slices.SortFunc(v.rows, v.compare)
		return v
	})
}

// cursorAfter keeps of the last room what its order compares: a name may be long.
func (r RoomPageRequest) cursorAfter(last *roomRow) string {
	row := *last
	if r.Sort != RoomsByName {
		row.Room.Name = nil
	}
	if r.Sort != RoomsByOwner {
		row.Note.OwnerName = ""
	}
	return encodeCursor(r.RoomQuery, row)
}
