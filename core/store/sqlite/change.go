package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"unibus/core"
)

// UpdateRoom changes a room: see core.Store. A file of version 1 becomes one of version 2 when a room is archived.
func (s *Store) UpdateRoom(ctx context.Context, id core.RoomID, c core.RoomChange) (r core.Room, err error) {
	if err := checkText("name", c.Name); err != nil {
		return core.Room{}, err
	}
	if c.State == core.RoomArchived {
		if err := s.raise(ctx); err != nil {
			return core.Room{}, err
		}
	}
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if r, err = s.layout().roomIn(ctx, tx, id); err != nil {
			return err
		}
		if r, err = c.Apply(r); err != nil {
			return err
		}
		if c.Owner != "" {
			known, err := exists(ctx, tx, "users", whereUser, c.Owner)
			if err != nil {
				return err
			}
			if !known {
				return core.Errorf(core.KindInvalid, "the new owner %s of the room %s is not a user", c.Owner, id).WithNext("add the user first")
			}
		}
		if err := s.layout().updateRoom(ctx, tx, r); err != nil {
			return err
		}
		return s.layout().confirmRoom(ctx, tx, r)
	})
	if err != nil {
		return core.Room{}, err
	}
	return r, nil
}

// raise makes a file of version 1 one of version 2, which has states and
// records: nothing in it is lost, and programs that know version 1 alone refuse
// it from then on. It is done when the first thing is to be kept that version 1
// has no place for, and not while a move reads the file.
func (s *Store) raise(ctx context.Context) error {
	if s.layout().states() {
		return nil
	}
	err := s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		version, err := pragmaInt(ctx, tx, "user_version")
		if err != nil || version == stateVersion { // another process was faster
			return err
		}
		log, err := trackingIn(ctx, tx)
		if err != nil {
			return err
		}
		if len(log) > 0 {
			return core.Errorf(core.KindUnavailable, "the control plane is being moved: its database cannot be given states and records meanwhile").
				WithNext("ask again once the move is over; `unibusd migration status` says where it stands")
		}
		_, err = tx.ExecContext(ctx, raiseScript()+fmt.Sprintf("PRAGMA user_version=%d;", stateVersion))
		return err
	})
	if err != nil {
		return err
	}
	l, _ := layoutOf(stateVersion)
	s.shape.Store(&l)
	return nil
}

// raiseScript is stateSchema for a file that has rows. The defaults are for
// whoever still writes as version 1 at that moment.
func raiseScript() string {
	return fmt.Sprintf(`
ALTER TABLE rooms ADD COLUMN rec TEXT DEFAULT '%s';
ALTER TABLE rooms ADD COLUMN state TEXT DEFAULT '%s';
ALTER TABLE members ADD COLUMN state TEXT DEFAULT '%s';
CREATE TABLE epoch_records(room_id TEXT, epoch INTEGER, rec TEXT, record BLOB, prev TEXT, PRIMARY KEY(room_id, epoch));
`, core.LegacyRec, core.RoomActive, core.MemberActive)
}

// Member returns one active member: see core.Store.
func (s *Store) Member(ctx context.Context, room core.RoomID, user core.UserID) (m core.Member, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		m, err = s.layout().memberIn(ctx, tx, room, user, s.layout().active)
		return err
	})
	return m, err
}

// SetMemberRole changes the role of an active member: see core.Store.
func (s *Store) SetMemberRole(ctx context.Context, room core.RoomID, user core.UserID, role core.MemberRole) (m core.Member, err error) {
	if err := checkMember(core.Member{Room: room, User: user, Role: role, State: core.MemberActive}); err != nil {
		return core.Member{}, err
	}
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if m, err = s.layout().memberIn(ctx, tx, room, user, s.layout().active); err != nil {
			return err
		}
		m.Role = role
		if err := s.layout().putMember(ctx, tx, m); err != nil {
			return err
		}
		return s.layout().confirmMember(ctx, tx, m)
	})
	if err != nil {
		return core.Member{}, err
	}
	return m, nil
}

// memberIn is somebody of whom a condition is true.
func (l layout) memberIn(ctx context.Context, tx *sql.Tx, room core.RoomID, user core.UserID, where string) (core.Member, error) {
	found, err := list(ctx, tx, l.members, readMember, whereMember+" AND "+where, string(room), string(user))
	if err == nil && len(found) == 0 {
		err = core.Errorf(core.KindNotFound, "%s is not a member of the room %s", user, room)
	}
	if err != nil {
		return core.Member{}, err
	}
	return found[0], nil
}

// Epochs returns the records of a room's epochs, the newest first: see core.Store.
func (s *Store) Epochs(ctx context.Context, room core.RoomID, upto core.Epoch, limit int) (all []core.EpochRecord, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		r, err := s.layout().roomIn(ctx, tx, room)
		if err != nil || !s.layout().states() {
			return err
		}
		upto = min(upto, r.Epoch)
		all, err = s.layout().recordsIn(ctx, tx, "WHERE room_id = ? AND epoch <= ? AND prev IS NOT NULL ORDER BY epoch DESC LIMIT ?", string(room), int64(upto), limit)
		return err
	})
	return all, err
}
