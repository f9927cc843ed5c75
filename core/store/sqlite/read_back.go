package sqlite

import (
	"bytes"
	"context"
	"database/sql"

	"unibus/core"
)

// Every change is read back before it is committed. The schema holds nothing that
// could undo it; if anything else does, no caller is told that a user is revoked
// who is not.

// checkReadBack is an error where a row in the file is not as it was written.
func checkReadBack[T any](want, got T, row func(T) core.Row, err error) error {
	if err != nil {
		return err
	}
	if err := core.CheckRowSize(row(want)); err != nil { // no cluster could take it
		return err
	}
	if w, g := row(want), row(got); w.Key != g.Key || !bytes.Equal(w.Value, g.Value) {
		return core.Errorf(core.KindFailed, "the row %s of %s was written and is not there as it was written; nothing was changed", w.Key, w.Table).
			WithNext("stop the node and keep the file: something in it, or below it, changes what is written")
	}
	return nil
}

func (l layout) confirmUser(ctx context.Context, tx *sql.Tx, want core.User) error {
	got, err := l.userIn(ctx, tx, want.ID)
	return checkReadBack(want, got, core.UserRow, err)
}

func (l layout) confirmRoom(ctx context.Context, tx *sql.Tx, want core.Room) error {
	got, err := l.roomIn(ctx, tx, want.ID)
	if !l.hasStates() {
		want.Rec, want.State = core.LegacyRec, core.RoomActive // version 1 has no others
	}
	return checkReadBack(want, got, core.RoomRow, err)
}

func (l layout) confirmMember(ctx context.Context, tx *sql.Tx, want core.Member) error {
	got, err := l.memberIn(ctx, tx, want.Room, want.User, "1")
	return checkReadBack(want, got, core.MemberRow, err)
}

// confirmRemoved is an error where the user still is a member.
func (l layout) confirmRemoved(ctx context.Context, tx *sql.Tx, room core.RoomID, user core.UserID) error {
	got, err := l.memberIn(ctx, tx, room, user, "("+l.active+" OR "+l.invited()+")")
	if core.KindOf(err) == core.KindNotFound {
		return nil
	}
	removed := got
	removed.State = core.MemberRemoved
	return checkReadBack(removed, got, core.MemberRow, err)
}

// confirmEpoch reads back a room that was given new keys.
func (l layout) confirmEpoch(ctx context.Context, tx *sql.Tx, r core.Room, keys []core.SealedKey) error {
	if err := l.confirmRoom(ctx, tx, r); err != nil {
		return err
	}
	return l.confirmKeys(ctx, tx, r.Rec, keys...)
}

// confirmKeys takes the rec from the file: a key is stored without one.
func (l layout) confirmKeys(ctx context.Context, tx *sql.Tx, rec string, keys ...core.SealedKey) error {
	for _, want := range keys {
		want.Rec = rec
		found, err := list(ctx, tx, l.keys, readKey, whereKey, string(want.Room), int64(want.Epoch), string(want.User))
		if err == nil && len(found) != 1 {
			found = []core.SealedKey{{}}
		}
		if err != nil {
			return err
		}
		if err := checkReadBack(want, found[0], core.KeyRow, nil); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) confirmRecord(ctx context.Context, tx *sql.Tx, want core.EpochRecord) error {
	found, err := l.recordsIn(ctx, tx, "WHERE room_id = ? AND epoch = ?", string(want.Room), int64(want.Epoch))
	if err == nil && len(found) != 1 {
		found = []core.EpochRecord{{}}
	}
	if err != nil {
		return err
	}
	return checkReadBack(want, found[0], core.RecordRow, nil)
}

// confirmImport reads everything again. Members that version 1 forgets must not be
// there.
func (l layout) confirmImport(ctx context.Context, tx *sql.Tx, in core.Snapshot) error {
	got, err := l.exportIn(ctx, tx)
	if err != nil {
		return err
	}
	if !l.hasStates() {
		in.Members, _ = splitMembers(in.Members)
	}
	for _, t := range core.Tables() {
		have := map[string][]byte{}
		for _, r := range got.Rows(t) {
			have[r.Key] = r.Value
		}
		for _, want := range in.Rows(t) {
			r := core.Row{Table: t, Key: want.Key, Value: have[want.Key]}
			if err := checkReadBack(want, r, func(r core.Row) core.Row { return r }, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
