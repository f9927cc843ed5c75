package kv

import (
	"cmp"
	"context"

	"unibus/core"
)

// tableExport is one table in an export. It reads the table as it is, then the writes
// since, and at last those that came until the writes were held.
type tableExport struct {
	store    *Store
	table    core.Table
	note     func(entry) // sees every row as it comes; nil: none does
	in       *sorter
	internal map[string]bool // internal keys
	seen     uint64          // the last revision that came
	at       leaderPosition

	scan   scan // from the leader's replica; its reader follows what is written
	reader string
	pull   *pullReader
}

func (s *Store) newTableExport(t core.Table, note func(entry)) *tableExport {
	return &tableExport{store: s, table: t, note: note, in: newSorter(s.tempDir, s.memory), internal: map[string]bool{}}
}

func (x *tableExport) close() {
	x.in.close()
	x.unfollow()
}

func (x *tableExport) unfollow() {
	if x.pull != nil {
		x.pull.close()
		x.store.discard(x.scan.bucket, x.reader)
		x.pull = nil
	}
}

func (x *tableExport) add(e entry) error {
	x.seen = max(x.seen, e.rev)
	if e.key[0] == '_' {
		x.internal[e.key] = true
		return nil
	}
	if x.note != nil {
		x.note(e)
	}
	return x.in.add(e)
}

// read reads the whole table; where quiet is true at one revision, because nobody
// writes.
func (x *tableExport) read(ctx context.Context, quiet bool) (err error) {
	for try := 1; ; try++ {
		x.at, err = x.store.readReplica(ctx, x.table, quiet, x.add)
		if core.KindOf(err) != core.KindUnavailable || try == exportTries || ctx.Err() != nil {
			return err
		}
		x.in.reset()
		clear(x.internal)
		x.seen = 0
	}
}

// follow begins to read what is written after the last revision that came, from the
// replica of the leader.
func (x *tableExport) follow(ctx context.Context) error {
	x.unfollow()
	info, err := x.store.bucketInfo(ctx, x.table.Bucket())
	if err != nil {
		return err
	}
	x.at.leader = info.Leader()
	x.scan = scan{bucket: x.table.Bucket(), filter: everything, node: x.at.leader}
	end, err := x.store.newestSince(ctx, x.scan, x.seen)
	if err != nil {
		return err
	}
	if x.reader, _, err = x.store.placeReader(ctx, x.scan, startingAfter(x.seen, end, replicaReaderIdle)); err != nil {
		return explain(err, x.scan.doing())
	}
	if x.pull, err = x.store.newPullReader(x.scan, x.reader); err != nil {
		return explain(err, x.scan.doing())
	}
	return explain(x.pull.drain(ctx, x.scan, end, x.add), x.scan.doing())
}

// readHeld reads up to the guard that holds the writes, and counts what the leader has
// then. A row behind the guard was written by a node that does not know of holds.
func (x *tableExport) readHeld(ctx context.Context, guard uint64) error {
	exact, late := x.scan, false
	exact.exact, exact.messages = true, &x.at.keys
	err := x.pull.drain(ctx, exact, guard, func(e entry) error {
		late = late || e.rev > guard && e.key[0] != '_'
		return x.add(e)
	})
	if err == nil && late {
		err = errHoldLost(x.table)
	}
	return explain(err, x.scan.doing())
}

// each hands out the rows in key order, and fails where the leader counted more than
// it could read.
func (x *tableExport) each(do func(core.Row) error) error {
	err := x.in.each(func(e entry) error {
		value, err := canonical(core.Row{Table: x.table, Key: e.key, Value: e.value})
		if err != nil {
			return err
		}
		return do(core.Row{Table: x.table, Key: e.key, Value: value})
	})
	if lost := x.at.keys - x.in.keys - len(x.internal); err == nil && lost > 0 {
		return core.Errorf(core.KindFailed, "%s, which leads %s, cannot read %d of its %d keys: its disk is damaged", cmp.Or(x.at.leader, "the node"), x.table.Bucket(), lost, x.at.keys).
			WithNext("check its disk, and restart that node, so that it heals from its peers")
	}
	return err
}
