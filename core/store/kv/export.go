package kv

import (
	"cmp"
	"context"
	"strings"

	"unibus/core"
)

// ExportRows hands out everything that counts, for a backup or a rollback, and
// ends with the first error that each returns. Values are canonical; one that
// cannot be decoded is KindFailed. The derived rooms_by_member is left out.
//
// Each table comes in bytewise key order at one revision of its bucket: the
// store of the bucket's leader is read from its beginning, and the reading ends
// only where the leader, asked after the last message, has come to that message
// and no further. Until then nothing was written behind it, so each message
// passed was the newest of its key then, and each later one of the key was
// passed too. A bucket that is written all the time is waited for.
//
// The tables come in the order members, rooms, room_keys, users. Nothing is ever
// deleted, and a row is written after those that it refers to, so a table that
// is read later has everything that the ones before refer to: no member, key or
// owner comes without its room and user. Of room_keys come those that led to the
// room's rec as it was handed out; they were written before the room was moved to
// it. The rows of later rekeys, and those of lost ones, are left out. If a
// record is missing, nothing leads to the epochs before it; of those come the keys of
// each epoch that has one rec only, so that a file that was migrated so comes back whole.
//
// A leader leaves out what it cannot read on its disk, without an error: an export
// of fewer keys than the leader counts is KindFailed.
//
// In memory are the rooms' recs, which record came before which, and a rec for each
// epoch, never a table: see Config.TempDir.
func (s *Store) ExportRows(ctx context.Context, each func(core.Row) error) error {
	if err := s.exportTable(ctx, core.TableMembers, nil, each); err != nil {
		return err
	}
	rooms := map[core.RoomID]core.Room{}
	err := s.exportTable(ctx, core.TableRooms, nil, func(r core.Row) error {
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
	if err := s.exportKeys(ctx, rooms, each); err != nil {
		return err
	}
	return s.exportTable(ctx, core.TableUsers, nil, each)
}

// exportKeys collects the records while the table is read, and hands keys out once
// it knows them all.
func (s *Store) exportKeys(ctx context.Context, rooms map[core.RoomID]core.Room, each func(core.Row) error) error {
	t := core.TableRoomKeys
	c, only := recordChains{}, onlyRecs{}
	note := func(e entry) error {
		if e.deleted {
			return nil
		}
		only.add(e.key)
		if !strings.HasSuffix(e.key, "."+core.RecordSuffix) {
			return nil
		}
		_, record, err := core.DecodeKey(core.Row{Table: t, Key: e.key, Value: e.value})
		if err == nil && record != nil {
			c[recordKey{record.Room, record.Epoch, record.Rec}] = record.Prev
		}
		return err
	}
	var valid countedRecs
	return s.exportTable(ctx, t, note, func(r core.Row) error {
		if valid == nil {
			valid = make(countedRecs, len(rooms))
			for id, room := range rooms {
				valid[string(id)], _ = recsOf(room, c.prevOf(id)) // a map gives no error
			}
		}
		if !valid.has(r.Key) && !valid.isUndecided(r.Key, rooms, only) {
			return nil
		}
		return each(r)
	})
}

// exportTries is how often a table is read again whose leader changed meanwhile.
const exportTries = 3

// exportTable hands out one table at one revision; note, if any, sees what is read as it comes.
func (s *Store) exportTable(ctx context.Context, t core.Table, note func(entry) error, each func(core.Row) error) error {
	in := newSorter(s.tempDir, s.memory)
	defer in.close()
	var at leaderPosition
	internal := map[string]bool{} // internal keys
	for try := 1; ; try++ {
		var err error
		at, err = s.readExactly(ctx, t, func(e entry) error {
			if e.key[0] == '_' {
				internal[e.key] = true
				return nil
			}
			if note != nil {
				if err := note(e); err != nil {
					return err
				}
			}
			return in.add(e)
		})
		if err == nil {
			break
		}
		if core.KindOf(err) != core.KindUnavailable || try == exportTries || ctx.Err() != nil {
			return err
		}
		in.reset()
		clear(internal)
	}
	err := in.each(func(e entry) error {
		value, err := canonical(core.Row{Table: t, Key: e.key, Value: e.value})
		if err != nil {
			return err
		}
		return each(core.Row{Table: t, Key: e.key, Value: value})
	})
	if lost := at.keys - in.keys - len(internal); err == nil && lost > 0 {
		return core.Errorf(core.KindFailed, "%s, which leads %s, cannot read %d of its %d keys: its disk is damaged", cmp.Or(at.leader, "the node"), t.Bucket(), lost, at.keys).
			WithNext("check its disk, and restart that node, so that it heals from its peers")
	}
	return err
}

// leaderPosition is what a leader counted at the revision of an export.
type leaderPosition struct {
	leader string
	keys   int
}

// readExactly scans the replica of a bucket's leader up to one revision.
func (s *Store) readExactly(ctx context.Context, t core.Table, each func(entry) error) (at leaderPosition, err error) {
	info, err := s.bucketInfo(ctx, t.Bucket())
	if err != nil {
		return at, err
	}
	at.leader = info.Leader()
	q := scan{bucket: t.Bucket(), filter: everything, node: at.leader, exact: true, messages: &at.keys}
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
