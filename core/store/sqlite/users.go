package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"unicode/utf8"

	"unibus/core"
)

// whereUser is the condition that finds a user in any case that an old file has; its
// one argument is the id. It searches the primary key's own index, which knows no case,
// by each spelling of the id's first letters: so it reads only the few ids that begin
// like this one.
func whereUser[T ~string](id T) string {
	var ranges strings.Builder
	for _, start := range spellingsOf(string(id), 4) {
		fmt.Fprintf(&ranges, "(%s, %s), ", literal(start), literal(start+string(utf8.MaxRune)))
	}
	const notText = "(x'', x'ff')" // such an id counts as the same user, too
	return "WHERE id IN (SELECT u.id FROM (VALUES " + ranges.String() + notText + ") AS r" +
		" CROSS JOIN users AS u ON u.id >= r.column1 AND u.id < r.column2 WHERE upper(u.id) = ?)"
}

// spellingsOf are the first n characters of a text with every letter in both cases.
func spellingsOf(text string, n int) []string {
	all := []string{""}
	for i := 0; i < len(text) && i < n && text[i] < utf8.RuneSelf; i++ { // SQLite's upper converts ASCII alone
		upper, lower := strings.ToUpper(text[i:i+1]), strings.ToLower(text[i:i+1])
		var longer []string
		for _, start := range all {
			longer = append(longer, start+upper)
			if lower != upper {
				longer = append(longer, start+lower)
			}
		}
		all = longer
	}
	return all
}

// AddUser adds a user: see core.Store.
func (s *Store) AddUser(ctx context.Context, u core.User) error {
	if err := core.CheckUser(u); err != nil {
		return err
	}
	if _, err := s.User(ctx, u.ID); core.KindOf(err) == core.KindNotFound { // a user that is there is refused below
		if err := s.upgradeForUsers(ctx, u); err != nil {
			return err
		}
	}
	return s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		taken, err := exists(ctx, tx, "users", whereUser(u.ID), u.ID)
		if err != nil {
			return err
		}
		if taken {
			return core.Errorf(core.KindExists, "the user %s is there already", u.ID).
				WithNext("a revoked user comes back with `unibusd user activate %s`", u.ID)
		}
		if err := s.layout().insertUser(ctx, tx, u); err != nil {
			return err
		}
		return s.layout().confirmUser(ctx, tx, u)
	})
}

// User returns one user: see core.Store.
func (s *Store) User(ctx context.Context, id core.UserID) (u core.User, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		u, err = s.layout().userIn(ctx, tx, id)
		return err
	})
	return u, err
}

// Users returns all users: see core.Store.
func (s *Store) Users(ctx context.Context) (all []core.User, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		all, err = list(ctx, tx, s.layout().users, readUser, "ORDER BY "+s.layout().users.key)
		return err
	})
	return all, err
}

// ExpiringUsers returns the users that have an end: see core.Store.
func (s *Store) ExpiringUsers(ctx context.Context) (all []core.User, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		all = nil
		l := s.layout()
		if !l.hasExpiry() {
			return nil
		}
		return scan(ctx, tx, l.users, l.users.all("WHERE expires IS NOT NULL ORDER BY "+l.users.key), nil, func(c *rowDecoder) error {
			if u := readUser(c); c.err() == nil {
				all = append(all, u)
			}
			return nil
		})
	})
	return all, err
}

// SetUserStatus revokes or activates a user: see core.Store.
func (s *Store) SetUserStatus(ctx context.Context, id core.UserID, status core.UserStatus, at core.Millis) (core.User, error) {
	return s.setStatus(ctx, id, status, at, func(context.Context, *sql.Tx) error { return nil })
}

// SetUserStatusAs is SetUserStatus in the name of an active admin: see core.Store.
func (s *Store) SetUserStatusAs(ctx context.Context, actor, id core.UserID, status core.UserStatus, at core.Millis) (core.User, error) {
	return s.setStatus(ctx, id, status, at, func(ctx context.Context, tx *sql.Tx) error {
		by, err := s.layout().userIn(ctx, tx, actor)
		if core.KindOf(err) == core.KindNotFound || err == nil && !by.IsActiveAdmin(at) {
			return core.Errorf(core.KindRefused, "%s is no active admin", actor.Short()).WithNext("ask one who is, or an operator")
		}
		return err
	})
}

// setStatus changes a status in one transaction with what must hold for it.
func (s *Store) setStatus(ctx context.Context, id core.UserID, status core.UserStatus, at core.Millis, allow func(context.Context, *sql.Tx) error) (u core.User, err error) {
	if status != core.UserActive && status != core.UserRevoked {
		return u, core.Errorf(core.KindInvalid, "%q is not a user's status", status).WithNext("use active or revoked")
	}
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if err := allow(ctx, tx); err != nil {
			return err
		}
		if u, err = s.layout().userIn(ctx, tx, id); err != nil {
			return err
		}
		u.Status, u.Updated = status, at
		_, err := tx.ExecContext(ctx, "UPDATE users SET status = ?, updated_at = ? "+whereUser(id), string(status), int64(at), string(id))
		if err != nil {
			return err
		}
		return s.layout().confirmUser(ctx, tx, u)
	})
	if err != nil {
		return core.User{}, err
	}
	return u, nil
}

// SetUserExpiry gives a user an end: see core.Store.
func (s *Store) SetUserExpiry(ctx context.Context, id core.UserID, expires, at core.Millis) (u core.User, err error) {
	if err := core.CheckExpiry(expires); err != nil {
		return u, err
	}
	if _, err := s.User(ctx, id); err != nil { // no upgrade of the file for nothing
		return core.User{}, err
	}
	if err := s.upgradeForUsers(ctx, core.User{Expires: expires}); err != nil {
		return core.User{}, err
	}
	return s.changeUser(ctx, id, func(u *core.User) { u.Expires, u.Updated = expires, at })
}

// SetKEMKey publishes a user's key: see core.Store.
func (s *Store) SetKEMKey(ctx context.Context, id core.UserID, key []byte, at core.Millis) (core.User, error) {
	return s.changeUser(ctx, id, func(u *core.User) { u.KEMKey, u.Updated = bytes.Clone(key), at })
}

// changeUser changes one user in one transaction.
func (s *Store) changeUser(ctx context.Context, id core.UserID, change func(*core.User)) (u core.User, err error) {
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if u, err = s.layout().userIn(ctx, tx, id); err != nil {
			return err
		}
		change(&u)
		if err := s.layout().updateUser(ctx, tx, u); err != nil {
			return err
		}
		return s.layout().confirmUser(ctx, tx, u)
	})
	if err != nil {
		return core.User{}, err
	}
	return u, nil
}

// Admit returns a user's status and rooms in one transaction: see core.Store.
func (s *Store) Admit(ctx context.Context, id core.UserID) (a core.Admission, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		a = core.Admission{}
		u, err := s.layout().userIn(ctx, tx, id)
		if core.KindOf(err) == core.KindNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		a.Status, a.Expires = u.Status, u.Expires
		if a.Status == core.UserActive {
			a.Rooms, err = s.layout().roomsOf(ctx, tx, id)
		}
		return err
	})
	if err != nil {
		return core.Admission{}, err
	}
	return a, nil
}

// userIn reads one user. Two rows that are one user but for the case are an error:
// one may be revoked and the other not, and nothing says which counts.
func (l layout) userIn(ctx context.Context, tx *sql.Tx, id core.UserID) (core.User, error) {
	found, err := list(ctx, tx, l.users, readUser, whereUser(id), string(id))
	switch {
	case err != nil:
		return core.User{}, err
	case len(found) == 0:
		return core.User{}, core.Errorf(core.KindNotFound, "there is no user %s", id).
			WithNext("list them with `unibusd user list`, or add it with `unibusd user add %s`", id)
	case len(found) > 1:
		return core.User{}, thereTwice("the user "+string(id)+", in one id or in ids that differ only in case,", "users", "upper(id) = "+literal(string(id)))
	}
	return found[0], nil
}

func (l layout) insertUser(ctx context.Context, tx *sql.Tx, u core.User) error {
	_, err := tx.ExecContext(ctx, l.users.insert(), append([]any{string(u.ID)}, l.userValues(u)...)...)
	return err
}

func (l layout) updateUser(ctx context.Context, tx *sql.Tx, u core.User) error {
	set := strings.Join(l.users.columns[1:], " = ?, ") + " = ? "
	_, err := tx.ExecContext(ctx, "UPDATE users SET "+set+whereUser(u.ID), append(l.userValues(u), string(u.ID))...)
	return err
}

// userValues are the columns of a user after its id. A version without ends drops
// one; the caller has upgraded the file, or reads the row back.
func (l layout) userValues(u core.User) []any {
	values := []any{nullableText(u.Name), string(u.Role), string(u.Status), nullableBytes(u.KEMKey), int64(u.Created), int64(u.Updated)}
	switch {
	case !l.hasExpiry():
		return values
	case u.Expires == 0:
		return append(values, nil)
	}
	return append(values, int64(u.Expires))
}
