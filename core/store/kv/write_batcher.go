package kv

import (
	"context"
	"slices"
	"sync"

	"unibus/core"
)

// writes are those of one bucket that wait for each other: the server lets one
// guarded write be under way at a time. Who waits together goes in one batch.
type writeBatcher struct {
	mu      sync.Mutex
	waiting []*queuedWrite
	running bool
}

// pending is one caller's messages.
type queuedWrite struct {
	messages []message
	done     chan struct{}
	rev      uint64 // both are read after done
	err      error
}

// writeTogether sends messages in one batch with those of others who wait, and
// alone where that batch was refused because of a revision.
func (s *Store) writeBatched(ctx context.Context, wb *watchedBucket, messages []message) (uint64, error) {
	if err := s.refused(wb, messages); err != nil {
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
		if wb.batcher.drop(p) {
			return 0, explain(ctx.Err(), describeWrite(wb, messages))
		}
		return 0, unknownOutcome(ctx.Err(), describeWrite(wb, messages))
	}
}

// add reports whether somebody has to begin sending.
func (w *writeBatcher) add(p *queuedWrite) (begin bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, p)
	begin, w.running = !w.running, true
	return begin
}

// drop takes back what was not sent yet, and reports whether it could.
func (w *writeBatcher) drop(p *queuedWrite) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, p)
	if i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
	}
	return i >= 0
}

// take returns who goes in the next batch, in the order in which they came: no
// key twice, as one of two changes of a record has to see the other.
func (w *writeBatcher) take() (group []*queuedWrite) {
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

// runWrites sends one batch after the other while somebody waits.
func (s *Store) runBatches(wb *watchedBucket) {
	for {
		yieldToWaiters()
		group := wb.batcher.take()
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
	one := len(group) > 1 && core.KindOf(err) == core.KindConflict
	for _, p := range group {
		p.rev, p.err = rev, err
		if one { // the batch was refused whole: each for itself says whose revision was old
			p.rev, p.err = s.writeAlone(ctx, wb, p.messages, asUser)
		}
		close(p.done)
	}
}
