package kv

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"unibus/core"
)

// The index of rooms by member is derived: a member is written first, then its
// entry. If a node stopped in between, the reconciler repairs the entry. Every
// node runs it: an entry is written by CAS under the guard and only where it is
// wrong, so that several do no harm and an idle one writes nothing.

const (
	reconcileAfter = 2 * time.Second  // of a member's change: its writer writes the entry within milliseconds
	reconcileAll   = 10 * time.Minute // between passes over the whole index
	reconcileMost  = 10_000           // members that wait to be looked at; with more the whole index is read
)

// reconciler remembers which members changed and were not looked at since.
type reconciler struct {
	mu      sync.Mutex
	changed map[string]time.Time // members' keys, and when they are to be looked at
	all     bool
}

// note records a change.
func (r *reconciler) note(c Change) {
	if c.Member == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = map[string]time.Time{}
	}
	if len(r.changed) >= reconcileMost {
		r.all = true
		return
	}
	wait := reconcileAfter + rand.N(reconcileAfter) // nodes take turns: a later one finds it repaired
	r.changed[core.MemberRow(*c.Member).Key] = time.Now().Add(wait)
}

// takeDue returns and forgets the members that are to be looked at by now.
func (r *reconciler) takeDue(now time.Time) (keys []string, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, at := range r.changed {
		if !now.Before(at) {
			keys = append(keys, key)
			delete(r.changed, key)
		}
	}
	all, r.all = r.all, false
	return keys, all
}

// retryLater puts back members that could not be looked at.
func (r *reconciler) retryLater(keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = map[string]time.Time{}
	}
	for _, key := range keys {
		r.changed[key] = time.Now().Add(reconcileAfter)
	}
}

// reconcile repairs the index until ctx ends: changed rows at once, and all of it at
// the start and every ten minutes. It pauses while the buckets are not open to users.
func (s *Store) reconcile(ctx context.Context) {
	var next time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(core.UntilTick(reconcileAfter / 2)):
		}
		if !s.buckets[core.TableMembers].open() || !s.buckets[core.TableRoomsByMember].open() {
			continue
		}
		keys, all := s.reconciler.takeDue(time.Now())
		if all || time.Now().After(next) {
			if repaired, err := s.Reconcile(ctx); s.reportRepairs(repaired, err) {
				next = time.Now().Add(reconcileAll)
			}
		}
		for i, key := range keys {
			n, err := s.repairEntry(ctx, key)
			if !s.reportRepairs(n, err) {
				s.reconciler.retryLater(keys[i:])
				break
			}
		}
	}
}

// reportRepairs logs what was done, and is false where it has to be done again.
func (s *Store) reportRepairs(n int, err error) bool {
	if n > 0 {
		s.log.Info("entries of the index of rooms by member were repaired", "entries", n)
	}
	if err != nil && core.KindOf(err) != core.KindConflict { // in a conflict another node wrote it
		s.log.Debug("the index of rooms by member cannot be looked at just now", "error", err)
		return false
	}
	return true
}

// Reconcile looks at the whole index once and returns how many entries it
// repaired: missing ones, those of another state, and those without a member.
// Right entries are not written.
func (s *Store) Reconcile(ctx context.Context) (repaired int, err error) {
	if _, err := s.readyBucket(ctx, core.TableMembers); err != nil {
		return 0, err
	}
	wrong, err := s.wrongEntries(ctx)
	for _, key := range wrong {
		if err != nil {
			break
		}
		var n int
		n, err = s.repairEntry(ctx, key)
		if core.KindOf(err) == core.KindConflict { // another node writes it
			err = nil
		}
		repaired += n
	}
	return repaired, err
}

// wrongEntries compares the index with the members as the watch has them. An entry that
// looks wrong is read again by proof before it is written.
func (s *Store) wrongEntries(ctx context.Context) (wrong []string, err error) {
	seen := map[string]struct{}{}
	err = s.run(ctx, scan{bucket: core.TableRoomsByMember.Bucket(), filter: everything}, func(e entry) error {
		if e.key[0] == '_' || e.deleted {
			return nil
		}
		key := swapKeyParts(e.key)
		seen[key] = struct{}{}
		r, ok, err := s.buckets[core.TableMembers].find(key)
		if err == nil && (!ok || !bytes.Equal(core.IndexRow(*r.member).Value, e.value)) {
			wrong = append(wrong, key)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = s.buckets[core.TableMembers].read(func(t *table) {
		for key := range t.records {
			if _, there := seen[key]; !there {
				wrong = append(wrong, key)
			}
		}
	})
	return wrong, err
}

// swapKeyParts makes the key of a member out of that of its entry, and back.
func swapKeyParts(key string) string {
	a, b, _ := strings.Cut(key, ".")
	return b + "." + a
}

// repairEntry looks at the entry of one member's key and writes it where it is
// wrong: it reads the entry first, then the member by a fresh proof. A later
// change of the member writes the entry itself, and then the CAS fails.
func (s *Store) repairEntry(ctx context.Context, key string) (int, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	e, there, err := s.get(ctx, core.TableRoomsByMember.Bucket(), swapKeyParts(key))
	if err != nil || s.entryIsRight(key, e, there) { // no proof, and so no write, where nothing looks wrong
		return 0, err
	}
	if err := s.awaitProof(ctx, core.TableMembers); err != nil {
		return 0, err
	}
	if s.entryIsRight(key, e, there) {
		return 0, nil
	}
	r, ok, err := s.buckets[core.TableMembers].find(key)
	if err != nil {
		return 0, err
	}
	m := message{key: swapKeyParts(key), expect: &e.rev, remove: !ok} // there was never a member: no state to keep
	if ok {
		m.value = core.IndexRow(*r.member).Value
	}
	if _, err := s.set(ctx, m, core.TableRoomsByMember); err != nil {
		return 0, err
	}
	return 1, nil
}

func (s *Store) entryIsRight(key string, e entry, there bool) bool {
	r, ok, err := s.buckets[core.TableMembers].find(key)
	if err != nil || !ok {
		return err == nil && !there
	}
	return there && bytes.Equal(core.IndexRow(*r.member).Value, e.value)
}
