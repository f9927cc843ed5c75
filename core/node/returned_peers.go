package node

import (
	"context"
	"fmt"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// A server forgets after some minutes, or at its restart, that a peer was removed. A removed
// node that runs for a moment is counted again then, although its name is refused: with no
// process behind it, its vote only makes the quorum larger. The leader of the meta group
// removes such a peer, as the command did.

const (
	returnedPoll  = 5 * time.Second
	returnedFirst = 10 * time.Second // until the second try for a name, which may be all that a start takes; each later pause is twice as long
	returnedLast  = time.Hour
)

// returnedPeers removes peers of removed nodes that are in the meta group again.
type returnedPeers struct {
	n     *Node
	tries map[string]*returnedTry
}

// returnedTry bounds the tries for one name.
type returnedTry struct {
	next  time.Time
	pause time.Duration
}

func (n *Node) removeReturnedPeers(ctx context.Context) {
	r := returnedPeers{n: n, tries: map[string]*returnedTry{}}
	repeat(ctx, returnedPoll, func() {
		for _, name := range cluster.ReturnedPeers(n.observer.View()) {
			if r.isDue(name, time.Now()) {
				r.remove(ctx, name)
			}
		}
	})
}

// isDue is true where a try for a name may be made now, and counts that as one.
func (r returnedPeers) isDue(name string, now time.Time) bool {
	t := r.tries[name]
	if t == nil {
		t = &returnedTry{pause: returnedFirst}
		r.tries[name] = t
	}
	if now.Before(t.next) {
		return false
	}
	t.next, t.pause = now.Add(t.pause), min(2*t.pause, returnedLast)
	return true
}

// remove removes one peer. A command that changes nodes here goes first, and the same rules
// hold as for a command: where a removal is not safe, the finding in status stays.
func (r returnedPeers) remove(ctx context.Context, name string) {
	if !r.n.changingNodes.TryLock() {
		return
	}
	defer r.n.changingNodes.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*removeAttempt)
	defer cancel()
	m := nodeMembership{r.n}
	err := m.awaitSafe(ctx, name)
	if err == nil {
		err = m.removePeer(ctx, name)
	}
	if err != nil {
		r.n.log.Warn("a removed node counts in the meta group again, and could not be removed", "name", name, "error", err, "again", r.tries[name].next)
		return
	}
	r.n.log.Warn("a removed node counted in the meta group again, and was removed", "name", name)
	clusterView{r.n}.Note(cluster.Note, "node."+r.n.cfg.Name, fmt.Sprintf("%s, which was removed, counted in the meta group again, and was removed from it", core.VisibleText(name)))
}
