package node

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"slices"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/admin"
)

const (
	softDistinct  = 1000           // entries of the table; further ones are only counted
	softKept      = 24 * time.Hour // who has not come back by then is not counted against enforce
	rolloutWithin = 2 * time.Second
)

// softTable is who was admitted in soft mode and would have been refused under enforce.
type softTable struct {
	since core.Millis

	mu       sync.Mutex
	entries  map[softKey]*admin.Denied
	overflow int
}

type softKey struct{ key, addr, reason string }

func newSoftTable(now time.Time) *softTable {
	return &softTable{since: core.MillisOf(now), entries: map[softKey]*admin.Denied{}}
}

// record notes one admission and says whether it is the first of its sort. It
// never waits for more than the table.
func (t *softTable) record(key, remote string, reason *core.Error, now time.Time) (first bool) {
	addr := remote
	if host, _, err := net.SplitHostPort(remote); err == nil {
		addr = host
	}
	k, at := softKey{key, addr, reason.Text}, core.MillisOf(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[k]
	if e == nil {
		if len(t.entries) >= softDistinct {
			t.expire(now)
		}
		if len(t.entries) >= softDistinct {
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

// expire is for callers that hold mu.
func (t *softTable) expire(now time.Time) {
	for k, e := range t.entries {
		if now.Sub(e.Last.Time()) > softKept {
			delete(t.entries, k)
		}
	}
}

// list returns the entries, the latest first, and how many admissions are in none.
func (t *softTable) list(now time.Time) (all []admin.Denied, overflow int) {
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

// softReply is what a node tells the one that was asked.
type softReply struct {
	Node string `json:"node"`
	admin.RolloutNode
}

// rolloutHere leaves out who has been added since: enforce would admit them now.
func (n *Node) rolloutHere(ctx context.Context) softReply {
	ctx, cancel := context.WithTimeout(ctx, rolloutWithin*3/4)
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

// Rollout implements admin.Sessions.
func (s *sessions) Rollout(ctx context.Context) map[string]admin.RolloutNode {
	ctx, cancel := context.WithTimeout(ctx, rolloutWithin)
	defer cancel()
	nodes := map[string]admin.RolloutNode{}
	for _, name := range s.names() {
		nodes[name] = admin.RolloutNode{Unknown: true}
	}
	answers := 0
	err := s.n.peers.ask(ctx, subjectRollout, nil, func(reply []byte) bool {
		var a softReply
		if json.Unmarshal(reply, &a) == nil && a.Node != "" {
			nodes[a.Node] = a.RolloutNode
			answers++
		}
		return answers < s.n.cfg.Size()
	})
	if err != nil {
		s.n.log.Warn("the other nodes could not be asked whom they would deny", "error", err)
	}
	return nodes
}
