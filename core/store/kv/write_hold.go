package kv

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"unibus/core"
)

// maxHold is the longest time for which the writes of the buckets wait for an export.
// A node that waits longer ends the hold itself, so that an export whose node was
// killed stops nobody. It is well below the time that one write may take.
const maxHold = time.Second

// errHeld is what a permit says while an export holds the writes of a bucket.
var errHeld = errors.New("an export holds the writes of the bucket")

// writeHold is the guards of the exported buckets, while no write of a row can pass
// them. Reads and admission go on.
type writeHold struct {
	store  *Store
	holder string
	revs   map[core.Table]uint64 // of the guards that name the holder
}

// exportTables are the tables of an export in their order; rooms_by_member is derived.
func exportTables() []core.Table {
	return []core.Table{core.TableMembers, core.TableRooms, core.TableRoomKeys, core.TableUsers}
}

// eachExported runs f for the exported tables at once.
func eachExported(f func(core.Table) error) error {
	return eachTable(func(t core.Table) error {
		if t == core.TableRoomsByMember {
			return nil
		}
		return f(t)
	})
}

// holdWrites puts its name into the guard of every exported bucket. Every write of a
// row expects the guard that its writer saw: from the moment at which the last guard
// is written no row changes until release. KindConflict where another export or a
// migration has the guards.
func (s *Store) holdWrites(ctx context.Context) (*writeHold, error) {
	h := &writeHold{store: s, holder: token(), revs: map[core.Table]uint64{}}
	err := eachExported(func(t core.Table) error { return h.take(ctx, s.buckets[t]) })
	if err != nil {
		return nil, errors.Join(err, h.abandon(ctx))
	}
	for _, t := range exportTables() {
		g := s.buckets[t].guard()
		if g.Holder != h.holder {
			return nil, errors.Join(errHoldLost(t), h.abandon(ctx))
		}
		h.revs[t] = g.rev
	}
	return h, nil
}

func errHoldLost(t core.Table) error {
	return core.Errorf(core.KindUnavailable, "the writes of %s could not be held until it was read", t.Bucket()).WithNext("try again when less is written")
}

func (h *writeHold) take(ctx context.Context, wb *watchedBucket) error {
	if err := h.store.awaitRelease(ctx, wb); err != nil {
		return err
	}
	return h.store.moveGuard(ctx, wb, func(g guard) (next guard, write bool, err error) {
		switch {
		case g.Holder == h.holder: // an answer was lost
			return g, false, nil
		case !g.Open:
			return g, false, errShut(wb.bucket)
		case g.Holder != "":
			return g, false, core.Errorf(core.KindConflict, "another export of %s began at the same moment", wb.bucket).WithNext("try again")
		}
		return guard{Generation: g.Generation, Open: true, Holder: h.holder}, true, nil
	})
}

// release lets the writes pass. Without an error they were held until then: each guard
// was replaced at the very revision that holdWrites wrote.
func (h *writeHold) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.store.timeout)
	defer cancel()
	err := eachExported(func(t core.Table) error {
		err := h.store.endHold(ctx, h.store.buckets[t], guard{Generation: h.store.buckets[t].guard().Generation, rev: h.revs[t]})
		if core.KindOf(err) == core.KindConflict {
			return errHoldLost(t)
		}
		return err
	})
	if err != nil {
		return errors.Join(err, h.abandon(ctx))
	}
	return nil
}

// abandon takes the holder's name out of the guards that have it. A guard that it does
// not reach is opened by the first node that has waited for maxHold.
func (h *writeHold) abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.store.timeout)
	defer cancel()
	return eachExported(func(t core.Table) error {
		return h.store.moveGuard(ctx, h.store.buckets[t], func(g guard) (guard, bool, error) {
			return guard{Generation: g.Generation, Open: true}, g.Holder == h.holder, nil
		})
	})
}

// endHold opens a guard that has the revision of held.
func (s *Store) endHold(ctx context.Context, wb *watchedBucket, held guard) error {
	value, _ := json.Marshal(guard{Generation: held.Generation, Open: true}) // plain fields
	_, err := s.put(ctx, wb.bucket, message{key: keyGuard, value: value, expect: &held.rev, header: [2]string{hdrGuard, string(value)}})
	return err
}

// awaitRelease waits until no export holds the writes of a bucket. It ends a hold that
// lasts longer than maxHold.
func (s *Store) awaitRelease(ctx context.Context, wb *watchedBucket) error {
	g := wb.guard()
	if g.Holder == "" {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, maxHold)
	err := wb.await(limited, func(t *table) bool { return t.guard.rev != g.rev })
	cancel()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil || wb.failure() != nil:
		return explain(err, "waiting for the export of "+wb.bucket)
	}
	s.log.Warn("an export held the writes of a bucket for too long; they go on without it", "bucket", wb.bucket)
	if err := s.endHold(ctx, wb, g); err != nil && core.KindOf(err) != core.KindConflict {
		return err
	}
	return explain(wb.await(ctx, func(t *table) bool { return t.guard.rev != g.rev }), "waiting for the export of "+wb.bucket)
}
