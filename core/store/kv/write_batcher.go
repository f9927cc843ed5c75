package kv

import (
	"context"
	"slices"
	"sync"

	"unibus/core"
)

// writeBatcher batches the writes of one bucket that wait for each other: the
// server lets one guarded write be under way at a time. Writes that wait together
// go in one atomic batch.
type writeBatcher struct {
	mu      sync.Mutex
	waiting []*queuedWrite
	running bool
}

// queuedWrite is one caller's messages.
type queuedWrite struct {
	messages []message
	done     chan struct{}
	rev      uint64 // both are read after done
	err      error
}

// writeBatched sends messages in one batch with those of other waiting callers,
// and alone where that batch was refused because of a revision.
func (s *Store) writeBatched(ctx context.Context, wb *watchedBucket, messages []message) (uint64, error) {
	if err := s.refused(ctx, wb, messages); err != nil {
		return 0, err
	}
	p := &queuedWrite{messages: messages, done: make(chan struct{})}
	if wb.batcher.add(p) {
		go s.runBatches(wb)
	}
	select {
	case <-p.done:
		return p.rev, p.err
	case <-ctx.Done():
		if wb.batcher.cancel(p) {
			return 0, explain(ctx.Err(), describeWrite(wb, messages))
		}
		return 0, unknownOutcome(ctx.Err(), describeWrite(wb, messages))
	}
}

// add is true where the caller has to start the sending.
func (w *writeBatcher) add(p *queuedWrite) (begin bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, p)
	begin, w.running = !w.running, true
	return begin
}

// cancel takes back what was not sent yet, and is false where it was sent.
func (w *writeBatcher) cancel(p *queuedWrite) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, p)
	if i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
	}
	return i >= 0
}

// nextGroup returns the writes of the next batch, in the order in which they came:
// no key twice, because the later of two changes of a record has to see the
// earlier.
func (w *writeBatcher) nextGroup() (group []*queuedWrite) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys, messages, size := map[string]bool{}, 0, 0
	fits := func(p *queuedWrite) bool {
		for _, m := range p.messages {
			if keys[m.key] {
				return false
			}
			size += len(m.key) + len(m.value)
		}
		messages += len(p.messages)
		return messages < batchMessages && size <= rekeyBytes
	}
	for _, p := range w.waiting {
		if !fits(p) && len(group) > 0 {
			break
		}
		for _, m := range p.messages {
			keys[m.key] = true
		}
		group = append(group, p)
	}
	w.waiting = slices.Delete(w.waiting, 0, len(group))
	w.running = len(group) > 0
	return group
}

// runBatches sends one batch after the other while callers wait.
func (s *Store) runBatches(wb *watchedBucket) {
	for {
		yieldToWaiters()
		group := wb.batcher.nextGroup()
		if len(group) == 0 {
			return
		}
		s.writeGroup(wb, group)
	}
}

func (s *Store) writeGroup(wb *watchedBucket, group []*queuedWrite) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	var all []message
	for _, p := range group {
		all = append(all, p.messages...)
	}
	rev, err := s.writeAlone(ctx, wb, all, asUser)
	retryAlone := len(group) > 1 && core.KindOf(err) == core.KindConflict
	for _, p := range group {
		p.rev, p.err = rev, err
		if retryAlone { // the batch was refused whole: sent alone, each write says whether its own revision was old
			p.rev, p.err = s.writeAlone(ctx, wb, p.messages, asUser)
		}
		close(p.done)
	}
}
