package demo

import (
	"context"
	"errors"

	"unibus/core"
	"unibus/core/store/sqlite"
)

// writeDatabase creates the SQLite file that the first node serves.
func writeDatabase(ctx context.Context, path string, s core.Snapshot) error {
	store := sqlite.New(sqlite.Config{Path: path, Create: true})
	if err := store.Open(ctx); err != nil {
		return err
	}
	_, err := store.Import(ctx, s)
	return errors.Join(err, store.Close())
}
