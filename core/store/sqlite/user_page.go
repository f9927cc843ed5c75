package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"unibus/core"
)

// userIndexCache keeps the users in memory for pages of them. SQLite counts, for each
// connection, how often others have changed the file (data_version): while the count
// of a connection stays, the index that it was compared with is current. Every
// change by any process makes the next page read all users again.
type userIndexCache struct {
	mu       sync.Mutex
	index    *core.UserIndex
	versions map[any]int64 // the count of each connection when the index was current for it
}

// maxVersions bounds the connections that are remembered: closed ones stay among them.
const maxVersions = 16

// UserPage returns one page of users: see core.Store.
func (s *Store) UserPage(ctx context.Context, r core.UserPageRequest, now core.Millis) (core.UserPage, error) {
	if err := r.Check(); err != nil {
		return core.UserPage{}, err
	}
	var ix *core.UserIndex
	err := s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) (err error) {
		ix, err = s.userIndex.get(ctx, tx, s.layout().users)
		return err
	})
	if err != nil {
		return core.UserPage{}, err
	}
	return ix.Page(r, now)
}

func (c *userIndexCache) get(ctx context.Context, tx *sql.Tx, users table) (*core.UserIndex, error) {
	var version int64
	if err := tx.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return nil, err
	}
	conn := connectionOf(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, known := c.versions[conn]; known && conn != nil && at == version {
		return c.index, nil
	}
	all, err := list(ctx, tx, users, readUser, "")
	if err != nil {
		return nil, err
	}
	pointers := make([]*core.User, len(all))
	for i := range all {
		pointers[i] = &all[i]
	}
	if len(c.versions) >= maxVersions || c.versions == nil {
		c.versions = map[any]int64{}
	}
	c.index, c.versions[conn] = core.NewUserIndex(pointers), version
	return c.index, nil
}

type connectionKey struct{}

// withConnection lets connectionOf find the connection that a transaction runs on.
func withConnection(ctx context.Context, conn *sql.Conn) context.Context {
	var driverConn any
	_ = conn.Raw(func(c any) error { driverConn = c; return nil }) // of a broken connection nothing is known
	return context.WithValue(ctx, connectionKey{}, driverConn)
}

// connectionOf is the connection of a transaction, to compare; nil where it is not known.
func connectionOf(ctx context.Context) any { return ctx.Value(connectionKey{}) }
