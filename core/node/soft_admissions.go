package node

import (
	"cmp"
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/admin"
)

const (
	maxSoftEntries = 1000           // further ones are only counted
	softEntryLife  = 24 * time.Hour // after that long without a connection an entry no longer counts against enforce
	rolloutTimeout = 2 * time.Second
)

// softAdmissions counts the connections that were admitted in soft mode, and that enforce
// would have refused.
type softAdmissions struct {
	since core.Millis

	mu       sync.Mutex
	entries  map[softKey]*admin.Denied
	overflow int
}

// softKey is one entry: connections of a key from an address for a reason.
type softKey struct{ key, addr, reason string }

func newSoftAdmissions(now time.Time) *softAdmissions {
	return &softAdmissions{since: core.MillisOf(now), entries: map[softKey]*admin.Denied{}}
}

// count counts one admission, and says whether it is the first of its entry. It waits
// only for the lock.
func (t *softAdmissions) count(key, remote string, reason *core.Error, now time.Time) (first bool) {
	addr := remote
	if host, _, err := net.SplitHostPort(remote); err == nil {
		addr = host
	}
	k, at := softKey{key, addr, reason.Text}, core.MillisOf(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[k]
	if e == nil {
		if len(t.entries) >= maxSoftEntries {
			t.expire(now)
		}
		if len(t.entries) >= maxSoftEntries {
			t.overflow++
			return false
		}
		first = true
		e = &admin.Denied{Key: key, Addr: addr, Reason: reason.Text, First: at}
		t.entries[k] = e
	}
	e.Count++
	e.Last = at
	return first
}

// expire removes old entries. The caller holds mu.
func (t *softAdmissions) expire(now time.Time) {
	for k, e := range t.entries {
		if now.Sub(e.Last.Time()) > softEntryLife {
			delete(t.entries, k)
		}
	}
}

// list returns the entries, the latest first, and how many admissions are in none.
func (t *softAdmissions) list(now time.Time) (all []admin.Denied, overflow int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	for _, e := range t.entries {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b admin.Denied) int {
		return cmp.Or(cmp.Compare(b.Last, a.Last), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Reason, b.Reason))
	})
	return all, t.overflow
}

// softReply is a node's answer to another.
type softReply struct {
	Node string `json:"node"`
	admin.RolloutNode
}

// softReply leaves out the keys that were added as users since: enforce would admit them now.
func (n *Node) softReply(ctx context.Context) softReply {
	ctx, cancel := context.WithTimeout(ctx, rolloutTimeout*3/4)
	defer cancel()
	all, overflow := n.soft.list(time.Now())
	added := map[string]bool{}
	all = slices.DeleteFunc(all, func(d admin.Denied) bool {
		if _, asked := added[d.Key]; !asked && d.Key != "" && ctx.Err() == nil {
			ok, err := n.auth.WouldAdmit(ctx, core.UserID(d.Key))
			added[d.Key] = ok && err == nil
		}
		return added[d.Key]
	})
	r := admin.RolloutNode{Active: activeFlags(n.info()), Since: n.soft.since, WouldDeny: all, Overflow: overflow}
	if len(all) > admin.DeniedShown {
		r.WouldDeny, r.More = all[:admin.DeniedShown], len(all)-admin.DeniedShown
	}
	return softReply{n.cfg.Name, r}
}

// Rollout implements the userSessions of core/admin. It asks every node which connections enforce would deny.
func (s *sessions) Rollout(ctx context.Context) map[string]admin.RolloutNode {
	ctx, cancel := context.WithTimeout(ctx, rolloutTimeout)
	defer cancel()
	nodes, err := askEveryNode(ctx, s.n, subjectRollout, nil, s.n.size(), admin.RolloutNode{Unknown: true},
		func(reply softReply) (string, admin.RolloutNode) { return reply.Node, reply.RolloutNode })
	if err != nil {
		s.n.log.Warn("could not ask the other nodes which connections enforce would deny", "error", err)
	}
	return nodes
}
