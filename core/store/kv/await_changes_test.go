package kv

import (
	"context"
	"testing"
	"time"

	"unibus/core"
)

// AwaitChanges returns after OnChange has returned for the awaited write, however
// long OnChange takes, and only revision 0 costs a barrier.
func TestAwaitChanges(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	writer := on.open(t, 0, 3)
	var seen told
	cfg, handled := seen.config(3), make(chan struct{})
	record := cfg.OnChange
	cfg.OnChange = func(c Change) {
		if c.User != nil && c.User.Status == core.UserRevoked {
			<-handled
		}
		record(c)
	}
	reader := on.openWith(t, 1, cfg)
	rows := userRows(t, 10)
	must[int](t)(writer.PutRows(t.Context(), rows))
	barriers := &reader.buckets[core.TableUsers].barriers
	for i, row := range rows {
		id, revision := core.UserID(row.Key), uint64(0)
		must[core.User](t)(writer.SetUserStatus(t.Context(), id, core.UserRevoked, core.Millis(i+2)))
		if i%2 == 0 {
			revision = writer.Revision(core.TableUsers)
		}
		if i == 0 {
			wantKind(t, awaitShortly(t, reader, revision), core.KindUnavailable)
			close(handled)
		}
		before := barriers.count.Load()
		mustDo(t, reader.AwaitChanges(t.Context(), core.TableUsers, revision))
		if !seen.sawUser(id, core.UserRevoked) {
			t.Errorf("with revision %d OnChange has not returned for the revocation", revision)
		}
		if sent := barriers.count.Load() > before; sent != (revision == 0) {
			t.Errorf("with revision %d a barrier was sent: %v", revision, sent)
		}
	}
}

// AwaitChanges does not return nil for a revision that the watch has not passed.
func TestAwaitChangesOfALaterRevision(t *testing.T) {
	t.Parallel()
	s := onSingle(t).open(t, 0, 1)
	wantKind(t, awaitShortly(t, s, s.Revision(core.TableUsers)+1), core.KindUnavailable)
}

func awaitShortly(t *testing.T, s *Store, revision uint64) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	return s.AwaitChanges(ctx, core.TableUsers, revision)
}
