package node

import (
	"context"

	"unibus/core/migrate"
	"unibus/core/store/sqlite"
)

// newFile is a SQLite file that a rollback or a backup writes.
type newFile struct{ *sqlite.Writer }

// Finish implements migrate.FileWriter.
func (f newFile) Finish(ctx context.Context) error {
	_, err := f.Writer.Finish(ctx)
	return err
}

// createFile creates an empty SQLite file.
func createFile(ctx context.Context, path string) (migrate.FileWriter, error) {
	w, err := sqlite.Create(ctx, path)
	return newFile{w}, err
}

// openCopy opens such a file, or a backup, to read it.
func openCopy(ctx context.Context, path string) (migrate.BackupReader, error) {
	c := sqlite.New(sqlite.Config{Path: path, Backup: true})
	return c, c.Open(ctx)
}
