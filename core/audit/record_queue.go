package audit

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

// recordQueue holds the records of this node that wait for the ones before them. One
// append is under way at a time, because each record has the hash of the one before it.
// Records that wait together go in one atomic batch, and are on disk with one sync.
type recordQueue struct {
	mu      sync.Mutex
	waiting []*queuedRecord
}

// queuedRecord is one caller's record.
type queuedRecord struct {
	entry entry
	after uint64 // the sequence of the newest record of its subject, 0: none
	until time.Time
	taken chan struct{} // closed when the record is in a batch: its caller sends no further one
	done  chan struct{}

	stored stored // both are read after done; nothing where another node was faster
	err    error
}

// maxGroup bounds an atomic batch. A server takes 1,000 messages.
const maxGroup = 100

func (q *recordQueue) add(r *queuedRecord) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, r)
}

// remove takes back a record that was not sent yet.
func (q *recordQueue) remove(r *queuedRecord) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, r); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

// take returns the records of the next batch, in the order in which they came: no subject
// twice, because the server compares the newest record of each.
func (q *recordQueue) take() (group []*queuedRecord) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ids := map[string]bool{}
	for _, r := range q.waiting {
		if ids[r.entry.ID] || len(group) == maxGroup {
			break
		}
		ids[r.entry.ID] = true
		group = append(group, r)
		close(r.taken)
	}
	q.waiting = slices.Delete(q.waiting, 0, len(group))
	return group
}

// appendNext is append for one last record of the stream; nothing is returned where
// another record followed that one. The caller that gets the turn sends for all that wait.
// It may send longer than it waits itself, as long as the others do and ctx lasts.
func (s *stream) appendNext(ctx context.Context, timeout time.Duration, node string, e entry, after uint64) (stored, error) {
	r := &queuedRecord{entry: e, after: after, until: time.Now().Add(timeout), taken: make(chan struct{}), done: make(chan struct{})}
	wait, cancel := context.WithDeadline(ctx, r.until)
	defer cancel()
	s.queue.add(r)
	turn, taken := s.turn, r.taken
	for {
		select {
		case <-r.done:
			return r.stored, r.err
		case <-taken:
			turn, taken = nil, nil
		case turn <- struct{}{}:
			go s.appendQueued(ctx, node)
		case <-wait.Done():
			s.queue.remove(r)
			return stored{}, tooLate()
		}
	}
}

// appendQueued sends the records that wait, and ends the turn. The next batch is sent while
// these are copied: each copy is a sync of the disk.
func (s *stream) appendQueued(ctx context.Context, node string) {
	group := s.queue.take()
	if len(group) == 0 {
		<-s.turn
		return
	}
	s.send(ctx, node, group)
	s.copyTurn <- struct{}{}
	<-s.turn
	s.finish(group)
	<-s.copyTurn
}

// send writes the records of a group. It holds the turn.
func (s *stream) send(ctx context.Context, node string, group []*queuedRecord) {
	until := slices.MaxFunc(group, func(a, b *queuedRecord) int { return a.until.Compare(b.until) }).until
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if len(group) == 1 || !s.appendBatch(ctx, node, group) {
		for _, r := range group {
			s.appendAlone(ctx, node, r)
		}
	}
}

// finish keeps what was written, and lets the callers go on: with an intent once it is
// kept, with an outcome at once.
func (s *stream) finish(group []*queuedRecord) {
	var records []stored
	for _, r := range group {
		if r.stored.seq > 0 {
			records = append(records, r.stored)
		}
		if r.entry.Phase == phaseOutcome {
			close(r.done)
		}
	}
	s.keep(records)
	for _, r := range group {
		if r.entry.Phase != phaseOutcome {
			close(r.done)
		}
	}
}

func (s *stream) appendAlone(ctx context.Context, node string, r *queuedRecord) {
	end, err := s.end(ctx)
	if err != nil {
		r.err = err
		return
	}
	r.stored, r.err = s.publish(ctx, node, r.entry, r.after, end)
}

// batchTries bounds how often a batch is sent again after another node's record.
const batchTries = 3

// appendBatch writes a group of records, all of them or none, and is false where it does
// not know that they are written.
func (s *stream) appendBatch(ctx context.Context, node string, group []*queuedRecord) bool {
	for range batchTries {
		end, err := s.end(ctx)
		if err != nil {
			return false
		}
		messages := chained(node, group, end)
		try, cancel := context.WithTimeout(ctx, jsapi.Attempt)
		last, err := s.api.PublishBatch(try, newID(), messages)
		cancel()
		if err == nil {
			for i, m := range messages {
				group[i].stored = stored{seq: last - uint64(len(messages)-1-i), data: m.Data}
			}
			s.last = &position{seq: last, hash: hashOf(messages[len(messages)-1].Data)}
			return true
		}
		s.last = nil
		if !jsapi.IsConflict(err) {
			return false // unknown, or this stream takes no batches yet
		}
	}
	return false
}

// chained encodes records of which each follows the one before it, and the first one the
// end of the stream. The server compares the stream's end for the first message alone.
func chained(node string, group []*queuedRecord, end position) []*nats.Msg {
	var out []*nats.Msg
	prev := end.hash
	for _, r := range group {
		m := encodeRecord(node, r.entry, r.after, prev)
		prev = hashOf(m.Data)
		out = append(out, m)
	}
	out[0].Header.Set("Nats-Expected-Last-Sequence", strconv.FormatUint(end.seq, 10))
	return out
}

func encodeRecord(node string, e entry, after uint64, prev string) *nats.Msg {
	e.Prev = prev
	msg := nats.NewMsg(subjectOf(node, e.ID))
	msg.Data = e.encode()
	msg.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(after, 10))
	msg.Header.Set("Nats-Expected-Stream", Stream)
	return msg
}

func tooLate() error {
	return core.Errorf(core.KindUnavailable, "the audit did not take a record in time")
}
