package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"unibus/core"
)

// Counts is how much there is: see core.Store.
func (s *Store) Counts(ctx context.Context) (n core.Counts, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM rooms),
			(SELECT count(*) FROM members WHERE `+s.layout().active+`), (SELECT count(*) FROM room_keys)`).Scan(&n.Users, &n.Rooms, &n.Members, &n.Keys)
	})
	return n, err
}

// ExportRows hands out everything as of one moment, each table in bytewise key order.
// KindFailed names a row that cannot be used, and then nothing is handed out.
func (s *Store) ExportRows(ctx context.Context, each func(core.Row) error) error {
	var all core.Snapshot
	err := s.view(ctx, wholeFactor*s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) (err error) {
		all, err = s.layout().exportIn(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	for _, t := range []core.Table{core.TableUsers, core.TableRooms, core.TableMembers, core.TableRoomKeys} {
		for _, r := range all.Rows(t) {
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l layout) exportIn(ctx context.Context, tx *sql.Tx) (out core.Snapshot, err error) {
	if out.Users, err = list(ctx, tx, l.users, readUser, "ORDER BY "+l.users.key); err != nil {
		return core.Snapshot{}, err
	}
	if out.Rooms, err = list(ctx, tx, l.rooms, readRoom, "ORDER BY "+l.rooms.key); err != nil {
		return core.Snapshot{}, err
	}
	if out.Members, err = list(ctx, tx, l.members, readMember, "ORDER BY "+l.members.key); err != nil {
		return core.Snapshot{}, err
	}
	if out.Keys, err = list(ctx, tx, l.keys, readKey, "ORDER BY "+l.keys.key); err != nil {
		return core.Snapshot{}, err
	}
	if !l.hasStates() {
		return out, nil
	}
	if out.Records, err = l.recordsIn(ctx, tx, "ORDER BY "+l.records.key); err != nil {
		return core.Snapshot{}, err
	}
	return out, nil
}

// Import writes a snapshot over what is there, all or nothing, and returns how many
// rows it put. Equal ones are not written, so that a second run returns 0; rows that
// the snapshot lacks are left alone. KindInvalid for what the version cannot hold
// (version 1: records, archived rooms; version 2: two recs in one epoch) and for
// orphans. Version 1 forgets a removed member.
func (s *Store) Import(ctx context.Context, in core.Snapshot) (written int, err error) {
	if slices.ContainsFunc(in.Members, func(m core.Member) bool { return m.State == core.MemberInvited }) {
		if err := s.upgradeToStates(ctx); err != nil { // version 1 has no place for invitations
			return 0, err
		}
	}
	if err := s.upgradeForUsers(ctx, in.Users...); err != nil {
		return 0, err
	}
	in, err = s.layout().checkSnapshot(in)
	if err != nil {
		return 0, err
	}
	err = s.update(ctx, wholeFactor*s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		written = 0
		have, err := s.layout().exportIn(ctx, tx)
		if err != nil {
			return err
		}
		if err := checkOrphans(have, in); err != nil {
			return err
		}
		if written, err = s.layout().importIn(ctx, tx, have, in); err != nil {
			return err
		}
		return s.layout().confirmImport(ctx, tx, in)
	})
	if err != nil {
		return 0, err
	}
	return written, nil
}

func (l layout) importIn(ctx context.Context, tx *sql.Tx, have, in core.Snapshot) (int, error) {
	users, err := importRows(have.Users, in.Users, core.UserRow, func(u core.User, there bool) error {
		if there {
			return l.updateUser(ctx, tx, u)
		}
		return l.insertUser(ctx, tx, u)
	})
	if err != nil {
		return 0, err
	}
	rooms, err := importRows(have.Rooms, in.Rooms, core.RoomRow, func(r core.Room, there bool) error {
		if there {
			return l.updateRoom(ctx, tx, r)
		}
		return l.insertRoom(ctx, tx, r)
	})
	if err != nil {
		return 0, err
	}
	members, err := l.importMembers(ctx, tx, have.Members, in.Members)
	if err != nil {
		return 0, err
	}
	records, err := l.importRecords(ctx, tx, have.Records, in)
	if err != nil {
		return 0, err
	}
	keys, err := importRows(have.Keys, in.Keys, core.KeyRow, func(k core.SealedKey, _ bool) error {
		return l.putKey(ctx, tx, k)
	})
	return users + rooms + members + records + keys, err
}

func (l layout) importMembers(ctx context.Context, tx *sql.Tx, have, in []core.Member) (int, error) {
	kept, gone := in, []core.Member(nil)
	if !l.hasStates() {
		kept, gone = splitMembers(in)
	}
	put, err := importRows(have, kept, core.MemberRow, func(m core.Member, _ bool) error {
		return l.putMember(ctx, tx, m)
	})
	if err != nil {
		return 0, err
	}
	forgotten, err := forget(ctx, tx, gone)
	return put + forgotten, err
}

// importRecords comes before the keys: it takes away those that are of another record.
func (l layout) importRecords(ctx context.Context, tx *sql.Tx, have []core.EpochRecord, in core.Snapshot) (int, error) {
	if !l.hasStates() {
		return 0, nil
	}
	recs, err := recsIn(in)
	if err != nil {
		return 0, err
	}
	if err := l.setRecs(ctx, tx, recs); err != nil {
		return 0, err
	}
	return importRows(have, in.Records, core.RecordRow, func(r core.EpochRecord, _ bool) error {
		return l.insertRecord(ctx, tx, r)
	})
}

// importRows puts those rows of in that are not in have just so. there says that the key exists.
func importRows[T any](have, in []T, row func(T) core.Row, put func(v T, there bool) error) (written int, err error) {
	values := make(map[string]string, len(have))
	for _, v := range have {
		r := row(v)
		values[r.Key] = string(r.Value)
	}
	for _, v := range in {
		r := row(v)
		old, there := values[r.Key]
		if there && old == string(r.Value) {
			continue
		}
		if err := put(v, there); err != nil {
			return 0, err
		}
		values[r.Key] = string(r.Value)
		written++
	}
	return written, nil
}

// splitMembers keeps the active ones: version 1 has no place for the others.
func splitMembers(all []core.Member) (kept, gone []core.Member) {
	for _, m := range all {
		if m.State != core.MemberActive {
			gone = append(gone, m)
		} else {
			kept = append(kept, m)
		}
	}
	return kept, gone
}

func forget(ctx context.Context, tx *sql.Tx, gone []core.Member) (int, error) {
	total := 0
	for _, m := range gone {
		n, err := execCount(ctx, tx, "DELETE FROM members "+whereMember, string(m.Room), string(m.User))
		if err != nil {
			return 0, err
		}
		total += int(n)
	}
	return total, nil
}

// checkSnapshot refuses what the version cannot hold, before anything is
// written, and returns the snapshot with nothing left to be understood.
func (l layout) checkSnapshot(in core.Snapshot) (core.Snapshot, error) {
	in.Rooms = slices.Clone(in.Rooms)
	for i := range in.Rooms {
		r := &in.Rooms[i]
		if err := l.checkRoom(*r); err != nil {
			return in, err
		}
		r.Rec, r.State = cmp.Or(r.Rec, core.LegacyRec), cmp.Or(r.State, core.RoomActive)
	}
	err := firstError(
		checkEach(in.Users, core.CheckUser), checkEach(in.Members, core.CheckMember),
		checkEach(in.Keys, checkKey), checkEach(in.Records, core.CheckRecord))
	if err != nil {
		return in, err
	}
	recs, err := recsIn(in)
	if err == nil && !l.hasStates() {
		err = refuseRecords(in, recs)
	}
	return in, err
}

// refuseRecords is for version 1, which has none.
func refuseRecords(in core.Snapshot, recs map[epochOf]string) error {
	for at, rec := range recs {
		if rec != core.LegacyRec || len(in.Records) > 0 {
			return core.Errorf(core.KindInvalid, "the room %s has the rec %q in epoch %d, and a database of schema version 1 has no records",
				at.room, rec, at.epoch)
		}
	}
	return nil
}

func checkEach[T any](all []T, check func(T) error) error {
	for _, v := range all {
		if err := check(v); err != nil {
			return err
		}
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkOrphans refuses rows that name a user or a room which is neither in the store nor in the snapshot.
func checkOrphans(have, in core.Snapshot) error {
	users, rooms := map[core.UserID]bool{}, map[core.RoomID]bool{}
	for _, s := range []core.Snapshot{have, in} {
		for _, u := range s.Users {
			users[u.ID] = true
		}
		for _, r := range s.Rooms {
			rooms[r.ID] = true
		}
	}
	missing := func(what string, room core.RoomID, user core.UserID) error {
		switch {
		case !rooms[room]:
			return core.Errorf(core.KindInvalid, "%s of %s is of the room %s, which is not there", what, user, room)
		case !users[user]:
			return core.Errorf(core.KindInvalid, "%s in the room %s is of the user %s, who is not there", what, room, user)
		}
		return nil
	}
	return firstError(
		checkEach(in.Rooms, func(r core.Room) error { return missing("ownership", r.ID, r.Owner) }),
		checkEach(in.Members, func(m core.Member) error { return missing("a membership", m.Room, m.User) }),
		checkEach(in.Keys, func(k core.SealedKey) error { return missing("a sealed key", k.Room, k.User) }),
		checkEach(in.Records, func(r core.EpochRecord) error {
			if !rooms[r.Room] {
				return core.Errorf(core.KindInvalid, "the record of epoch %d is of the room %s, which is not there", r.Epoch, r.Room)
			}
			return nil
		}))
}
