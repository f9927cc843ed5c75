package node_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestTwoNodesAreNotDrainedAtOnce: two admins drain two of three nodes through two nodes at
// the same time. One of them is refused, however soon the refused one tries again.
func TestTwoNodesAreNotDrainedAtOnce(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, Listed: true})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	clients := []*admin.Client{ready(t, c, 0), ready(t, c, 1)}
	awaitVerdict(t, clients[0], cluster.Healthy)
	errs := make([]error, len(clients))
	var both sync.WaitGroup
	for i, cl := range clients {
		both.Go(func() { errs[i] = drainAgain(t.Context(), cl, []string{"n1", "n3"}[i]) })
	}
	both.Wait()
	t.Log(errs)
	drained := 0
	for _, err := range errs {
		switch {
		case err == nil:
			drained++
		case core.KindOf(err) != core.KindRefused && core.KindOf(err) != core.KindConflict:
			t.Error(err)
		}
	}
	if drained != 1 {
		t.Errorf("%d of two nodes were drained, want 1: %v", drained, errs)
	}
}

// drainAgain tries again at once while another change excludes this one.
func drainAgain(ctx context.Context, cl *admin.Client, name string) (err error) {
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		if _, err = cl.NodeDrain(ctx, name, time.Minute); core.KindOf(err) != core.KindConflict {
			return err
		}
	}
	return err
}
