package backup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"

	"unibus/core"
	"unibus/core/keys"
)

// FileLedger is the Ledger of a node that stands alone. Its revisions count from its
// first use: nobody else writes the file.
type FileLedger struct {
	Path string

	mu  sync.Mutex
	rev uint64
}

// Backups implements Ledger.
func (l *FileLedger) Backups(context.Context) ([]byte, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	value, err := os.ReadFile(l.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, core.Errorf(core.KindFailed, "the record of scheduled backups cannot be read: %w", err)
	}
	return value, l.rev, nil
}

// PutBackups implements Ledger.
func (l *FileLedger) PutBackups(_ context.Context, value []byte, rev uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rev != l.rev {
		return 0, core.Errorf(core.KindConflict, "the record of scheduled backups was changed meanwhile")
	}
	if err := keys.Replace(l.Path, value); err != nil {
		return 0, core.Errorf(core.KindFailed, "the record of scheduled backups cannot be written: %w", err)
	}
	l.rev++
	return l.rev, nil
}
