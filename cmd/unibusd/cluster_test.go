package main

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/nodetest"
)

// bootBudget is how long a cold cluster of three processes may take until every
// node serves: far above the 2.5 s of a quiet machine, which make bench measures.
const bootBudget = 30 * time.Second

// Both are more in make nemesis.
var (
	bootstraps = flag.Int("bootstraps", 5, "how many new clusters are started")
	killWrites = flag.Int("kill-writes", 150, "how many writes are acknowledged before each kill of a node, and after it")
)

func TestClusterBootstrapFromCleanStores(t *testing.T) {
	t.Parallel()
	binary := program(t, "unibusd")
	for round := range *bootstraps {
		t.Run(fmt.Sprintf("round %d", round+1), func(t *testing.T) {
			p := nodetest.StartProcesses(t, binary, nodetest.Config{Store: core.BackendKV})
			for i := range p.Configs {
				waitServing(t, p, i, core.BackendKV)
			}
			cl := p.Client()
			nodetest.Wait(t, bootBudget, func() error { return replicated(t, cl, 3) })
		})
	}
}

func waitServing(t *testing.T, p *nodetest.Processes, i int, backend core.Backend) {
	t.Helper()
	cl := p.Client(i)
	nodetest.Wait(t, bootBudget, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err != nil {
			return err
		}
		if st.From != p.Configs[i].Name || st.Serving.Backend != backend {
			return fmt.Errorf("%s serves %s: %s", st.From, st.Serving.Backend, st.Serving.Reason)
		}
		return nil
	})
}

func replicated(t *testing.T, cl *admin.Client, replicas int) error {
	t.Helper()
	st, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		return err
	}
	return nodetest.CheckReplicated(st, replicas)
}

// TestClusterSurvivesLossOfOneNode kills each node in turn while users are
// added through the others: every acknowledged one must be there afterwards.
func TestClusterSurvivesLossOfOneNode(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	for i := range p.Configs {
		waitServing(t, p, i, core.BackendKV)
	}
	all := p.Client()
	nodetest.Wait(t, bootBudget, func() error { return replicated(t, all, 3) })
	acknowledged := map[core.UserID]bool{}
	for victim := range p.Configs {
		w := newWriters(t, p, victim)
		w.until(t, *killWrites, 60*time.Second)
		p.Kill(victim)
		killed := time.Now()
		before := w.count()
		nodetest.Wait(t, nodetest.Convergence, func() error {
			if n := w.count(); n <= before+8 { // those under way when it died may still come in
				return fmt.Errorf("%d writes since the kill of %s", n-before, p.Configs[victim].Name)
			}
			return nil
		})
		t.Logf("%s killed: writes were back after %s", p.Configs[victim].Name, time.Since(killed).Round(10*time.Millisecond))
		w.until(t, before+*killWrites, 60*time.Second)
		for id := range w.stop() {
			acknowledged[id] = true
		}
		p.Start(victim)
		waitServing(t, p, victim, core.BackendKV)
		nodetest.Wait(t, bootBudget, func() error { return replicated(t, all, 3) })
		allThere(t, p, acknowledged)
	}
}

// allThere reads the users at every node.
func allThere(t *testing.T, p *nodetest.Processes, want map[core.UserID]bool) {
	t.Helper()
	for i := range p.Configs {
		users, err := admin.AllUsers(t.Context(), p.Client(i).UserPage)
		if err != nil {
			t.Fatal(err)
		}
		there := map[core.UserID]bool{}
		for _, u := range users {
			there[u.ID] = true
		}
		for id := range want {
			if !there[id] {
				t.Errorf("%s was acknowledged and is not at %s", id, p.Configs[i].Name)
			}
		}
	}
}

// writers add users through every node but one, until they are stopped.
type writers struct {
	mu    sync.Mutex
	acked map[core.UserID]bool
	quit  chan struct{}
	done  sync.WaitGroup
}

func newWriters(t *testing.T, p *nodetest.Processes, victim int) *writers {
	t.Helper()
	w := &writers{acked: map[core.UserID]bool{}, quit: make(chan struct{})}
	const each = 4 // so that a round trip does not set the rate
	for i := range p.Configs {
		if i == victim {
			continue
		}
		cl := p.Client(i)
		for range each {
			w.done.Go(func() { w.write(t, cl) })
		}
	}
	return w
}

func (w *writers) write(t *testing.T, cl *admin.Client) {
	for {
		select {
		case <-w.quit:
			return
		default:
		}
		id := core.UserID(nodetest.Identity(t).Public())
		if _, err := cl.UserAdd(t.Context(), core.User{ID: id}); err != nil {
			continue // not acknowledged: nothing is promised
		}
		w.mu.Lock()
		w.acked[id] = true
		w.mu.Unlock()
	}
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

func (w *writers) until(t *testing.T, n int, limit time.Duration) {
	t.Helper()
	nodetest.Wait(t, limit, func() error {
		if have := w.count(); have < n {
			return fmt.Errorf("%d of %d writes", have, n)
		}
		return nil
	})
}

func (w *writers) stop() map[core.UserID]bool {
	close(w.quit)
	w.done.Wait()
	return w.acked
}
