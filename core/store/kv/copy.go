package kv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"iter"
	"maps"
	"slices"

	"unibus/core"
)

// fewKeys is up to how many keys are looked up one by one instead of by reading the table.
const fewKeys = 32

// Copier writes rows into one table and skips those that are there already. It
// reads the table once, when it is made, and remembers a digest of each value:
// about 100 bytes a key. It is for one goroutine, and for a table into which
// nobody else writes meanwhile.
type Copier struct {
	store *Store
	table core.Table
	there map[string][sha256.Size]byte // what the table has
	rest  map[string]struct{}          // keys of the table that were not offered to Put
}

// NewCopier reads what a table has.
func (s *Store) NewCopier(ctx context.Context, t core.Table) (*Copier, error) {
	c := &Copier{store: s, table: t, there: map[string][sha256.Size]byte{}, rest: map[string]struct{}{}}
	err := s.run(ctx, scan{bucket: t.Bucket(), filter: ">"}, func(e entry) error {
		switch {
		case e.key[0] == '_':
		case e.deleted:
			delete(c.there, e.key)
			delete(c.rest, e.key)
		default:
			c.there[e.key] = sha256.Sum256(e.value)
			c.rest[e.key] = struct{}{}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Put writes those of the rows that differ from what the table has, in atomic
// batches of at most 1,000 rows and 4 MiB, and returns how many it wrote. After
// an error the batches before the failing one are written, and written counts
// them; the failing one itself may be written where the error is KindUnavailable.
func (c *Copier) Put(ctx context.Context, rows []core.Row) (written int, err error) {
	var writes []message
	for _, r := range rows {
		if err := checkRow(c.table, r); err != nil {
			return 0, err
		}
		delete(c.rest, r.Key)
		if have, ok := c.there[r.Key]; !ok || have != sha256.Sum256(r.Value) {
			writes = append(writes, message{key: r.Key, value: r.Value})
		}
	}
	written, err = c.store.commit(ctx, c.table, writes, batchBytes, c.store.asCopier)
	for _, m := range writes[:written] {
		c.there[m.key] = sha256.Sum256(m.value)
	}
	return written, err
}

// Rest returns the keys of the table that were never offered to Put, in order.
func (c *Copier) Rest() []string { return slices.Sorted(maps.Keys(c.rest)) }

func checkRow(t core.Table, r core.Row) error {
	if r.Table != t {
		return core.Errorf(core.KindInvalid, "a row of %s was to be written to %s", r.Table, t)
	}
	if r.Key == "" || r.Key[0] == '_' {
		return core.Errorf(core.KindInvalid, "%q cannot be a key of a row in %s: keys that begin with _ are not rows", r.Key, t.Bucket())
	}
	return nil
}

// PutRows writes rows of one table, skipping those whose current value is equal,
// and returns how many it wrote. A few are compared one by one; for more the
// table is read once: whoever has many portions to write uses a Copier.
func (s *Store) PutRows(ctx context.Context, rows []core.Row) (written int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	if len(rows) > fewKeys {
		c, err := s.NewCopier(ctx, rows[0].Table)
		if err != nil {
			return 0, err
		}
		return c.Put(ctx, rows)
	}
	var writes []message
	for _, r := range rows {
		if err := checkRow(rows[0].Table, r); err != nil {
			return 0, err
		}
		e, ok, err := s.lookUp(ctx, r.Table, r.Key)
		if err != nil {
			return 0, err
		}
		if !ok || !bytes.Equal(e.value, r.Value) {
			writes = append(writes, message{key: r.Key, value: r.Value})
		}
	}
	return s.commit(ctx, rows[0].Table, writes, batchBytes, s.asCopier)
}

// WriteRows writes rows of one table in atomic batches without looking at what
// is there: for a caller that has compared already, as a migration's merge has.
func (s *Store) WriteRows(ctx context.Context, rows []core.Row) (written int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	writes := make([]message, len(rows))
	for i, r := range rows {
		if err := checkRow(rows[0].Table, r); err != nil {
			return 0, err
		}
		writes[i] = message{key: r.Key, value: r.Value}
	}
	return s.commit(ctx, rows[0].Table, writes, batchBytes, s.asCopier)
}

func (s *Store) lookUp(ctx context.Context, t core.Table, key string) (entry, bool, error) {
	if err := s.check(t.Bucket(), message{key: key}); err != nil {
		return entry{}, false, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return entry{}, false, err
	}
	defer cancel()
	return s.get(ctx, t.Bucket(), key)
}

// DeleteKeys really deletes keys, those of them that are there, and returns how
// many there were. Only a migration may do this, before anything decides from
// the store: elsewhere a removal is a state. A marker stays in the bucket.
func (s *Store) DeleteKeys(ctx context.Context, t core.Table, keys []string) (int, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	there := func(key string) (bool, error) {
		_, ok, err := s.lookUp(ctx, t, key)
		return ok, err
	}
	if len(keys) > fewKeys {
		c, err := s.NewCopier(ctx, t)
		if err != nil {
			return 0, err
		}
		there = func(key string) (bool, error) {
			_, ok := c.there[key]
			return ok, nil
		}
	}
	var writes []message
	for _, key := range keys {
		if err := checkRow(t, core.Row{Table: t, Key: key}); err != nil {
			return 0, err
		}
		ok, err := there(key)
		if err != nil {
			return 0, err
		}
		if ok {
			writes = append(writes, message{key: key, remove: true})
		}
	}
	return s.commit(ctx, t, writes, batchBytes, s.asCopier)
}

// Keys returns the rows of a table as its leader has them, in bytewise key
// order. An error is the last thing that comes. The table is held in memory
// meanwhile; a merge over sorted parts would need less.
func (s *Store) Keys(ctx context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return s.ReplicaRows(ctx, t, "")
}

// ReplicaRows returns the rows of a table as one node's own replica has them,
// in bytewise key order, up to everything that the leader had at the start.
// KindUnavailable where the replica cannot be reached or does not catch up. An
// error is the last thing that comes.
func (s *Store) ReplicaRows(ctx context.Context, t core.Table, node string) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		rows, err := s.rows(ctx, t, scan{bucket: t.Bucket(), filter: ">", node: node})
		if err != nil {
			yield(core.Row{}, err)
			return
		}
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// ReplicaTable is ReplicaRows as a slice with canonical values: decoded and
// encoded again, so that only what differs in meaning differs. A value that
// cannot be decoded stays as it is. Two such slices are compared by walking both.
func (s *Store) ReplicaTable(ctx context.Context, t core.Table, node string) ([]core.Row, error) {
	rows, err := s.rows(ctx, t, scan{bucket: t.Bucket(), filter: ">", node: node})
	if err != nil {
		return nil, err
	}
	for i, r := range rows {
		rows[i].Value = canonical(r)
	}
	return rows, nil
}

// ReplicaDigest is the digest of ReplicaTable.
func (s *Store) ReplicaDigest(ctx context.Context, t core.Table, node string) (core.Digest, error) {
	rows, err := s.ReplicaTable(ctx, t, node)
	if err != nil {
		return core.Digest{}, err
	}
	return core.DigestRows(rows)
}

// canonical is the value as this program would write it.
func canonical(r core.Row) []byte {
	again := r
	var err error
	switch r.Table {
	case core.TableUsers:
		var u core.User
		u, err = core.DecodeUser(r)
		again = core.UserRow(u)
	case core.TableRooms:
		var room core.Room
		room, err = core.DecodeRoom(r)
		again = core.RoomRow(room)
	case core.TableMembers:
		var m core.Member
		m, err = core.DecodeMember(r)
		again = core.MemberRow(m)
	case core.TableRoomsByMember:
		var m core.Member
		m.User, m.Room, m.State, err = core.DecodeIndex(r)
		again = core.IndexRow(m)
	case core.TableRoomKeys:
		var k *core.SealedKey
		var record *core.EpochRecord
		if k, record, err = core.DecodeKey(r); k != nil {
			again = core.KeyRow(*k)
		} else if record != nil {
			again = core.RecordRow(*record)
		}
	}
	if err != nil {
		return r.Value
	}
	return again.Value
}
