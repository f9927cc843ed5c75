package kv

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"unibus/core"
	"unibus/core/jsapi"
)

// errShut is the error of users' writes and of admission while a bucket's guard is
// shut.
func errShut(bucket string) *core.Error {
	return core.Errorf(core.KindUnavailable, "the control plane is being migrated, or elsewhere: %s is not open", bucket).
		WithNext("see with `unibus-tui status` which store is the authority; try again once the migration is over")
}

// OpenFor opens the five buckets to users for an authority that the caller has
// read: kv, or none where nodes serve as configured. A guard of a later generation
// stays shut (KindConflict): another node is migrating the control plane. For kv
// the guards must be of that very generation: a bucket without one was created
// again, and is refused (KindRefused).
func (s *Store) OpenFor(ctx context.Context, a core.Authority) error {
	if a.Backend == core.BackendSQLite {
		return core.Errorf(core.KindRefused, "the buckets cannot be opened while the SQLite file of %s is the authority", a.Node)
	}
	s.shutRevisions.Store(nil)
	return eachTable(func(t core.Table) error { return s.openGuard(ctx, s.buckets[t], a) })
}

func (s *Store) openGuard(ctx context.Context, wb *watchedBucket, a core.Authority) error {
	return s.moveGuard(ctx, wb, func(g guard) (next guard, write bool, err error) {
		switch {
		case g.rev > 0 && g.Open && g.Generation == a.Generation:
			return g, false, nil
		case g.rev > 0 && g.Generation > a.Generation:
			return g, false, core.Errorf(core.KindConflict, "%s is held for generation %d, and the authority that was read is of %d", wb.bucket, g.Generation, a.Generation).
				WithNext("wait for the migration that is under way; if its node was lost, start that node again, then `unibusd migration abort`")
		case a.Backend == core.BackendKV && (g.rev == 0 || g.Generation != a.Generation):
			return g, false, core.Errorf(core.KindRefused, "%s was not prepared for generation %d: it was created again, or restored from an older backup", wb.bucket, a.Generation).
				WithNext("restore the stream %s from a backup before anything is served from it", streamOf(wb.bucket))
		}
		return guard{Generation: a.Generation, Open: true}, true, nil
	})
}

// Shut closes the five buckets to users for a generation that is to come, and lets
// only this store's migration rows be written until the guards change again.
// KindConflict where a later generation holds them, or this one is open already.
func (s *Store) Shut(ctx context.Context, generation uint64) error {
	err := eachTable(func(t core.Table) error { return s.shutGuard(ctx, s.buckets[t], generation) })
	if err != nil {
		return err
	}
	held := map[core.Table]uint64{}
	for t, wb := range s.buckets {
		g := wb.guard()
		if g.Open || g.Generation != generation {
			return core.Errorf(core.KindConflict, "the guard of %s was changed by another node", wb.bucket)
		}
		held[t] = g.rev
	}
	s.shutRevisions.Store(&held)
	return nil
}

func (s *Store) shutGuard(ctx context.Context, wb *watchedBucket, generation uint64) error {
	return s.moveGuard(ctx, wb, func(g guard) (next guard, write bool, err error) {
		if g.rev > 0 && (g.Generation > generation || g.Generation == generation && g.Open) {
			return g, false, core.Errorf(core.KindConflict, "%s is held for generation %d already", wb.bucket, g.Generation).
				WithNext("read the authority again")
		}
		return guard{Generation: generation}, g.rev == 0 || g.Open || g.Generation != generation, nil
	})
}

// guardTries is how often a guard is read again whose write got no answer: the CAS
// makes that harmless, and an election in between is no reason to fail.
const guardTries = 3

// moveGuard decides on a guard, writes it by CAS, and waits until the watch has
// it.
func (s *Store) moveGuard(ctx context.Context, wb *watchedBucket, judge func(guard) (guard, bool, error)) (err error) {
	for range guardTries {
		if err = s.moveGuardOnce(ctx, wb, judge); core.KindOf(err) != core.KindUnavailable || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// moveGuardOnce decides again where another writer was faster.
func (s *Store) moveGuardOnce(ctx context.Context, wb *watchedBucket, judge func(guard) (guard, bool, error)) error {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	for {
		e, _, err := s.last(ctx, wb.bucket, keyGuard)
		if err != nil {
			return explain(err, "reading the guard of "+wb.bucket)
		}
		g := guard{}
		if e.rev > 0 {
			g = decodeGuard(e.value, e.rev)
		}
		next, write, err := judge(g)
		if err != nil {
			return err
		}
		if !write {
			return explain(wb.awaitSeq(ctx, e.rev), "opening "+wb.bucket)
		}
		value, _ := json.Marshal(next) // two plain fields
		rev, err := s.put(ctx, wb.bucket, message{key: keyGuard, value: value, expect: &e.rev, header: [2]string{hdrGuard, string(value)}})
		if err == nil {
			return explain(wb.awaitSeq(ctx, rev), "opening "+wb.bucket)
		}
		if core.KindOf(err) != core.KindConflict {
			return err
		}
		if !jsapi.Sleep(ctx, rand.N(10*time.Millisecond)) { // there is no time left to read it again
			return explain(ctx.Err(), "moving the guard of "+wb.bucket)
		}
	}
}

// guard is the bucket's guard as the watch has it.
func (wb *watchedBucket) guard() guard {
	wb.mu.RLock()
	defer wb.mu.RUnlock()
	if wb.cur == nil {
		return guard{}
	}
	return wb.cur.table.guard
}

// A permit returns the guard revision under which a write may be sent.
type permit func(*watchedBucket) (rev uint64, err error)

// asUser is the permit of the Store's own methods: the bucket must be open.
func asUser(wb *watchedBucket) (uint64, error) {
	g := wb.guard()
	switch {
	case !g.Open:
		return 0, errShut(wb.bucket)
	case g.Holder != "":
		return 0, errHeld
	}
	return g.rev, nil
}

// asCopier is the permit of migrated rows: under the guard that Shut took, as long
// as it holds. A store that never shut anything writes under the guard there is.
func (s *Store) asCopier(wb *watchedBucket) (uint64, error) {
	if held := s.shutRevisions.Load(); held != nil {
		return (*held)[wb.name], nil
	}
	g := wb.guard()
	if g.Holder != "" {
		return 0, errHeld
	}
	return g.rev, nil
}

// write sends messages under the guard as a user of the store, and waits until
// this node's own watch has them. All are written or none. rev is theirs, or that
// of messages in the same batch. A write that was sent and not answered is not
// sent again.
func (s *Store) write(ctx context.Context, wb *watchedBucket, messages []message) (rev uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	rev, err = s.writeBatched(ctx, wb, messages)
	noteWrite(ctx, err)
	if err != nil {
		return 0, err
	}
	return rev, s.awaitOwnWrite(ctx, wb, rev, messages)
}

// writeOnly sends one write, alone in its bucket, and does not wait for the watch.
func (s *Store) writeOnly(ctx context.Context, wb *watchedBucket, messages []message, may permit) (rev uint64, err error) {
	if err := s.refused(ctx, wb, messages); err != nil {
		return 0, err
	}
	rev, err = s.writeAlone(ctx, wb, messages, may)
	noteWrite(ctx, err)
	return rev, err
}

// noteWrite tells the change under way of a write that was done, or may have been done.
func noteWrite(ctx context.Context, err error) {
	if err == nil || core.OutcomeOf(err) == core.OutcomeUnknown {
		core.WriteSent(ctx)
	}
}

// writeAlone waits for its turn in the bucket.
func (s *Store) writeAlone(ctx context.Context, wb *watchedBucket, messages []message, may permit) (uint64, error) {
	select {
	case wb.writeLock <- struct{}{}:
	case <-ctx.Done():
		return 0, explain(ctx.Err(), describeWrite(wb, messages))
	}
	defer func() { <-wb.writeLock }()
	return s.writeGuarded(ctx, wb, messages, may)
}

// refused is where tests stop a write before it is sent.
func (s *Store) refused(ctx context.Context, wb *watchedBucket, messages []message) error {
	if err := s.unreadable(messages); err != nil || s.onWrite == nil || !core.IsPartOfChange(ctx) {
		return err
	}
	return s.onWrite(wb.bucket, messages[0].key)
}

// unreadable refuses rows that a node of the cluster could not read. A row that it refuses
// already may change: a revocation, above all, must be possible.
func (s *Store) unreadable(messages []message) error {
	needed := 0
	for _, m := range messages {
		if version := core.ValueVersion(m.value); version > m.known {
			needed = max(needed, version)
		}
	}
	if s.newestReadable == nil || needed <= core.FirstValueVersion {
		return nil
	}
	if newest, node := s.newestReadable(); needed > newest {
		return core.Errorf(core.KindRefused, "nothing was written: %s runs an older release, which could not read the record %s and would deny the access that it gives", node, messages[0].key).
			WithOutcome(core.OutcomeNone).WithNext("upgrade %s first (docs/operations/upgrades.md), then repeat it", node)
	}
	return nil
}

// awaitOwnWrite waits until this node's own watch has what it wrote.
func (s *Store) awaitOwnWrite(ctx context.Context, wb *watchedBucket, rev uint64, messages []message) error {
	if wb.guardOnly || !wb.rowsWanted.Load() {
		return nil // its rows are not watched, and nothing is read from them
	}
	if err := wb.awaitSeq(ctx, rev); err != nil {
		text := describeWrite(wb, messages) + ": it was written, and this node has not read it back yet"
		return &core.Error{Kind: core.KindUnavailable, Text: text, Next: nextQuorum, Err: err}
	}
	return nil
}

func describeWrite(wb *watchedBucket, messages []message) string {
	return "writing " + messages[0].key + " in " + wb.bucket
}

// writeGuarded sends messages under the guard. It repeats tries that the server
// refused because another write was under way.
func (s *Store) writeGuarded(ctx context.Context, wb *watchedBucket, messages []message, may permit) (uint64, error) {
	for {
		guardRev, err := may(wb)
		if errors.Is(err, errHeld) {
			if err := s.awaitRelease(ctx, wb); err != nil {
				return 0, err
			}
			continue
		}
		if err != nil {
			return 0, err
		}
		rev, err := s.sendAll(ctx, wb.bucket, wb.node, messages, guardRev)
		switch {
		case err == nil:
			return rev, nil
		case jsapi.Answered(err, jsapi.CodeWrongLastConstant): // another guarded write is under way
			if !jsapi.Sleep(ctx, rand.N(3*time.Millisecond)) {
				return 0, err
			}
		case jsapi.Answered(err, jsapi.CodeWrongLastSequence):
			retry, failed := s.guardChange(ctx, wb, guardRev)
			if failed != nil || !retry {
				return 0, firstError(failed, err)
			}
		default:
			return 0, err
		}
	}
}

// guardChange tells a conflict over the guard from one over the record itself. retry is
// true where the guard merely changed since this node saw it, and has been read again.
// Without retry and without an error the conflict is over the record.
func (s *Store) guardChange(ctx context.Context, wb *watchedBucket, was uint64) (retry bool, err error) {
	e, _, err := s.last(ctx, wb.bucket, keyGuard)
	switch {
	case err != nil:
		return false, explain(err, "reading the guard of "+wb.bucket)
	case e.rev == was:
		return false, nil
	case s.shutRevisions.Load() != nil:
		return false, core.Errorf(core.KindConflict, "the guard of %s was changed by another node: this migration's rows are refused", wb.bucket).
			WithNext("see which node migrates the control plane: `unibusd migration status`")
	}
	if err := wb.awaitSeq(ctx, e.rev); err != nil {
		return false, explain(err, "reading the guard of "+wb.bucket)
	}
	return true, nil
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// sendAll sends messages so that they count only where the guard has a revision. A
// message cannot carry both its own CAS and the guard's: one without a CAS takes
// the guard, and where there is none, a key of this node's own does.
func (s *Store) sendAll(ctx context.Context, bucket, node string, messages []message, guardRev uint64) (uint64, error) {
	guarded := make([]message, len(messages), len(messages)+1)
	copy(guarded, messages)
	for i := range guarded {
		if guarded[i].expect == nil {
			guarded[i].guard = &guardRev
			return s.sendBatch(ctx, bucket, guarded)
		}
	}
	return s.sendBatch(ctx, bucket, append(guarded, message{key: writeKey(node), guard: &guardRev}))
}
