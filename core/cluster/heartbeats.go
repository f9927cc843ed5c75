package cluster

import (
	"context"
	"slices"
	"time"

	"unibus/core"
)

// Heartbeat is what a node tells every node each second. While State is the same, so are the
// answers of the node, apart from figures of load.
type Heartbeat struct {
	Name  string `json:"name"`
	ID    string `json:"id"` // of its nats-server
	State string `json:"state"`
}

// wholeEvery is how often every node is asked while heartbeats say that nothing has changed:
// load and disk use have no part in a node's state.
const wholeEvery = 5 * time.Second

// heartbeats are the last ones of each node, and those of the last observation that asked every
// node.
type heartbeats struct {
	last    map[string]heardHeartbeat
	answers map[string]Heartbeat // by node, as the last whole observation began; nil: an answer was missing
	asked   time.Time            // when the last whole observation began
	skipped bool                 // the last observation asked no node
}

type heardHeartbeat struct {
	Heartbeat
	at time.Time
}

// Hear notes the heartbeat of a node. One of another state than its last answers has every node
// asked at once.
func (o *Observer) Hear(b Heartbeat) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := &o.heartbeats
	if _, known := h.last[b.Name]; !validName(b.Name) || !known && len(h.last) >= maxNodes {
		return
	}
	h.last[b.Name] = heardHeartbeat{b, o.cfg.now()}
	if h.skipped && h.answers[b.Name] != b {
		o.Refresh()
	}
}

// beat tells every node that this one is up. It is false if that could not be done in time.
func (o *Observer) beat(ctx context.Context) bool {
	if o.cfg.Beat == nil {
		return false
	}
	sent := o.start(kindHeartbeat, func() { o.Hear(o.cfg.Beat()) })
	select {
	case <-sent:
		return true
	case <-ctx.Done():
		return false
	}
}

// skip is true if heartbeats stand for the answers of every node. It notes them as answers.
func (o *Observer) skip() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, h := o.cfg.now(), &o.heartbeats
	h.skipped = false
	if h.answers == nil || now.Sub(h.asked) >= wholeEvery || !o.view.Load().isSettled() {
		return false
	}
	for name := range o.mem.nodes {
		b := h.last[name]
		if b.Heartbeat != h.answers[name] || now.Sub(b.at) > o.cfg.interval*3/2 {
			return false
		}
	}
	for name, n := range o.mem.nodes {
		n.heard, n.heardRound = h.last[name].at, o.mem.round
		n.streamsAt, n.streamsRound, n.infoAt = n.heard, o.mem.round, n.heard
		o.mem.at = max(o.mem.at, core.MillisOf(n.heard))
	}
	h.skipped = true
	return true
}

// beginWhole notes what the heartbeats are before every node is asked: answers are as new or newer.
func (o *Observer) beginWhole() (before map[string]Heartbeat) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before = map[string]Heartbeat{}
	for name, b := range o.heartbeats.last {
		before[name] = b.Heartbeat
	}
	o.heartbeats.answers, o.heartbeats.asked = nil, o.cfg.now()
	return before
}

// endWhole keeps the heartbeats from before the questions if every node has answered all of
// them. The caller holds mu.
func (o *Observer) endWhole(before map[string]Heartbeat) {
	h := &o.heartbeats
	for name, n := range o.mem.nodes {
		b, heard := before[name]
		if !heard || n.server.ID != b.ID || n.heardRound != o.mem.round || n.streamsRound != o.mem.round || n.infoAt.Before(h.asked) {
			return
		}
	}
	h.answers = before
}

// isSettled is true of a cluster in which every node answers and every replica is current.
// Otherwise an operator may wait for the next change.
func (v View) isSettled() bool {
	if !v.Clustered || len(v.Nodes) != v.Expected || v.Meta.Leader == "" || len(v.Meta.Leaders) != 1 || v.Meta.RescueUntil != 0 {
		return false
	}
	if len(v.Unknown)+len(v.DuplicateNames)+len(v.Lost)+len(v.Maintenance) > 0 || v.Moving != "" {
		return false
	}
	if slices.ContainsFunc(v.Nodes, func(n Node) bool { return !n.Reachable() || n.Off || len(n.Unheard) > 0 }) {
		return false
	}
	return !slices.ContainsFunc(v.AllBuckets(), func(b Bucket) bool {
		return b.Leader == "" || b.Waiting != "" || len(b.Replicas) < b.Wanted ||
			slices.ContainsFunc(b.Replicas, func(r Replica) bool { return r.State != ReplicaCurrent })
	})
}
