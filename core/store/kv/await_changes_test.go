package kv

import (
	"context"
	"testing"
	"time"

	"unibus/core"
)

// AwaitChanges returns after OnChange has returned for the awaited write, however
// slow OnChange is, and only revision 0 costs a barrier.
func TestAwaitChanges(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	writer := on.open(t, 0, 3)
	var seen told
	cfg := seen.config(3)
	record := cfg.OnChange
	cfg.OnChange = func(c Change) {
		time.Sleep(20 * time.Millisecond)
		record(c)
	}
	reader := on.openWith(t, 1, cfg)
	rows := userRows(t, 20)
	must[int](t)(writer.PutRows(t.Context(), rows))
	barriers := &reader.follow[core.TableUsers].barriers
	for i, row := range rows {
		id, revision := core.UserID(row.Key), uint64(0)
		must[core.User](t)(writer.SetUserStatus(t.Context(), id, core.UserRevoked, core.Millis(i+2)))
		if i%2 == 0 {
			revision = writer.Revision(core.TableUsers)
		}
		before := barriers.count.Load()
		mustDo(t, reader.AwaitChanges(t.Context(), core.TableUsers, revision))
		if !seen.sawUser(id, core.UserRevoked) {
			t.Errorf("with revision %d OnChange was not told of the revocation", revision)
		}
		if sent := barriers.count.Load() > before; sent != (revision == 0) {
			t.Errorf("with revision %d a barrier was sent: %v", revision, sent)
		}
	}
}

// AwaitChanges does not say that a revision has passed which has not.
func TestAwaitChangesOfALaterRevision(t *testing.T) {
	t.Parallel()
	s := onSingle(t).open(t, 0, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	wantKind(t, s.AwaitChanges(ctx, core.TableUsers, s.Revision(core.TableUsers)+1), core.KindUnavailable)
}
