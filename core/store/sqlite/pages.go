package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"unibus/core"
)

// indexCache keeps the rows of a table in memory for pages of them. SQLite counts, for each
// connection, how often others have changed the file (data_version): while the count
// of a connection stays, the index that it was compared with is current. Every
// change by any process makes the next page read all rows again.
type indexCache[I any] struct {
	mu       sync.Mutex
	index    *I
	versions map[any]int64 // the count of each connection when the index was current for it
}

// maxVersions bounds the connections that are remembered: closed ones stay among them.
const maxVersions = 16

// UserPage returns one page of users: see core.Store.
func (s *Store) UserPage(ctx context.Context, r core.UserPageRequest, now core.Millis) (core.UserPage, error) {
	return page(ctx, s, r.Check(), &s.userIndex, func(ctx context.Context, tx *sql.Tx) (*core.UserIndex, error) {
		return readIndex(ctx, tx, s.layout().users, readUser, core.NewUserIndex)
	}, func(ix *core.UserIndex) (core.UserPage, error) { return ix.Page(r, now) })
}

// RoomPage returns one page of rooms: see core.Store.
func (s *Store) RoomPage(ctx context.Context, r core.RoomPageRequest, notes *core.RoomNotes) (core.RoomPage, error) {
	return page(ctx, s, r.Check(), &s.roomIndex, func(ctx context.Context, tx *sql.Tx) (*core.RoomIndex, error) {
		return readIndex(ctx, tx, s.layout().rooms, readRoom, core.NewRoomIndex)
	}, func(ix *core.RoomIndex) (core.RoomPage, error) { return ix.Page(r, notes) })
}

// page takes a page from an index that is current, unless the request is refused.
func page[I, P any](ctx context.Context, s *Store, refused error, cache *indexCache[I], read func(context.Context, *sql.Tx) (*I, error), take func(*I) (P, error)) (out P, err error) {
	if refused != nil {
		return out, refused
	}
	var ix *I
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) (err error) {
		ix, err = cache.get(ctx, tx, read)
		return err
	})
	if err != nil {
		return out, err
	}
	return take(ix)
}

func readIndex[T, I any](ctx context.Context, tx *sql.Tx, from table, read func(*rowDecoder) T, newIndex func([]*T) *I) (*I, error) {
	all, err := list(ctx, tx, from, read, "")
	if err != nil {
		return nil, err
	}
	pointers := make([]*T, len(all))
	for i := range all {
		pointers[i] = &all[i]
	}
	return newIndex(pointers), nil
}

func (c *indexCache[I]) get(ctx context.Context, tx *sql.Tx, read func(context.Context, *sql.Tx) (*I, error)) (*I, error) {
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
	ix, err := read(ctx, tx)
	if err != nil {
		return nil, err
	}
	if len(c.versions) >= maxVersions || c.versions == nil {
		c.versions = map[any]int64{}
	}
	c.index, c.versions[conn] = ix, version
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
