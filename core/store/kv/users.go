package kv

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"unibus/core"
)

// casTries bounds how often a change is decided again because another writer
// changed the same record.
const casTries = 5

// AddUser adds a user. After a timeout it is KindUnavailable, and the user may be there or not.
func (s *Store) AddUser(ctx context.Context, u core.User) error {
	id, err := core.ParseUserID(string(u.ID))
	if err != nil {
		return err
	}
	u.ID = id
	if err := core.CheckUser(u); err != nil {
		return err
	}
	return s.create(ctx, core.UserRow(u), "the user "+id.Short())
}

func checkStatus(status core.UserStatus) error {
	if !slices.Contains(core.UserStatuses(), status) {
		return core.Errorf(core.KindInvalid, "%q is not a state of users", status).WithNext("use active or revoked")
	}
	return nil
}

// create writes a row that must not be there yet. A key that was deleted counts as free.
// The server compares the revision, so that an old copy here costs a second try at most.
// Only where a row is there is the copy proven first.
func (s *Store) create(ctx context.Context, r core.Row, what string) (failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	exists := core.Errorf(core.KindExists, "%s exists already", what)
	rev, there, err := s.deletedRev(ctx, r)
	if there {
		if err := s.awaitProof(ctx, r.Table); err != nil {
			return err
		}
		rev, there, err = s.deletedRev(ctx, r)
	}
	if err != nil || there {
		return firstError(err, exists)
	}
	for range casTries {
		_, err = s.replace(ctx, r, rev)
		if core.KindOf(err) != core.KindConflict {
			return err
		}
		e, there, err := s.get(ctx, s.buckets[r.Table].bucket, r.Key)
		if err != nil {
			return err
		}
		if there {
			return exists
		}
		rev = e.rev
	}
	return err
}

// deletedRev is the revision at which this node knows a row to have been deleted, 0 for one
// that never was; there is true where the node has the row.
func (s *Store) deletedRev(ctx context.Context, r core.Row) (rev uint64, there bool, err error) {
	wb, err := s.readyBucket(ctx, r.Table)
	if err != nil {
		return 0, false, err
	}
	if _, there, err := wb.find(r.Key); err != nil || there {
		return 0, there, err
	}
	err = wb.read(func(t *table) { rev = t.deletedRevs[r.Key] })
	return rev, false, err
}

// User returns one user, revoked or not.
func (s *Store) User(ctx context.Context, id core.UserID) (core.User, error) {
	if s.closed.Load() {
		return core.User{}, errClosed()
	}
	u, _, err := s.user(ctx, id) // its waits have a bound of their own
	return u, err
}

func (s *Store) user(ctx context.Context, id core.UserID) (core.User, uint64, error) {
	if err := s.awaitProof(ctx, core.TableUsers); err != nil {
		return core.User{}, 0, err
	}
	// An id that is known as it stands is not parsed: that takes longer than finding it.
	r, ok, err := s.buckets[core.TableUsers].find(string(id))
	if err == nil && !ok {
		if id, err = core.ParseUserID(string(id)); err == nil {
			r, ok, err = s.buckets[core.TableUsers].find(string(id))
		}
	}
	if err != nil {
		return core.User{}, 0, err
	}
	if !ok {
		return core.User{}, 0, core.Errorf(core.KindNotFound, "there is no user %s", id.Short())
	}
	return cloneUser(*r.user), r.rev, nil
}

// Users returns all users in the order of their ids.
func (s *Store) Users(ctx context.Context) ([]core.User, error) {
	return list(ctx, s, core.TableUsers, func(r record) core.User { return cloneUser(*r.user) })
}

// UserPage returns one page of users: see core.Store.
func (s *Store) UserPage(ctx context.Context, r core.UserPageRequest, now core.Millis) (core.UserPage, error) {
	return page(ctx, s, core.TableUsers, r.Check(), func(t *table) (core.UserPage, error) { return t.users().Page(r, now) })
}

// ExpiringUsers returns the users that have an end: see core.Store.
func (s *Store) ExpiringUsers(ctx context.Context) ([]core.User, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.awaitProof(ctx, core.TableUsers); err != nil {
		return nil, err
	}
	var found []core.User
	err = s.buckets[core.TableUsers].read(func(t *table) {
		for _, r := range t.records {
			if r.err == nil && r.user.Expires != 0 {
				found = append(found, cloneUser(*r.user))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b core.User) int { return cmp.Compare(a.ID, b.ID) })
	return found, nil
}

// list proves a table and collects it.
func list[T any](ctx context.Context, s *Store, t core.Table, pick func(record) T) ([]T, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.awaitProof(ctx, t); err != nil {
		return nil, err
	}
	return all(s, t, pick)
}

// SetUserStatus revokes or activates a user. It decides again when another writer
// changes the same user.
func (s *Store) SetUserStatus(ctx context.Context, id core.UserID, status core.UserStatus, at core.Millis) (core.User, error) {
	return s.setStatus(ctx, id, status, at, nil)
}

// SetUserStatusAs is SetUserStatus in the name of an active admin: see core.Store.
func (s *Store) SetUserStatusAs(ctx context.Context, actor, id core.UserID, status core.UserStatus, at core.Millis) (core.User, error) {
	return s.setStatus(ctx, id, status, at, func(ctx context.Context) error {
		is, err := core.HasAdmin(ctx, s, actor, at)
		if err == nil && !is {
			return core.Errorf(core.KindRefused, "%s is no active admin", actor.Short()).WithNext("ask one who is, or an operator")
		}
		return err
	})
}

func (s *Store) setStatus(ctx context.Context, id core.UserID, status core.UserStatus, at core.Millis, allow func(context.Context) error) (core.User, error) {
	if err := checkStatus(status); err != nil {
		return core.User{}, err
	}
	return s.changeUser(ctx, id, func(u *core.User) { u.Status, u.Updated = status, at }, allow)
}

// SetUserExpiry gives a user an end: see core.Store.
func (s *Store) SetUserExpiry(ctx context.Context, id core.UserID, expires, at core.Millis) (core.User, error) {
	if err := core.CheckExpiry(expires); err != nil {
		return core.User{}, err
	}
	return s.changeUser(ctx, id, func(u *core.User) { u.Expires, u.Updated = expires, at }, nil)
}

// keyAdmins is written with every change of whether an admin is active. A decision
// that rests on being an admin reads it first; its CAS then says that no admin has
// changed since.
const keyAdmins = "_admins"

// changeUser reads what the decision rests on after the revision of keyAdmins and,
// where admins have a part in it, writes user and keyAdmins in one batch, each
// with its CAS. allow is nil where it does not matter whether an actor is an
// admin.
func (s *Store) changeUser(ctx context.Context, id core.UserID, edit func(*core.User), allow func(context.Context) error) (_ core.User, failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.User{}, err
	}
	defer cancel()
	for range casTries {
		u, err := s.changeUserOnce(ctx, id, edit, allow)
		if core.KindOf(err) != core.KindConflict {
			return u, err
		}
	}
	return core.User{}, core.Errorf(core.KindConflict, "the user %s was changed by other writers again and again", id.Short()).WithNext("try again")
}

func (s *Store) changeUserOnce(ctx context.Context, id core.UserID, edit func(*core.User), allow func(context.Context) error) (core.User, error) {
	wb, err := s.readyBucket(ctx, core.TableUsers)
	if err != nil {
		return core.User{}, err
	}
	u, rev, admins, err := s.userToChange(ctx, wb, id, allow)
	if err != nil {
		return core.User{}, err
	}
	known := core.ValueVersion(core.UserRow(u).Value)
	edit(&u)
	row := core.UserRow(u)
	batch := []message{{key: row.Key, value: row.Value, expect: &rev, known: known}}
	if allow != nil || u.Role == core.RoleAdmin { // an operator's change of a member contends with no other
		batch = append(batch, message{key: keyAdmins, value: []byte(token()), expect: &admins})
	}
	_, err = s.write(ctx, wb, batch)
	if err != nil {
		return core.User{}, err
	}
	return u, nil
}

// userToChange reads a user with its revision, after the revision of what is known of the
// admins: by that the write is refused if allow would decide differently by then.
func (s *Store) userToChange(ctx context.Context, wb *watchedBucket, id core.UserID, allow func(context.Context) error) (u core.User, rev, admins uint64, err error) {
	e, _, err := s.last(ctx, wb.bucket, keyAdmins)
	if err != nil {
		return core.User{}, 0, 0, explain(err, "reading who the admins are")
	}
	ctx = asOfNow(ctx) // what follows has to be as new as that
	if allow != nil {
		if err := allow(ctx); err != nil {
			return core.User{}, 0, 0, err
		}
	}
	u, rev, err = s.user(ctx, id)
	return u, rev, e.rev, err
}

// SetKEMKey publishes a user's key: see core.Store.
func (s *Store) SetKEMKey(ctx context.Context, id core.UserID, key []byte, at core.Millis) (_ core.User, failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
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
		u.KEMKey, u.Updated = bytes.Clone(key), at
		row := core.UserRow(u)
		_, err = s.set(ctx, message{key: row.Key, value: row.Value, expect: &rev, known: core.ValueVersion(row.Value)}, row.Table)
		if core.KindOf(err) != core.KindConflict {
			return u, err
		}
		ctx = asOfNow(ctx)
	}
	return core.User{}, core.Errorf(core.KindConflict, "the user %s was changed by other writers again and again", id.Short()).WithNext("try again")
}

// replace writes a row over the revision that was read.
func (s *Store) replace(ctx context.Context, r core.Row, rev uint64) (uint64, error) {
	return s.set(ctx, message{key: r.Key, value: r.Value, expect: &rev}, r.Table)
}

// set writes one record as a user of the store.
func (s *Store) set(ctx context.Context, m message, t core.Table) (uint64, error) {
	wb, err := s.readyBucket(ctx, t)
	if err != nil {
		return 0, err
	}
	if err := s.check(wb.bucket, m); err != nil {
		return 0, err
	}
	return s.write(ctx, wb, []message{m})
}
