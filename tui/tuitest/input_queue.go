package tuitest

import (
	"bytes"
	"io"
	"sync"
)

// inputQueue is an unbounded input: put never blocks.
type inputQueue struct {
	mu       sync.Mutex
	notEmpty *sync.Cond
	buf      bytes.Buffer
	closed   bool
}

func newInputQueue() *inputQueue {
	q := &inputQueue{}
	q.notEmpty = sync.NewCond(&q.mu)
	return q
}

func (q *inputQueue) put(p []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.buf.Write(p)
	q.notEmpty.Broadcast()
}

func (q *inputQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.notEmpty.Broadcast()
}

// Read waits for input.
func (q *inputQueue) Read(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.buf.Len() == 0 {
		if q.closed {
			return 0, io.EOF
		}
		q.notEmpty.Wait()
	}
	return q.buf.Read(p)
}
