package kv

import (
	"context"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/jsapi"
)

func (t tenant) control(tb testing.TB, i int, timeout time.Duration) *Control {
	tb.Helper()
	k := NewControl(ControlConfig{Conn: t.conn(tb, i), Replicas: 3, Timeout: timeout, Budget: 30 * time.Second})
	mustDo(tb, k.Open(tb.Context()))
	return k
}

func TestControlCAS(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	k, other := on.control(t, 0, 5*time.Second), on.control(t, 1, 5*time.Second)
	_, rev, err := k.Authority(ctx)
	wantKind(t, err, core.KindNotFound)
	if rev != 0 {
		t.Errorf("no record has revision %d", rev)
	}
	first := core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 1}
	rev = must[uint64](t)(k.PutAuthority(ctx, first, 0))
	_, err = other.PutAuthority(ctx, first, 0)
	wantKind(t, err, core.KindConflict)
	got, at, err := other.Authority(ctx)
	mustDo(t, err)
	if got != first || at != rev {
		t.Errorf("read %+v at %d, want %+v at %d", got, at, first, rev)
	}
	must[uint64](t)(other.PutAuthority(ctx, core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 2}, rev))
	_, err = k.PutAuthority(ctx, first, rev)
	wantKind(t, err, core.KindConflict)

	_, _, err = k.Migration(ctx)
	wantKind(t, err, core.KindNotFound)
	rev = must[uint64](t)(k.PutMigration(ctx, []byte("one"), 0))
	must[uint64](t)(k.PutMigration(ctx, []byte("two"), rev))
	_, err = other.PutMigration(ctx, []byte("three"), rev)
	wantKind(t, err, core.KindConflict)
	if v, _, err := other.Migration(ctx); err != nil || string(v) != "two" {
		t.Errorf("the migration's record is %q, %v", v, err)
	}
	mustDo(t, k.Close())
	_, _, err = k.Authority(ctx)
	wantKind(t, err, core.KindUnavailable)
}

// watched collects what a Watch says.
type watched struct {
	mu         sync.Mutex
	calls      int
	generation uint64
	migration  string
}

func (w *watched) follow(t *testing.T, k *Control) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- k.Watch(ctx, func(a *core.Authority, migration []byte) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.calls++
			w.migration = string(migration)
			if a != nil {
				w.generation = a.Generation
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		mustDo(t, <-done)
	})
}

func (w *watched) saw(generation uint64, migration string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls > 0 && w.generation == generation && w.migration == migration
}

// Every server is stopped once, so that whichever carries the records or leads them is among them.
func TestControlWatchSurvivesTheLossOfAServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := ownServers(t, 3)
	controls := []*Control{on.control(t, 0, time.Second), on.control(t, 1, time.Second), on.control(t, 2, time.Second)}
	watches := make([]*watched, 3)
	for i, k := range controls {
		watches[i] = &watched{}
		watches[i].follow(t, k)
	}
	for i := range watches {
		eventually(t, 10*time.Second, "the first call, with nothing there", func() bool { return watches[i].saw(0, "") })
	}
	rev := must[uint64](t)(controls[0].PutAuthority(ctx, core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 1}, 0))
	must[uint64](t)(controls[0].PutMigration(ctx, []byte("m"), 0))
	for i := range watches {
		eventually(t, 3*time.Second, "a change at every node", func() bool { return watches[i].saw(1, "m") })
	}
	stores := []*Store{on.open(t, 0, 3), on.open(t, 1, 3), on.open(t, 2, 3)}
	must[int](t)(stores[0].PutRows(ctx, userRows(t, 50)))
	info := must[jsapi.StreamInfo](t)(controls[0].api.StreamInfo(ctx, streamOf(ControlBucket), time.Second))
	for i, n := range on.nodes {
		if n.Name() == info.Cluster.Leader {
			n.Shutdown()
			n.WaitForShutdown()
			watches[i] = nil
			controls[i], stores[i] = nil, nil
		}
	}
	var k *Control
	for i := range controls {
		if controls[i] != nil {
			k = controls[i]
		}
	}
	eventually(t, 30*time.Second, "a write after the leader's loss", func() bool {
		next, err := k.PutAuthority(ctx, core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 2}, rev)
		if core.KindOf(err) == core.KindConflict {
			a, _, err := k.Authority(ctx)
			return err == nil && a.Generation == 2 // an unanswered try had been done
		}
		return err == nil && next > rev
	})
	for i := range watches {
		if watches[i] != nil {
			eventually(t, 3*time.Second, "a change at every node that is left", func() bool { return watches[i].saw(2, "m") })
		}
	}
	for _, s := range stores {
		if s == nil {
			continue
		}
		eventually(t, 20*time.Second, "lists at every node that is left", func() bool {
			users, err := s.Users(ctx)
			return err == nil && len(users) == 50
		})
	}
}
