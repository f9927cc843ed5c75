package kv

import (
	"context"

	"unibus/core"
)

// casTries bounds how often a change is decided anew because somebody else changed the same record.
const casTries = 5

// AddUser adds a user. After a timeout it is KindUnavailable, and the user may be there or not.
func (s *Store) AddUser(ctx context.Context, u core.User) error {
	id, err := core.ParseUserID(string(u.ID))
	if err != nil {
		return err
	}
	if err := checkUser(u.Role, u.Status); err != nil {
		return err
	}
	u.ID = id
	return s.create(ctx, core.UserRow(u), "the user "+id.Short())
}

func checkUser(role core.UserRole, status core.UserStatus) error {
	if role != core.RoleMember && role != core.RoleAdmin {
		return core.Errorf(core.KindInvalid, "%q is not a role of users", role).WithNext("use member or admin")
	}
	return checkStatus(status)
}

func checkStatus(status core.UserStatus) error {
	if status != core.UserActive && status != core.UserRevoked {
		return core.Errorf(core.KindInvalid, "%q is not a state of users", status).WithNext("use active or revoked")
	}
	return nil
}

// create writes a row that must not be there yet. A key that was deleted counts as free.
func (s *Store) create(ctx context.Context, r core.Row, what string) error {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	bucket := r.Table.Bucket()
	var rev uint64
	for range casTries {
		_, err = s.put(ctx, bucket, message{key: r.Key, value: r.Value, expect: &rev})
		if core.KindOf(err) != core.KindConflict {
			return err
		}
		e, ok, err := s.get(ctx, bucket, r.Key)
		if err != nil {
			return err
		}
		if ok {
			return core.Errorf(core.KindExists, "%s exists already", what)
		}
		rev = e.rev
	}
	return err
}

// User returns one user, revoked or not.
func (s *Store) User(ctx context.Context, id core.UserID) (core.User, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.User{}, err
	}
	defer cancel()
	u, _, err := s.user(ctx, id)
	return u, err
}

func (s *Store) user(ctx context.Context, id core.UserID) (core.User, uint64, error) {
	id, err := core.ParseUserID(string(id))
	if err != nil {
		return core.User{}, 0, err
	}
	e, ok, err := s.get(ctx, core.TableUsers.Bucket(), string(id))
	if err != nil {
		return core.User{}, 0, err
	}
	if !ok {
		return core.User{}, 0, core.Errorf(core.KindNotFound, "there is no user %s", id.Short())
	}
	u, err := core.DecodeUser(core.Row{Table: core.TableUsers, Key: e.key, Value: e.value})
	return u, e.rev, err
}

// Users returns all users in the order of their ids.
func (s *Store) Users(ctx context.Context) ([]core.User, error) {
	return list(ctx, s, core.TableUsers, ">", core.DecodeUser)
}

// list reads and decodes the rows of a table whose keys match a pattern, in the order of their keys.
func list[T any](ctx context.Context, s *Store, t core.Table, pattern string, decode func(core.Row) (T, error)) ([]T, error) {
	rows, err := s.rows(ctx, t, scan{bucket: t.Bucket(), filter: pattern})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	out := make([]T, 0, len(rows))
	for _, r := range rows {
		v, err := decode(r)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// SetUserStatus revokes or activates a user. It is decided anew when somebody else changes the same user.
func (s *Store) SetUserStatus(ctx context.Context, id core.UserID, status core.UserStatus, at core.Millis) (core.User, error) {
	if err := checkStatus(status); err != nil {
		return core.User{}, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.User{}, err
	}
	defer cancel()
	for range casTries {
		u, rev, err := s.user(ctx, id)
		if err != nil {
			return core.User{}, err
		}
		u.Status, u.Updated = status, at
		_, err = s.replace(ctx, core.UserRow(u), rev)
		if core.KindOf(err) == core.KindConflict {
			continue
		}
		if err != nil {
			return core.User{}, err
		}
		return u, nil
	}
	return core.User{}, core.Errorf(core.KindConflict, "the user %s was changed by others again and again", id.Short()).WithNext("try again")
}

// replace writes a row over the revision that was read.
func (s *Store) replace(ctx context.Context, r core.Row, rev uint64) (uint64, error) {
	return s.put(ctx, r.Table.Bucket(), message{key: r.Key, value: r.Value, expect: &rev})
}

// IsAuthorized is true only for an active user; with any error it is false.
func (s *Store) IsAuthorized(ctx context.Context, id core.UserID) (bool, error) {
	u, err := s.User(ctx, id)
	if core.KindOf(err) == core.KindNotFound {
		return false, nil
	}
	return err == nil && u.Status == core.UserActive, err
}

// HasAdmin is true only for an active user of role admin; with any error it is false.
func (s *Store) HasAdmin(ctx context.Context, id core.UserID) (bool, error) {
	u, err := s.User(ctx, id)
	if core.KindOf(err) == core.KindNotFound {
		return false, nil
	}
	return err == nil && u.Status == core.UserActive && u.Role == core.RoleAdmin, err
}
