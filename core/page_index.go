package core

import (
	"encoding/base64"
	"encoding/json"
	"slices"
)

// pageIndex keeps the rows of a list in orders, so that a page is found by position and
// its cost does not grow with the list. A filter looks at every row once, and its result
// serves until a row changes. It has no lock, and the rows must not change in it.
type pageIndex[T any, Q comparable] struct {
	byID    *orderedList[*T]
	compare func(order string) func(a, b *T) int // of an order's name; by "" and "id" is by id
	orders  map[string]*orderedList[*T]          // those that were asked for
	views   map[Q]pageView[T]                    // results of filters, at most maxViews
}

const maxViews = 8

// newPageIndex makes an index of rows in any order, and returns them in that of their ids.
func newPageIndex[T any, Q comparable](rows []*T, compare func(order string) func(a, b *T) int) (ix pageIndex[T, Q], sorted []*T) {
	byID := compare("")
	sorted = slices.SortedFunc(slices.Values(rows), byID)
	return pageIndex[T, Q]{byID: newOrderedList(sorted, byID), compare: compare, orders: map[string]*orderedList[*T]{}}, sorted
}

// change inserts or removes a row in every order.
func (ix *pageIndex[T, Q]) change(row *T, do func(*orderedList[*T], *T)) {
	do(ix.byID, row)
	for _, order := range ix.orders {
		do(order, row)
	}
	ix.views = nil
}

// order returns the list of an order; it is made when it is first asked for.
func (ix *pageIndex[T, Q]) order(by string) *orderedList[*T] {
	if by == "" || by == "id" {
		return ix.byID
	}
	if l := ix.orders[by]; l != nil {
		return l
	}
	all, compare := slices.Concat(ix.byID.chunks...), ix.compare(by)
	slices.SortFunc(all, compare)
	ix.orders[by] = newOrderedList(all, compare)
	return ix.orders[by]
}

// view is the result of a filter, which find makes where none is kept that serves at now.
func (ix *pageIndex[T, Q]) view(q Q, now Millis, find func() pageView[T]) pageView[T] {
	if v, ok := ix.views[q]; ok && now < v.until {
		return v
	}
	if ix.views == nil || len(ix.views) >= maxViews {
		ix.views = map[Q]pageView[T]{}
	}
	v := find()
	ix.views[q] = v
	return v
}

// pageList is a list that a page is taken from.
type pageList[T any] interface {
	len() int
	countBefore(row *T) (n int, found bool)         // in the list's own direction
	each(from int, backward bool, do func(*T) bool) // from counts from the end if backward
}

func (l *orderedList[T]) len() int { return l.size }

// pageView is what a filter selected, in order, until a time.
type pageView[T any] struct {
	rows    []*T
	compare func(a, b *T) int
	until   Millis
}

func (v pageView[T]) len() int { return len(v.rows) }

func (v pageView[T]) countBefore(row *T) (n int, found bool) {
	return slices.BinarySearchFunc(v.rows, row, v.compare)
}

func (v pageView[T]) each(from int, backward bool, do func(*T) bool) {
	for i := from; i < len(v.rows); i++ {
		at := i
		if backward {
			at = len(v.rows) - 1 - i
		}
		if !do(v.rows[at]) {
			return
		}
	}
}

// pageStart says where a page begins: after a row, or around one that the list has, or
// else at a position.
type pageStart[T any] struct {
	after, around *T // nil: none
	offset, limit int
	backward      bool
}

// in is the position of the page's first row in a list.
func (s pageStart[T]) in(list pageList[T]) int {
	if s.after != nil {
		return positionAfter(list, s.backward, s.after)
	}
	if s.around != nil {
		if at, listed := list.countBefore(s.around); listed {
			if s.backward {
				at = list.len() - 1 - at
			}
			return max(0, at-s.limit/2)
		}
	}
	return min(s.offset, list.len())
}

// positionAfter is where a list goes on after a row that need not be in it any more.
func positionAfter[T any](list pageList[T], backward bool, last *T) int {
	before, found := list.countBefore(last)
	switch {
	case backward:
		return list.len() - before
	case found:
		return before + 1
	}
	return before
}

// cutPage takes rows of a list, as many as fit, and at least one. size is how many bytes a
// row has at the most. next is true if the list goes on after the last one.
func cutPage[T any](list pageList[T], from, limit int, backward bool, size func(*T) int) (rows []*T, next bool) {
	bytes := 0
	list.each(from, backward, func(row *T) bool {
		if bytes += size(row); len(rows) == limit || len(rows) > 0 && bytes > pageBytes {
			return false
		}
		rows = append(rows, row)
		return true
	})
	return rows, len(rows) > 0 && from+len(rows) < list.len()
}

// pageLimit is how many rows a page has at the most that is asked for with a limit.
func pageLimit(asked int) int {
	if asked == 0 || asked > MaxPage {
		return MaxPage
	}
	return asked
}

// jsonSize is how many bytes a text has at the most as JSON escapes it.
func jsonSize(text *string) int {
	if text == nil {
		return 0
	}
	return 6 * len(*text)
}

const (
	// MaxPage is how many rows a page has at the most.
	MaxPage   = 1000
	pageBytes = 512 << 10 // of one page: well below the payload limit of 1 MiB
	maxFilter = 256
)

// checkPage refuses what no page of any list can be asked for. KindInvalid.
func checkPage(rows string, offset, limit int, after, around string, filters ...string) error {
	longest := 0
	for _, f := range filters {
		longest = max(longest, len(f))
	}
	switch {
	case limit < 0 || offset < 0:
		return Errorf(KindInvalid, "a page cannot have %d %s from position %d on", limit, rows, offset).WithNext("give numbers that are not negative")
	case longest > maxFilter:
		return Errorf(KindInvalid, "the filter has %d bytes", longest).WithNext("give at most %d", maxFilter)
	case after != "" && (offset != 0 || around != ""):
		return Errorf(KindInvalid, "a page begins after a cursor or at a position, and not both").WithNext("leave one out")
	}
	return nil
}

// checkSort refuses an order that a list does not have. KindInvalid.
func checkSort[S ~string](rows string, by S, known []S) error {
	if by == "" || slices.Contains(known, by) {
		return nil
	}
	return Errorf(KindInvalid, "%s cannot be sorted by %q", rows, by).WithNext("sort by %s", JoinWords(known))
}

// pageCursor is what a page's Next holds: the query, and the fields of the last row by
// which the next page is found although that row changed meanwhile.
type pageCursor[Q comparable, T any] struct {
	Query Q `json:"q"`
	Last  T `json:"u"`
}

func encodeCursor[Q comparable, T any](q Q, last T) string {
	b, _ := json.Marshal(pageCursor[Q, T]{q, last}) // plain values
	return base64.RawURLEncoding.EncodeToString(b)
}

// decodeCursor is the last row of the page before, nil for the first page. KindInvalid for
// a text that is no cursor of this query.
func decodeCursor[Q comparable, T any](after string, q Q, isRow func(T) bool) (*T, error) {
	if after == "" {
		return nil, nil
	}
	var c pageCursor[Q, T]
	b, err := base64.RawURLEncoding.DecodeString(after)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || !isRow(c.Last) || c.Query != q {
		return nil, Errorf(KindInvalid, "the cursor belongs to another list: it is no end of a page of this query").
			WithNext("begin again with the first page, and keep filter and order while you fetch the next ones")
	}
	return &c.Last, nil
}
