package client

import (
	"context"
	"sync"
)

// queue is what waits for one reader. Where it is full, what comes is counted
// and left out, and the count is handed out in its place.
type queue[T any] struct {
	limit, bytes int

	mu    sync.Mutex
	items []waiting[T]
	held  int // bytes of items
	lost  uint64
	more  chan struct{}
}

type waiting[T any] struct {
	value T
	size  int
	lost  uint64 // in place of a value
}

func newQueue[T any](limit, bytes int) *queue[T] {
	return &queue[T]{limit: limit, bytes: bytes, more: make(chan struct{}, 1)}
}

// push says whether a run of losses begins with this one.
func (q *queue[T]) push(v T, size int) (began bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) >= q.limit || q.held+size > q.bytes && len(q.items) > 0 {
		q.lost++
		return q.lost == 1
	}
	if q.lost > 0 {
		q.items = append(q.items, waiting[T]{lost: q.lost})
		q.lost = 0
	}
	q.items = append(q.items, waiting[T]{value: v, size: size})
	q.held += size
	q.wake()
	return false
}

// end puts a last value behind all others, however many wait.
func (q *queue[T]) end(v T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost > 0 {
		q.items = append(q.items, waiting[T]{lost: q.lost})
		q.lost = 0
	}
	q.items = append(q.items, waiting[T]{value: v})
	q.wake()
}

// miss counts what never came as far as here.
func (q *queue[T]) miss(n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost += n
	q.wake()
}

func (q *queue[T]) wake() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (q *queue[T]) pop() (v T, lost uint64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		lost, q.lost = q.lost, 0
		return v, lost, lost > 0
	}
	w := q.items[0]
	q.items[0] = waiting[T]{} // nothing is kept alive by the slice
	if q.items = q.items[1:]; len(q.items) == 0 {
		q.items = nil
	}
	q.held -= w.size
	return w.value, w.lost, true
}

// next waits for a value, or a number of lost ones; not ok: one of the contexts
// has ended. What waits is still read out once the second one has.
func (q *queue[T]) next(ctx, life context.Context) (v T, lost uint64, ok bool) {
	for ctx.Err() == nil {
		if v, lost, ok := q.pop(); ok {
			return v, lost, true
		}
		select {
		case <-q.more:
		case <-ctx.Done():
		case <-life.Done():
			if v, lost, ok := q.pop(); ok {
				return v, lost, true
			}
			return v, 0, false
		}
	}
	return v, 0, false
}
