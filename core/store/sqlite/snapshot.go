package sqlite

import (
	"context"
	"database/sql"

	"unibus/core"
)

// Counts is how much there is: see core.Store.
func (s *Store) Counts(ctx context.Context) (n core.Counts, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM rooms),
			(SELECT count(*) FROM members), (SELECT count(*) FROM room_keys)`).Scan(&n.Users, &n.Rooms, &n.Members, &n.Keys)
	})
	return n, err
}

// Export returns everything as of one moment: see core.Store. KindFailed names a row that cannot be used.
func (s *Store) Export(ctx context.Context) (out core.Snapshot, err error) {
	err = s.view(ctx, wholeFactor*s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		out, err = exportIn(ctx, tx)
		return err
	})
	return out, err
}

func exportIn(ctx context.Context, tx *sql.Tx) (out core.Snapshot, err error) {
	if out.Users, err = list(ctx, tx, usersTable, readUser, "ORDER BY "+usersTable.key); err != nil {
		return core.Snapshot{}, err
	}
	if out.Rooms, err = list(ctx, tx, roomsTable, readRoom, "ORDER BY "+roomsTable.key); err != nil {
		return core.Snapshot{}, err
	}
	if out.Members, err = list(ctx, tx, membersTable, readMember, "ORDER BY "+membersTable.key); err != nil {
		return core.Snapshot{}, err
	}
	if out.Keys, err = list(ctx, tx, keysTable, readKey, "ORDER BY "+keysTable.key); err != nil {
		return core.Snapshot{}, err
	}
	return out, nil
}

// Import writes a snapshot over what is there, all or nothing: see core.Store.
// KindInvalid for what version 1 cannot hold (records, archived rooms) and for
// orphans. A removed member is forgotten.
func (s *Store) Import(ctx context.Context, in core.Snapshot) (written int, err error) {
	if err := checkSnapshot(in); err != nil {
		return 0, err
	}
	err = s.update(ctx, wholeFactor*s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		written = 0
		have, err := exportIn(ctx, tx)
		if err != nil {
			return err
		}
		if err := checkOrphans(have, in); err != nil {
			return err
		}
		written, err = importIn(ctx, tx, have, in)
		return err
	})
	if err != nil {
		return 0, err
	}
	return written, nil
}

func importIn(ctx context.Context, tx *sql.Tx, have, in core.Snapshot) (int, error) {
	users, err := importRows(have.Users, in.Users, core.UserRow, func(u core.User, there bool) error {
		if there {
			return updateUser(ctx, tx, u)
		}
		return insertUser(ctx, tx, u)
	})
	if err != nil {
		return 0, err
	}
	rooms, err := importRows(have.Rooms, in.Rooms, legacyRoomRow, func(r core.Room, there bool) error {
		if there {
			return updateRoom(ctx, tx, r)
		}
		return insertRoom(ctx, tx, r)
	})
	if err != nil {
		return 0, err
	}
	kept, gone := splitMembers(in.Members)
	members, err := importRows(have.Members, kept, core.MemberRow, func(m core.Member, _ bool) error {
		return putMember(ctx, tx, m)
	})
	if err != nil {
		return 0, err
	}
	forgotten, err := forget(ctx, tx, gone)
	if err != nil {
		return 0, err
	}
	keys, err := importRows(have.Keys, in.Keys, core.KeyRow, func(k core.SealedKey, _ bool) error {
		return putKey(ctx, tx, k)
	})
	return users + rooms + members + forgotten + keys, err
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

// legacyRoomRow leaves out what version 1 does not keep.
func legacyRoomRow(r core.Room) core.Row {
	r.Rec, r.State = core.LegacyRec, core.RoomActive
	return core.RoomRow(r)
}

func splitMembers(all []core.Member) (kept, gone []core.Member) {
	for _, m := range all {
		if m.State == core.MemberRemoved {
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
		n, err := change(ctx, tx, "DELETE FROM members "+whereMember, string(m.Room), string(m.User))
		if err != nil {
			return 0, err
		}
		total += int(n)
	}
	return total, nil
}

// checkSnapshot refuses what version 1 cannot hold, before anything is written.
func checkSnapshot(in core.Snapshot) error {
	if len(in.Records) > 0 {
		r := in.Records[0]
		return core.Errorf(core.KindInvalid, "the room %s has a record of epoch %d, and a database of schema version 1 has no records", r.Room, r.Epoch)
	}
	for _, r := range in.Rooms {
		if r.Rec != "" && r.Rec != core.LegacyRec {
			return core.Errorf(core.KindInvalid, "the room %s has the rec %q, and a database of schema version 1 has no records", r.ID, r.Rec)
		}
	}
	return firstError(
		checkEach(in.Users, checkUser), checkEach(in.Rooms, checkRoom),
		checkEach(in.Members, checkMember), checkEach(in.Keys, checkKey))
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
		checkEach(in.Keys, func(k core.SealedKey) error { return missing("a sealed key", k.Room, k.User) }))
}
