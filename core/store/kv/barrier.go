package kv

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/jsapi"
)

const (
	// barrierWait is how long a barrier may take before its watch is replaced.
	barrierWait = 700 * time.Millisecond

	// leaseFor is how long admission relies on a barrier, counted from its sending.
	leaseFor = 3 * time.Second
)

// The internal keys that a node writes for its own watch alone: its barriers, the
// guard's share of its writes, and the write that helps a new watch to catch up.
func barrierKey(node string) string { return "_barrier." + node }
func writeKey(node string) string   { return "_write." + node }
func watchKey(node string) string   { return "_watch." + node }

// barriers are the proofs of one bucket: at most one under way, and one that
// collects callers who came after that one was sent.
type barriers struct {
	mu      sync.Mutex
	waiting *barrier                // not sent yet
	sent    *barrier                // under way; nil: none is, and no goroutine sends
	last    atomic.Pointer[instant] // when the last successful one was sent
	count   atomic.Uint64           // how often one was written
}

// barrier ends by itself, so that no waiting caller needs a timer.
type barrier struct {
	until time.Time // it is given up then, sent or not
	since time.Time // set when it is sent, not before
	done  chan struct{}
	err   error // read after done
}

func (b *barriers) forget() { b.last.Store(nil) }

// prove returns nil once the watch has seen everything that was acknowledged
// before the call. Callers that wait together share one write, if it was not sent
// before they came. It takes the operation timeout at most. Under core.AsOf a
// barrier is enough that was sent since then.
func (wb *watchedBucket) prove(ctx context.Context) error {
	begun := time.Now()
	since, shared := core.AsOfTime(ctx)
	switch {
	case !shared:
		since = begun
	case wb.provenSince(since):
		return nil
	}
	b := wb.join(begun, since)
	err := wb.wait(ctx, b)
	if err == nil || ctx.Err() != nil {
		return err
	}
	mine := begun.Add(wb.client.timeout)
	if now := time.Now(); now.Before(b.until) || !now.Before(mine) {
		return err
	}
	// The barrier's time began before this caller came, which has some left.
	ctx, cancel := context.WithDeadline(ctx, mine)
	defer cancel()
	now := time.Now()
	return wb.wait(ctx, wb.join(now, now))
}

// provenSince is true where the last successful barrier was sent after since.
func (wb *watchedBucket) provenSince(since time.Time) bool {
	last := wb.barriers.last.Load()
	return last != nil && last.mono.After(since) && wb.failure() == nil
}

// join returns a barrier that was sent after since, or one that is not sent yet.
// If there is none, it makes one, and its time begins.
func (wb *watchedBucket) join(at, since time.Time) *barrier {
	b := &wb.barriers
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sent != nil && b.sent.since.After(since) {
		return b.sent
	}
	if b.waiting == nil {
		b.waiting = &barrier{until: at.Add(wb.client.timeout), done: make(chan struct{})}
		if b.sent == nil {
			b.sent = &barrier{} // no caller can join it: its since is zero
			go wb.runBarriers()
		}
	}
	return b.waiting
}

func (wb *watchedBucket) wait(ctx context.Context, b *barrier) error {
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return notProven(ctx.Err(), wb.bucket)
	}
}

// runBarriers writes one barrier after the other while callers wait.
func (wb *watchedBucket) runBarriers() {
	b := &wb.barriers
	for {
		yieldToWaiters()
		b.mu.Lock()
		now := b.waiting
		b.waiting, b.sent = nil, now
		if now != nil {
			now.since = time.Now()
		}
		b.mu.Unlock()
		if now == nil {
			return
		}
		now.err = wb.passBarrier(now.until)
		close(now.done)
	}
}

// yieldToWaiters lets other goroutines run before a barrier or a batch is sent, so
// that those about to ask can share it. A busy node writes fewer, and an idle one
// loses no time.
func yieldToWaiters() {
	for range 4 {
		runtime.Gosched()
	}
}

// passBarrier writes tokens until the watch delivers one, or the time is over.
func (wb *watchedBucket) passBarrier(until time.Time) error {
	if wb.client.closed.Load() {
		return errClosed()
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	for {
		sent := now()
		err := wb.tryBarrier(ctx)
		if err == nil {
			wb.barriers.last.Store(&sent)
			return nil
		}
		if broken := wb.failure(); broken != nil {
			return broken
		}
		if errors.Is(err, errNotSeen) && time.Since(sent.mono) >= barrierWait { // not because the context ended
			wb.requestRestart()
		}
		if !jsapi.Sleep(ctx, jsapi.Pause) {
			return notProven(err, wb.bucket)
		}
	}
}

var errNotSeen = core.Errorf(core.KindUnavailable, "this node's watch does not deliver what is written").
	WithNext(nextQuorum)

// tryBarrier writes one token and waits for it.
func (wb *watchedBucket) tryBarrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, barrierWait)
	defer cancel()
	wb.barriers.count.Add(1)
	tok := token()
	seq, err := wb.client.put(ctx, wb.bucket, message{key: barrierKey(wb.node), value: []byte(tok), header: [2]string{hdrToken, tok}})
	if err != nil {
		return err
	}
	if wb.await(ctx, func(t *table) bool { return t.token == tok && t.tokenAt == seq }) != nil {
		return errNotSeen
	}
	return nil
}

// proveAll takes a fresh barrier of each of the tables, side by side. A request
// that reads as of one moment will need the tables that decide: their barriers are
// sent together.
func (s *Store) proveAll(ctx context.Context, tables ...core.Table) error {
	if since, shared := core.AsOfTime(ctx); shared {
		s.sendBarriersEarly(since)
	}
	if len(tables) == 1 {
		return s.prove(ctx, tables[0])
	}
	errs := make([]error, len(tables))
	var all sync.WaitGroup
	for i, t := range tables {
		all.Go(func() { errs[i] = s.prove(ctx, t) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// prove never shares the proof of a room's keys: they are written before the room
// that leads to them, so a caller that has just read a room needs what came before it.
func (s *Store) prove(ctx context.Context, t core.Table) error {
	if t == core.TableRoomKeys {
		ctx = asOfNow(ctx)
	}
	return s.buckets[t].prove(ctx)
}

// asOfNow moves the moment of a request that shares its proofs: to read again
// after a newer revision was met, or after something that has to be read first.
func asOfNow(ctx context.Context) context.Context {
	if _, shared := core.AsOfTime(ctx); shared {
		return core.AsOf(ctx, time.Now())
	}
	return ctx
}

// sendBarriersEarly sends barriers of the tables that decide, where none was sent
// since, and waits for none.
func (s *Store) sendBarriersEarly(since time.Time) {
	for _, t := range []core.Table{core.TableUsers, core.TableRooms, core.TableMembers} {
		if wb := s.buckets[t]; wb.caughtUp() && !wb.provenSince(since) {
			wb.join(time.Now(), since)
		}
	}
}

// Lease returns the age of the older of the last barriers of users and members,
// since they were sent. ok is false where admission may not rely on them: there is
// none, or it is 3 s old.
func (s *Store) Lease() (age time.Duration, ok bool) {
	p, ok := s.lastProof()
	if !ok {
		return 0, false
	}
	age = p.age(now())
	return age, age < leaseFor
}

// proof is when the last barriers of users and members were sent.
type proof [2]*instant

// lastProof is false where one of the two has no barrier.
func (s *Store) lastProof() (p proof, ok bool) {
	for i, wb := range s.admission {
		if p[i] = wb.barriers.last.Load(); p[i] == nil {
			return p, false
		}
	}
	return p, true
}

func (p proof) age(at instant) time.Duration { return max(at.since(*p[0]), at.since(*p[1])) }
