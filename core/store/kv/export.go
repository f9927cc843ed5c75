package kv

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/jsapi"
)

// ExportRows hands out everything that counts, for a backup or a rollback, and
// ends with the first error that each returns. Values are canonical; one that
// cannot be decoded is KindFailed. The derived rooms_by_member is left out.
//
// The tables come in the order members, rooms, room_keys, users, each in bytewise key
// order, and all of them at one revision. They are read while nodes write; then
// the writes are held (see holdWrites) for the moment that it takes to read what
// came meanwhile. During a migration nobody writes, and nothing is held.
//
// Of room_keys come those that led to the room's rec. The rows of rekeys under way, and
// those of lost ones, are left out. If a record is missing, nothing leads to the epochs
// before it. Of those, an export has the keys of each epoch that has one rec only, so
// that a file that was migrated so comes back whole.
//
// A leader leaves out what it cannot read on its disk, without an error: an export
// of fewer keys than the leader counts is KindFailed.
//
// In memory are the rooms' recs, which record came before which, and a rec for each
// epoch, never a table: see Config.TempDir.
func (s *Store) ExportRows(ctx context.Context, each func(core.Row) error) error {
	keys := keyChains{c: recordChains{}, only: onlyRecs{}}
	x := map[core.Table]*tableExport{}
	for _, t := range exportTables() {
		var note func(entry)
		if t == core.TableRoomKeys {
			note = keys.note
		}
		x[t] = s.newTableExport(t, note)
		defer x[t].close()
	}
	if err := s.readAll(ctx, x); err != nil {
		return err
	}
	if err := x[core.TableMembers].each(each); err != nil {
		return err
	}
	rooms := map[core.RoomID]core.Room{}
	err := x[core.TableRooms].each(func(r core.Row) error {
		room, err := core.DecodeRoom(r)
		if err != nil {
			return err
		}
		rooms[room.ID] = core.Room{ID: room.ID, Epoch: room.Epoch, Rec: room.Rec}
		return each(r)
	})
	if err != nil {
		return err
	}
	if err := keys.export(x[core.TableRoomKeys], rooms, each); err != nil {
		return err
	}
	return x[core.TableUsers].each(each)
}

// exportTries is how often a table is read again whose leader changed meanwhile, and
// how often the writes are held for one export.
const exportTries = 3

// readAll reads the tables at one revision.
func (s *Store) readAll(ctx context.Context, x map[core.Table]*tableExport) error {
	quiet := slices.ContainsFunc(exportTables(), func(t core.Table) bool { return !s.buckets[t].guard().Open })
	for _, t := range exportTables() { // one after the other: each takes much of what the servers can give
		if err := x[t].read(ctx, quiet); err != nil {
			return err
		}
	}
	for try := 1; !quiet; try++ {
		err := s.readRest(ctx, x)
		if kind := core.KindOf(err); kind != core.KindUnavailable && kind != core.KindConflict || try == exportTries || ctx.Err() != nil {
			return err
		}
		jsapi.Sleep(ctx, rand.N(100*time.Millisecond)) // two exports that began at the same moment part
	}
	return nil
}

// readRest reads what was written since a table was read, with the writes held at last.
func (s *Store) readRest(ctx context.Context, x map[core.Table]*tableExport) error {
	if err := eachExported(func(t core.Table) error { return x[t].follow(ctx) }); err != nil {
		return err
	}
	begun := time.Now()
	h, err := s.holdWrites(ctx)
	if err != nil {
		return err
	}
	held, cancel := context.WithTimeout(ctx, maxHold)
	defer cancel()
	err = eachExported(func(t core.Table) error { return x[t].readHeld(held, h.revs[t]) })
	if err != nil {
		return errors.Join(err, h.abandon(ctx))
	}
	err = h.release(ctx)
	s.log.Debug("the writes were held for an export", "for", time.Since(begun), "err", err)
	return err
}

// keyChains collects, while the sealed keys are read, the links from each epoch to the
// one before it.
type keyChains struct {
	c       recordChains
	only    onlyRecs
	damaged error // a record that cannot be decoded
}

func (k *keyChains) note(e entry) {
	if e.deleted {
		return
	}
	k.only.add(e.key)
	if !strings.HasSuffix(e.key, "."+core.RecordSuffix) {
		return
	}
	_, record, err := core.DecodeKey(core.Row{Table: core.TableRoomKeys, Key: e.key, Value: e.value})
	if err == nil && record != nil {
		k.c[recordKey{record.Room, record.Epoch, record.Rec}] = record.Prev
	}
	k.damaged = cmp.Or(k.damaged, err)
}

// export hands out the keys that count.
func (k *keyChains) export(x *tableExport, rooms map[core.RoomID]core.Room, each func(core.Row) error) error {
	if k.damaged != nil {
		return k.damaged
	}
	valid := make(countedRecs, len(rooms))
	for id, room := range rooms {
		valid[string(id)], _ = recsOf(room, k.c.prevOf(id)) // a map gives no error
	}
	return x.each(func(r core.Row) error {
		if !valid.has(r.Key) && !valid.isUndecided(r.Key, rooms, k.only) {
			return nil
		}
		return each(r)
	})
}

// leaderPosition is what a leader counted at the revision of an export.
type leaderPosition struct {
	leader string
	keys   int
}

// readReplica scans the replica of a bucket's leader up to one revision. Where exact is
// false, it ends with what the leader had at the beginning.
func (s *Store) readReplica(ctx context.Context, t core.Table, exact bool, each func(entry) error) (at leaderPosition, err error) {
	info, err := s.bucketInfo(ctx, t.Bucket())
	if err != nil {
		return at, err
	}
	at.leader = info.Leader()
	q := scan{bucket: t.Bucket(), filter: everything, node: at.leader, exact: exact, messages: &at.keys}
	last, found, err := s.newest(ctx, q)
	if err != nil {
		return at, err
	}
	// A leader that was deposed answers for a while without knowing it: one that
	// lacks the guard, behind which a rollback's last write lies, is not believed.
	guard := s.buckets[t].guard().rev
	if !found && guard == 0 {
		return at, nil
	}
	err = s.runTo(ctx, q, max(last.rev, guard), each)
	return at, err
}

// canonical is the value as this program would write it.
func canonical(r core.Row) ([]byte, error) {
	again := r
	var err error
	switch r.Table {
	case core.TableUsers:
		var u core.User
		u, err = core.DecodeUser(r)
		again = core.UserRow(u)
	case core.TableRooms:
		var room core.Room
		room, err = core.DecodeRoom(r)
		again = core.RoomRow(room)
	case core.TableMembers:
		var m core.Member
		m, err = core.DecodeMember(r)
		again = core.MemberRow(m)
	case core.TableRoomKeys:
		var k *core.SealedKey
		var record *core.EpochRecord
		if k, record, err = core.DecodeKey(r); k != nil {
			again = core.KeyRow(*k)
		} else if record != nil {
			again = core.RecordRow(*record)
		}
	}
	return again.Value, err
}
