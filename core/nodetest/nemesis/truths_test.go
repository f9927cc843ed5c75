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

// truth is a stretch of time all through which a node let users in by one store.
type truth struct {
	node     int
	by       label
	from, to time.Time
}

// label is a store at one generation of the authority.
type label struct {
	backend    core.Backend
	generation uint64
}

// truths watches, without a pause, by which store each node lets users in.
type truths struct {
	n     *nodetest.Net
	stays keys.Identity

	mu    sync.Mutex
	gone  []*revocation
	seen  []truth
	tries int
}

// revocation is a user who knocks at every node after having been revoked.
type revocation struct {
	id     keys.Identity
	acked  time.Time
	denied map[int]bool // nodes that refused when the promise was over
	late   []string
}

// watchTruths begins; stop ends it and fails the test where two nodes ever had two truths.
func watchTruths(t *testing.T, n *nodetest.Net, stays keys.Identity) (w *truths, stop func()) {
	t.Helper()
	w = &truths{n: n, stays: stays}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range n.Configs {
		all.Go(func() { w.watch(ctx, i) })
		all.Go(func() { w.knock(ctx, i) })
	}
	t.Cleanup(func() { cancel(); all.Wait() })
	return w, func() {
		cancel()
		all.Wait()
		w.judge(t)
	}
}

// watch lets a user in at one node again and again. What was so before and after
// was so all the time between: a generation never comes back.
func (w *truths) watch(ctx context.Context, i int) {
	pace := time.NewTicker(15 * time.Millisecond) // the nodes need the processor too
	defer pace.Stop()
	broken, last := true, -1
	for ctx.Err() == nil {
		<-pace.C
		before, known := w.label(i)
		begun := time.Now()
		err := mustConnect(w.n, i, w.stays)
		ended := time.Now()
		after, still := w.label(i)
		w.mu.Lock()
		w.tries++
		switch {
		case err != nil || !known || !still || before != after:
			broken = true
		case !broken && w.seen[last].by == before:
			w.seen[last].to = begun
		default:
			broken, last = false, len(w.seen)
			w.seen = append(w.seen, truth{i, before, ended, ended})
		}
		w.mu.Unlock()
	}
}

// label is what node i goes by now: n1 by what its journal says, which it syncs
// before it serves anything else; the others have no file and can only go by KV.
func (w *truths) label(i int) (l label, known bool) {
	e, err := journalOf(w.n, i)
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

// knock has everybody who was revoked try at one node.
func (w *truths) knock(ctx context.Context, i int) {
	pace := time.NewTicker(25 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		<-pace.C
		w.mu.Lock()
		gone := w.gone
		w.mu.Unlock()
		for _, g := range gone {
			begun := time.Now()
			err := mustConnect(w.n, i, g.id)
			const slack = 500 * time.Millisecond // between the acknowledgement and its arrival here
			if begun.Sub(g.acked) <= promise+slack {
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

// revoked has a user knock from now on, whose revocation was acknowledged.
func (w *truths) revoked(id keys.Identity) *revocation {
	g := &revocation{id: id, acked: time.Now(), denied: map[int]bool{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = append(append([]*revocation{}, w.gone...), g)
	return g
}

// deniedBy is nil once these nodes have refused the user.
func (w *truths) deniedBy(g *revocation, nodes ...int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range nodes {
		if !g.denied[i] && len(g.late) == 0 {
			return fmt.Errorf("%s has not refused the revoked user yet", w.n.Configs[i].Name)
		}
	}
	return nil
}

func (w *truths) judge(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	by := map[core.Backend]int{}
	for i, a := range w.seen {
		by[a.by.backend]++
		for _, b := range w.seen[i+1:] {
			if a.by.backend != b.by.backend && a.from.Before(b.to) && b.from.Before(a.to) {
				t.Errorf("n%d let users in by %v and n%d by %v at the same time, from %s to %s and from %s to %s", a.node+1, a.by, b.node+1, b.by,
					a.from.Format(clock), a.to.Format(clock), b.from.Format(clock), b.to.Format(clock))
			}
		}
	}
	for _, g := range w.gone {
		for _, l := range g.late {
			t.Errorf("a revoked user was let in by %s", l)
		}
	}
	if by[core.BackendSQLite] == 0 || by[core.BackendKV] == 0 {
		t.Errorf("only %v was seen", by)
	}
	t.Logf("%d tries of three nodes; stretches of one truth: %v; %d revoked users knocked", w.tries, by, len(w.gone))
}

const clock = "15:04:05.000"
