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
	head  int // of items: what is before it was taken
	held  int // bytes of items
	lost  uint64
	more  chan struct{}

	// Of the reader alone: what it has taken. A lock for each message would cost
	// more than the message.
	batch []waiting[T]
	read  int
}

// batchSize is how many the reader takes at a time.
const batchSize = 64

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
	if len(q.items)-q.head >= q.limit || q.held+size > q.bytes && len(q.items) > q.head {
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

// pop is for the one reader.
func (q *queue[T]) pop() (v T, lost uint64, ok bool) {
	if q.read == len(q.batch) {
		if lost, ok := q.take(); !ok {
			return v, lost, lost > 0
		}
	}
	w := q.batch[q.read]
	q.batch[q.read] = waiting[T]{} // nothing is kept alive by the slice
	q.read++
	return w.value, w.lost, true
}

// take fills the reader's batch; where nothing waits it says how many were lost.
func (q *queue[T]) take() (lost uint64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.items)-q.head, batchSize)
	if n == 0 {
		lost, q.lost = q.lost, 0
		return lost, false
	}
	taken := q.items[q.head : q.head+n]
	q.batch, q.read = append(q.batch[:0], taken...), 0
	for _, w := range taken {
		q.held -= w.size
	}
	clear(taken)
	if q.head += n; 2*q.head >= len(q.items) { // the room before is used again
		rest := copy(q.items, q.items[q.head:])
		clear(q.items[rest:])
		q.items, q.head = q.items[:rest], 0
	}
	if len(q.items) == 0 && cap(q.items) > 16*batchSize { // after a burst
		q.items = nil
	}
	return 0, true
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
