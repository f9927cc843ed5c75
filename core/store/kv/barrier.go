package kv

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
)

const (
	// barrierWait is how long a barrier may take before its watch is replaced.
	barrierWait = 700 * time.Millisecond

	// leaseFor is how long admission relies on a barrier, from when it was sent.
	leaseFor = 3 * time.Second
)

// The keys to which a node writes for its own watch alone: its barriers, the
// guard's share of its writes, and the help of a new watch.
func barrierKey(node string) string { return "_barrier." + node }
func writeKey(node string) string   { return "_write." + node }
func watchKey(node string) string   { return "_watch." + node }

// barriers are the proofs of one bucket: at most one under way, and one that
// collects those who came after it was sent.
type barriers struct {
	mu      sync.Mutex
	waiting *barrier // not sent yet
	running bool
	last    atomic.Pointer[instant] // when the last one that held was sent
	count   atomic.Uint64           // how often one was written
}

type barrier struct {
	done chan struct{}
	err  error
}

func (b *barriers) forget() { b.last.Store(nil) }

// prove returns nil when everything that was acknowledged before the call has
// been seen by the watch. Callers who wait together share one write, if it was
// not sent before they came.
func (f *follower) prove(ctx context.Context) error {
	b := &f.barriers
	b.mu.Lock()
	mine := b.waiting
	if mine == nil {
		mine = &barrier{done: make(chan struct{})}
		b.waiting = mine
		if !b.running {
			b.running = true
			go f.runBarriers()
		}
	}
	b.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return fault(ctx.Err(), "proving that "+f.bucket+" is current")
	}
}

// runBarriers writes one barrier after the other while somebody waits for one.
func (f *follower) runBarriers() {
	b := &f.barriers
	for {
		b.mu.Lock()
		now := b.waiting
		b.waiting = nil
		b.running = now != nil
		b.mu.Unlock()
		if now == nil {
			return
		}
		now.err = f.passBarrier()
		close(now.done)
	}
}

// passBarrier writes tokens until one comes back by the watch, within the operation timeout.
func (f *follower) passBarrier() error {
	ctx, cancel, err := f.w.bound(context.Background())
	if err != nil {
		return err
	}
	defer cancel()
	for {
		sent := now()
		err := f.tryBarrier(ctx)
		if err == nil {
			f.barriers.last.Store(&sent)
			return nil
		}
		if broken := f.ended(); broken != nil {
			return broken
		}
		if errors.Is(err, errNotSeen) {
			f.kick()
		}
		if !sleep(ctx, pause) {
			return fault(err, "proving that "+f.bucket+" is current")
		}
	}
}

var errNotSeen = core.Errorf(core.KindUnavailable, "this node's watch does not deliver what is written").
	WithNext(nextQuorum)

// tryBarrier writes one token and waits for it.
func (f *follower) tryBarrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, barrierWait)
	defer cancel()
	f.barriers.count.Add(1)
	tok := token()
	seq, err := f.w.put(ctx, f.bucket, message{key: barrierKey(f.node), value: []byte(tok), header: [2]string{hdrToken, tok}})
	if err != nil {
		return err
	}
	if f.await(ctx, func(t *table) bool { return t.token == tok && t.tokenAt == seq }) != nil {
		return errNotSeen
	}
	return nil
}

// proven takes a fresh barrier of each of the tables, side by side.
func (s *Store) proven(ctx context.Context, tables ...core.Table) error {
	if len(tables) == 1 {
		return s.follow[tables[0]].prove(ctx)
	}
	errs := make([]error, len(tables))
	var all sync.WaitGroup
	for i, t := range tables {
		all.Go(func() { errs[i] = s.follow[t].prove(ctx) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Lease is the age of the older of the last barriers of users and members, since
// they were sent. ok says whether admission may rely on them: false where there
// is none, or it is 3 s old.
func (s *Store) Lease() (age time.Duration, ok bool) {
	age, ok = s.leaseAge(now())
	return age, ok && age < leaseFor
}

func (s *Store) leased() bool {
	_, ok := s.Lease()
	return ok
}

func (s *Store) leaseAge(at instant) (age time.Duration, ok bool) {
	for _, t := range [...]core.Table{core.TableUsers, core.TableMembers} {
		last := s.follow[t].barriers.last.Load()
		if last == nil {
			return 0, false
		}
		age = max(age, at.since(*last))
	}
	return age, true
}
