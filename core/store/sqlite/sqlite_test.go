package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

func create(t *testing.T, path string) *Store {
	t.Helper()
	return opened(t, Config{Path: path, Create: true})
}

func opened(t *testing.T, cfg Config) *Store {
	t.Helper()
	s := New(cfg)
	if err := s.Open(context.Background()); err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) core.Store {
		return create(t, filepath.Join(t.TempDir(), "unibus.db"))
	})
}
