package client

import (
	"context"
	"slices"
	"sync"
)

// queue holds values for one reader. A full queue drops and counts new values, and
// gives the reader the count in their place.
type queue[T any] struct {
	limit, bytes int
	size         func(T) int // in bytes

	mu          sync.Mutex
	chunks      []chunk[T]
	head        int // of chunks: the first one that was not taken
	count       int // values in chunks
	queuedBytes int // of them
	lost        uint64
	more        chan struct{}

	// Only the reader uses these: the chunk that it has taken. A lock for each
	// message would cost more than the message.
	taken []T
	read  int
}

// chunk is values that were pushed together, or a number of lost ones. Other queues
// may share the values, so they are only read.
type chunk[T any] struct {
	values []T
	bytes  int
	lost   uint64
}

func newQueue[T any](limit, bytes int, size func(T) int) *queue[T] {
	return &queue[T]{limit: limit, bytes: bytes, size: size, more: make(chan struct{}, 1)}
}

// push keeps the values, which must not be changed any more. It returns true if a
// run of losses begins with them.
func (q *queue[T]) push(values ...T) (began bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.fitting(values)
	if n := len(l.values); n > 0 {
		if n < len(values) {
			l.values = slices.Clone(l.values) // or the dropped ones would stay in memory
		}
		q.flushLost()
		q.chunks = append(q.chunks, l)
		q.count, q.queuedBytes = q.count+n, q.queuedBytes+l.bytes
	}
	if left := len(values) - len(l.values); left > 0 {
		began = q.lost == 0
		q.lost += uint64(left)
	}
	q.wake()
	return began
}

// pushBelow keeps a value if fewer than limit wait.
func (q *queue[T]) pushBelow(limit int, v T) {
	q.mu.Lock()
	full := q.count >= limit
	if full {
		q.lost++
		q.wake()
	}
	q.mu.Unlock()
	if !full {
		q.push(v)
	}
}

// fitting is the values up to the first one that exceeds the bounds.
func (q *queue[T]) fitting(values []T) chunk[T] {
	bytes := 0
	for i, v := range values {
		size := q.size(v)
		if at := q.count + i; at >= q.limit || at > 0 && q.queuedBytes+bytes+size > q.bytes {
			return chunk[T]{values: values[:i], bytes: bytes}
		}
		bytes += size
	}
	return chunk[T]{values: values, bytes: bytes}
}

// flushLost puts the number of lost values into their place.
func (q *queue[T]) flushLost() {
	if q.lost > 0 {
		q.chunks = append(q.chunks, chunk[T]{lost: q.lost})
		q.lost = 0
	}
}

// pushLast adds a last value, however full the queue is.
func (q *queue[T]) pushLast(v T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flushLost()
	q.chunks = append(q.chunks, chunk[T]{values: []T{v}})
	q.count++
	q.wake()
}

// addLost counts values that were lost before they reached the queue.
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

// pop is called by the reader alone.
func (q *queue[T]) pop() (v T, lost uint64, ok bool) {
	if q.read == len(q.taken) {
		if lost, ok := q.takeChunk(); !ok {
			return v, lost, lost > 0
		}
	}
	v = q.taken[q.read]
	if q.read++; q.read == len(q.taken) {
		q.taken, q.read = nil, 0 // nothing stays in memory while the reader waits
	}
	return v, 0, true
}

// takeChunk takes the next chunk; without one it returns the number of lost values.
func (q *queue[T]) takeChunk() (lost uint64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.chunks) {
		lost, q.lost = q.lost, 0
		return lost, false
	}
	l := q.chunks[q.head]
	q.chunks[q.head] = chunk[T]{}
	if q.head++; 2*q.head >= len(q.chunks) { // reuse the space before it
		rest := copy(q.chunks, q.chunks[q.head:])
		clear(q.chunks[rest:])
		q.chunks, q.head = q.chunks[:rest], 0
	}
	if len(q.chunks) == 0 && cap(q.chunks) > keepChunks { // after a burst
		q.chunks = nil
	}
	q.count, q.queuedBytes = q.count-len(l.values), q.queuedBytes-l.bytes
	q.taken, q.read = l.values, 0
	return l.lost, l.lost == 0
}

// keepChunks bounds the space that an empty queue keeps.
const keepChunks = 4096

// loops counts the loops over one stream, in one goroutine. The first loop finds the
// stream open; it ends with the last of nested loops, and a later loop opens it again.
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

// next waits for a value, or a number of lost ones. It returns false once a context
// has ended; queued values are still returned after the end of life.
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
