package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"sync"

	"unibus/core"
)

// maxCachedMembers bounds the rows that a memberCache keeps, in bytes.
const maxCachedMembers = 64 << 20

// memberCache keeps the members' rows of rooms for requests that read them again: they hold
// the statements of a room's members, megabytes in a large one. Each connection has rows of
// its own, with its count of others' changes of the file (data_version) at which it read
// them: while that stays, nothing was changed. Reading connections change nothing.
type memberCache struct {
	mu    sync.Mutex
	rooms map[connectionRoom]cachedMembers
	bytes int
}

type connectionRoom struct {
	connection any
	room       core.RoomID
}

type cachedMembers struct {
	version int64
	rows    []core.Member
	bytes   int
}

// get returns a room's rows, which the caller may change, and not the bytes of their proofs.
func (c *memberCache) get(ctx context.Context, tx *sql.Tx, room core.RoomID, read func() ([]core.Member, error)) ([]core.Member, error) {
	var version int64
	if err := tx.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return nil, err
	}
	key := connectionRoom{connectionOf(ctx), room}
	if key.connection == nil {
		return read()
	}
	c.mu.Lock()
	known, found := c.rooms[key]
	c.mu.Unlock()
	if !found || known.version != version {
		rows, err := read()
		if err != nil {
			return nil, err
		}
		known = newCachedMembers(version, rows)
		c.keep(key, known)
	}
	return slices.Clone(known.rows), nil
}

func newCachedMembers(version int64, rows []core.Member) cachedMembers {
	out := cachedMembers{version: version, rows: rows}
	for i, m := range rows {
		const fields = 256 // a row without its proof
		rows[i].Proof = m.Proof[:len(m.Proof):len(m.Proof)]
		out.bytes += len(m.Proof) + fields
	}
	return out
}

// keep keeps rows. At the bound all others are dropped: connections end without a word.
func (c *memberCache) keep(key connectionRoom, k cachedMembers) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += k.bytes - c.rooms[key].bytes
	if c.rooms == nil || c.bytes > maxCachedMembers {
		c.rooms, c.bytes = map[connectionRoom]cachedMembers{}, k.bytes
	}
	c.rooms[key] = k
}
