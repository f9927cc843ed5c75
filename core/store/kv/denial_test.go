package kv

import (
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/store/storetest"
)

// TestDenialRestsOnAFreshProof: a node that has not heard yet of a user, while its lease
// still holds, does not know that there is none. Under core.AsOf it finds out first.
func TestDenialRestsOnAFreshProof(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onSingle(t)
	writer, node := on.openWith(t, 0, Config{Node: "n1", Replicas: 1}), on.openWith(t, 0, Config{Node: "n2", Replicas: 1})
	u := storetest.NewUser(t, "ann")
	must[bool](t)(storetest.IsAuthorized(ctx, node, u.ID)) // a lease
	deafen(t, node, core.TableUsers)
	mustDo(t, writer.AddUser(ctx, u))
	a, err := node.Admit(core.AsOf(ctx, time.Now()), u.ID)
	if err != nil || a.Status != core.UserActive {
		t.Errorf("a user who was added before the question is %q, %v", a.Status, err)
	}
}

// TestDenialsShareProofs: many strangers at once cost a few writes.
func TestDenialsShareProofs(t *testing.T) {
	t.Parallel()
	s := onSingle(t).open(t, 0, 1)
	must[bool](t)(storetest.IsAuthorized(t.Context(), s, storetest.NewUser(t, "ann").ID))
	written := s.buckets[core.TableUsers].barriers.count.Load
	before, begun := written(), time.Now()
	var all sync.WaitGroup
	for range 50 {
		id := storetest.NewUserID(t)
		all.Go(func() {
			for range 4 {
				if a, err := s.Admit(core.AsOf(t.Context(), time.Now()), id); err != nil || a.Status != "" {
					t.Errorf("a stranger is %q, %v", a.Status, err)
				}
			}
		})
	}
	all.Wait()
	periods := uint64(time.Since(begun)/denialPace) + 2
	if n := written() - before; n == 0 || n > 2*periods { // one that is under way, and one that waits for it
		t.Errorf("200 denials wrote %d barriers in %d periods", n, periods)
	}
}
