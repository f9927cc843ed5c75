package client

import (
	"context"
	"slices"
	"sync"
)

// queue is what waits for one reader. Where it is full, what comes is counted
// and left out, and the count is handed out in its place.
type queue[T any] struct {
	limit, bytes int
	size         func(T) int // in bytes

	mu    sync.Mutex
	lots  []lot[T]
	head  int // of lots: what is before it was taken
	count int // values in lots
	held  int // bytes of them
	lost  uint64
	more  chan struct{}

	// Of the reader alone: the lot that it has taken. A lock for each message
	// would cost more than the message.
	taken []T
	read  int
}

// lot is values that came together; they are only read, as other queues may have
// them too. Or a number of lost ones.
type lot[T any] struct {
	values []T
	bytes  int
	lost   uint64
}

func newQueue[T any](limit, bytes int, size func(T) int) *queue[T] {
	return &queue[T]{limit: limit, bytes: bytes, size: size, more: make(chan struct{}, 1)}
}

// push keeps the values, which nobody changes any more. It says whether a run of losses begins with them.
func (q *queue[T]) push(values ...T) (began bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.fitting(values)
	if n := len(l.values); n > 0 {
		if n < len(values) {
			l.values = slices.Clone(l.values) // or all would be kept, and a part counted
		}
		q.gap()
		q.lots = append(q.lots, l)
		q.count, q.held = q.count+n, q.held+l.bytes
	}
	if left := len(values) - len(l.values); left > 0 {
		began = q.lost == 0
		q.lost += uint64(left)
	}
	q.wake()
	return began
}

// fitting is the values up to the first for which there is no room.
func (q *queue[T]) fitting(values []T) lot[T] {
	bytes := 0
	for i, v := range values {
		size := q.size(v)
		if at := q.count + i; at >= q.limit || at > 0 && q.held+bytes+size > q.bytes {
			return lot[T]{values: values[:i], bytes: bytes}
		}
		bytes += size
	}
	return lot[T]{values: values, bytes: bytes}
}

// gap puts the number of lost ones where they are missing.
func (q *queue[T]) gap() {
	if q.lost > 0 {
		q.lots = append(q.lots, lot[T]{lost: q.lost})
		q.lost = 0
	}
}

// pushLast puts a last value behind all others, however many wait.
func (q *queue[T]) pushLast(v T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gap()
	q.lots = append(q.lots, lot[T]{values: []T{v}})
	q.count++
	q.wake()
}

// addLost counts what never came as far as here.
func (q *queue[T]) addLost(n uint64) {
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
	if q.read == len(q.taken) {
		if lost, ok := q.take(); !ok {
			return v, lost, lost > 0
		}
	}
	v = q.taken[q.read]
	if q.read++; q.read == len(q.taken) {
		q.taken, q.read = nil, 0 // nothing is kept for who waits
	}
	return v, 0, true
}

// take gives the reader the next lot; else it says how many were lost.
func (q *queue[T]) take() (lost uint64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.lots) {
		lost, q.lost = q.lost, 0
		return lost, false
	}
	l := q.lots[q.head]
	q.lots[q.head] = lot[T]{}
	if q.head++; 2*q.head >= len(q.lots) { // the room before is used again
		rest := copy(q.lots, q.lots[q.head:])
		clear(q.lots[rest:])
		q.lots, q.head = q.lots[:rest], 0
	}
	if len(q.lots) == 0 && cap(q.lots) > manyLots { // after a burst
		q.lots = nil
	}
	q.count, q.held = q.count-len(l.values), q.held-l.bytes
	q.taken, q.read = l.values, 0
	return l.lost, l.lost == 0
}

// manyLots is what is not kept room for once it was taken.
const manyLots = 4096

// loops are those over one stream, by one goroutine. The first finds the stream
// as it was made, which ends when the last of them is left; one that comes then begins it again.
type loops struct {
	begin, end func()
	running    int
	left       bool
}

func (l *loops) enter() (leave func()) {
	if l.left && l.running == 0 {
		l.begin()
	}
	l.running++
	return func() {
		l.left = true
		if l.running--; l.running == 0 {
			l.end()
		}
	}
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
