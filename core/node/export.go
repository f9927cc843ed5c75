package node

import (
	"context"

	"unibus/core/migrate"
	"unibus/core/store/sqlite"
)

// newFile is a SQLite file in the making, as a rollback and a backup see it.
type newFile struct{ *sqlite.Writer }

// Finish implements migrate.FileWriter.
func (f newFile) Finish(ctx context.Context) error {
	_, err := f.Writer.Finish(ctx)
	return err
}

func createFile(ctx context.Context, path string) (migrate.FileWriter, error) {
	w, err := sqlite.Create(ctx, path)
	return newFile{w}, err
}

// openCopy reads such a file, or a backup.
func openCopy(ctx context.Context, path string) (migrate.BackupReader, error) {
	c := sqlite.New(sqlite.Config{Path: path, Backup: true})
	return c, c.Open(ctx)
}
