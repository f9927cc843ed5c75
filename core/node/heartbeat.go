package node

import (
	"encoding/json"
	"fmt"
	"hash/fnv"

	"unibus/core/cluster"
)

// heartbeatFunc returns what sends this node's heartbeat to every node; nil on a node alone.
func (n *Node) heartbeatFunc() func() cluster.Heartbeat {
	if !n.cfg.Clustered() {
		return nil
	}
	return func() cluster.Heartbeat {
		b := cluster.Heartbeat{Name: n.cfg.Name, ID: n.bus.ID(), State: n.observedState()}
		if body, err := json.Marshal(b); err == nil {
			_ = n.conns.peer.Publish(subjectHeartbeat, body) // without it the others ask this node
		}
		return b
	}
}

// hearHeartbeat notes the heartbeats of other nodes, once there is an observer.
func (n *Node) hearHeartbeat(b cluster.Heartbeat) {
	if o := n.routes.observer.Load(); o != nil && b.Name != n.cfg.Name {
		o.Hear(b)
	}
}

// observedState is a hash of what this node answers to other nodes, without what changes all
// the time and is a figure alone. The space that is left on a disk counts by its level.
func (n *Node) observedState() string {
	i := n.info()
	i.Now, i.ProvenMS, i.DiskFree = 0, 0, nil
	var levels []cluster.Level
	if i.DiskComparison != nil {
		c := *i.DiskComparison
		for _, d := range c.Disks {
			levels = append(levels, d.Level())
		}
		c.Disks = nil
		i.DiskComparison = &c
	}
	h := fnv.New128a()
	if err := json.NewEncoder(h).Encode([]any{i, levels, n.bus.GroupsState()}); err != nil {
		return "" // as at the next heartbeat: such an Info cannot be answered either
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
