//go:build nemesis && linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// admissionPeriod is a time during which a node admitted users by one store.
type admissionPeriod struct {
	node     int
	store    storeGeneration
	from, to time.Time
}

// storeGeneration is a store at one generation of the authority.
type storeGeneration struct {
	backend    core.Backend
	generation uint64
}

// admissionWatcher observes without a pause by which store each node admits users.
type admissionWatcher struct {
	n          *nodetest.Net
	activeUser keys.Identity

	mu          sync.Mutex
	revocations []*revocation
	periods     []admissionPeriod
	tries       int
}

// revocation is a revoked user who tries to connect to every node.
type revocation struct {
	id     keys.Identity
	acked  time.Time
	denied map[int]bool // nodes that refused when the promise was over
	late   []string
}

// watchAdmission starts; stop ends it and fails the test if two nodes ever
// admitted users by two stores.
func watchAdmission(t *testing.T, n *nodetest.Net, stays keys.Identity) (w *admissionWatcher, stop func()) {
	t.Helper()
	w = &admissionWatcher{n: n, activeUser: stays}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range n.Configs {
		all.Go(func() { w.watch(ctx, i) })
		all.Go(func() { w.tryRevoked(ctx, i) })
	}
	t.Cleanup(func() { cancel(); all.Wait() })
	return w, func() {
		cancel()
		all.Wait()
		w.requireOneStore(t)
	}
}

// watch connects a user again and again. If the store is the same before and
// after, it was the same in between: a generation never returns.
func (w *admissionWatcher) watch(ctx context.Context, i int) {
	pace := time.NewTicker(15 * time.Millisecond) // the nodes need the processor too
	defer pace.Stop()
	broken, last := true, -1
	for ctx.Err() == nil {
		<-pace.C
		before, known := w.currentStore(i)
		begun := time.Now()
		err := mustConnect(w.n, i, w.activeUser)
		ended := time.Now()
		after, still := w.currentStore(i)
		w.mu.Lock()
		w.tries++
		switch {
		case err != nil || !known || !still || before != after:
			broken = true
		case !broken && w.periods[last].store == before:
			w.periods[last].to = begun
		default:
			broken, last = false, len(w.periods)
			w.periods = append(w.periods, admissionPeriod{i, before, ended, ended})
		}
		w.mu.Unlock()
	}
}

// currentStore is the store that node i uses now. For n1 its journal tells, which
// it syncs before it serves anything else. The others have no file and can only
// use KV.
func (w *admissionWatcher) currentStore(i int) (l storeGeneration, known bool) {
	e, err := readJournal(w.n, i)
	if err != nil || e.Intent != nil {
		return l, false // between the two
	}
	if e.Authority != nil {
		l.generation, l.backend = e.Authority.Generation, e.Authority.Backend
	}
	switch {
	case i != 0:
		l.backend = core.BackendKV
	case l.backend != core.BackendKV:
		l.backend = core.BackendSQLite
	}
	return l, true
}

// tryRevoked lets every revoked user try one node.
func (w *admissionWatcher) tryRevoked(ctx context.Context, i int) {
	pace := time.NewTicker(25 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		<-pace.C
		w.mu.Lock()
		gone := w.revocations
		w.mu.Unlock()
		for _, g := range gone {
			begun := time.Now()
			err := mustConnect(w.n, i, g.id)
			const slack = 500 * time.Millisecond // between the acknowledgement and its arrival here
			if begun.Sub(g.acked) <= leasePromise+slack {
				continue
			}
			w.mu.Lock()
			if err == nil {
				g.late = append(g.late, fmt.Sprintf("%s, %s after the revocation", w.n.Configs[i].Name, begun.Sub(g.acked).Round(time.Millisecond)))
			} else if errors.Is(err, nats.ErrAuthorization) {
				g.denied[i] = true
			}
			w.mu.Unlock()
		}
	}
}

// addRevocation lets a user try from now on, whose revocation was acknowledged.
func (w *admissionWatcher) addRevocation(id keys.Identity) *revocation {
	g := &revocation{id: id, acked: time.Now(), denied: map[int]bool{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revocations = append(append([]*revocation{}, w.revocations...), g)
	return g
}

// checkDenied is nil once these nodes have refused the user.
func (w *admissionWatcher) checkDenied(g *revocation, nodes ...int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range nodes {
		if !g.denied[i] && len(g.late) == 0 {
			return fmt.Errorf("%s has not refused the revoked user yet", w.n.Configs[i].Name)
		}
	}
	return nil
}

func (w *admissionWatcher) requireOneStore(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	by := map[core.Backend]int{}
	for i, a := range w.periods {
		by[a.store.backend]++
		for _, b := range w.periods[i+1:] {
			if a.store.backend != b.store.backend && a.from.Before(b.to) && b.from.Before(a.to) {
				t.Errorf("n%d let users in by %v and n%d by %v at the same time, from %s to %s and from %s to %s", a.node+1, a.store, b.node+1, b.store,
					a.from.Format(timeFormat), a.to.Format(timeFormat), b.from.Format(timeFormat), b.to.Format(timeFormat))
			}
		}
	}
	for _, g := range w.revocations {
		for _, l := range g.late {
			t.Errorf("a revoked user was let in by %s", l)
		}
	}
	if by[core.BackendSQLite] == 0 || by[core.BackendKV] == 0 {
		t.Errorf("only %v was seen", by)
	}
	t.Logf("%d tries of three nodes; stretches of one truth: %v; %d revoked users knocked", w.tries, by, len(w.revocations))
}

const timeFormat = "15:04:05.000"
