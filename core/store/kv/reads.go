package kv

import (
	"context"

	"unibus/core"
)

// awaitProof takes a fresh barrier of each of the tables: later reads of them have
// everything that was acknowledged before the call. Under core.Unproven it takes none.
func (s *Store) awaitProof(ctx context.Context, tables ...core.Table) error {
	for _, t := range tables {
		if _, err := s.readyBucket(ctx, t); err != nil {
			return err
		}
	}
	if core.IsUnproven(ctx) {
		return nil
	}
	return s.proveAll(ctx, tables...)
}

// find looks up one record. A record that vanished without a state is denied, not
// absent.
func (wb *watchedBucket) find(key string) (r record, ok bool, err error) {
	wb.mu.RLock()
	defer wb.mu.RUnlock()
	if bad := wb.unread(); bad != nil {
		return record{}, false, bad
	}
	r, ok = wb.cur.table.records[key]
	if !ok && len(wb.vanished) > 0 {
		if _, lost := wb.vanished[key]; lost {
			return record{}, false, core.Errorf(core.KindUnavailable, "the record %s of %s vanished without having been removed", key, wb.bucket).
				WithNext("look for damaged or deleted data on the nodes")
		}
	}
	return r, ok, r.err
}

// unread says why no row is known. The caller holds mu.
func (wb *watchedBucket) unread() *core.Error {
	if broken := wb.failure(); broken != nil {
		return broken
	}
	if wb.cur == nil || !wb.cur.rows {
		return core.Errorf(core.KindUnavailable, "this node has not read %s yet", wb.bucket).WithNext(nextQuorum)
	}
	return nil
}

// read gives do the table as the watch has it. do must not keep it.
func (wb *watchedBucket) read(do func(*table)) error {
	wb.mu.RLock()
	defer wb.mu.RUnlock()
	if bad := wb.unread(); bad != nil {
		return bad
	}
	do(wb.cur.table)
	return nil
}

// all collects what pick makes of a table's records, in the order of their keys. A
// record that cannot be decoded fails the whole: a list without it would be wrong.
func all[T any](s *Store, name core.Table, pick func(record) T) (out []T, err error) {
	broken := s.buckets[name].read(func(t *table) {
		if len(t.records) > 0 {
			out = make([]T, 0, len(t.records))
		}
		for _, key := range t.keys() {
			r := t.records[key]
			if r.err != nil {
				err = r.err
				return
			}
			out = append(out, pick(r))
		}
	})
	if broken != nil {
		err = broken
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// page is one page of a table as its watch has it, unless the request is refused. A table
// with a record that cannot be read has none, as it has no whole list.
func page[P any](ctx context.Context, s *Store, name core.Table, refused error, take func(*table) (P, error)) (out P, err error) {
	if refused != nil {
		return out, refused
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return out, err
	}
	defer cancel()
	if err := s.awaitProof(ctx, name); err != nil {
		return out, err
	}
	broken := s.buckets[name].read(func(t *table) {
		if err = t.readable(); err == nil {
			out, err = take(t)
		}
	})
	return out, firstError(broken, err)
}

// Counts is how much there is: see core.Store.
func (s *Store) Counts(ctx context.Context) (core.Counts, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.Counts{}, err
	}
	defer cancel()
	if err := s.awaitProof(ctx, core.TableUsers, core.TableRooms, core.TableMembers, core.TableRoomKeys); err != nil {
		return core.Counts{}, err
	}
	return s.counts(ctx)
}

func (s *Store) counts(ctx context.Context) (core.Counts, error) {
	var n core.Counts
	rooms, err := all(s, core.TableRooms, func(r record) core.Room { return *r.room })
	if err != nil {
		return n, err
	}
	var bad error
	broken := s.buckets[core.TableMembers].read(func(t *table) { n.Members, bad = t.allMembers, t.readable() })
	if err := firstError(broken, bad); err != nil {
		return n, err
	}
	valid, err := s.validRecs(ctx, rooms)
	if err != nil {
		return n, err
	}
	n.Rooms = len(rooms)
	if err := s.buckets[core.TableUsers].read(func(t *table) { n.Users = len(t.records) }); err != nil {
		return n, err
	}
	err = s.buckets[core.TableRoomKeys].read(func(t *table) {
		for group, names := range t.namesByPrefix {
			if !valid.has(group + ".x") {
				continue
			}
			n.Keys += len(names)
			if _, record := names[core.RecordSuffix]; record {
				n.Keys--
			}
		}
	})
	return n, err
}
