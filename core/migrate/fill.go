package migrate

import (
	"context"

	"unibus/core"
)

// Rows of one batch of FillTable, and its bytes.
const (
	fillRows  = 1000
	fillBytes = 4 << 20
)

// FillTable makes one table of the target equal to from, without a Job: it puts missing and
// different rows, removes keys that from lacks, and leaves equal ones alone. So it goes on
// where an earlier call ended. The guards must be closed for the caller. done is told of the
// rows of each batch.
func FillTable(ctx context.Context, from rowSource, to Target, t core.Table, done func(rows int)) error {
	b := rowBatch{table: t}
	flush := func() error {
		if _, err := to.PutRows(ctx, b.puts); len(b.puts) > 0 && err != nil {
			return err
		}
		if _, err := to.DeleteKeys(ctx, t, b.removals); len(b.removals) > 0 && err != nil {
			return err
		}
		done(b.rows)
		b = rowBatch{table: t}
		return nil
	}
	err := merge(prefetch(from.Rows(ctx, t), fillRows, fillBytes), to.Rows(ctx, t), func(p pair) error {
		b.add(p)
		if b.seen >= fillRows || b.bytes >= fillBytes {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// DigestOf reads a table to its end and returns its digest.
func DigestOf(ctx context.Context, from rowSource, t core.Table) (core.Digest, error) {
	return digestOf(from.Rows(ctx, t))
}
