package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
	"unibus/core/cluster"
	"unibus/core/events"
	"unibus/core/jsapi"
)

// maintenanceFile is where a node keeps which nodes are in maintenance.
const maintenanceFile = "maintenance.json"

// drainPause is the time between two looks at what a node in maintenance still leads
// and serves: a leader that an election puts there leaves again after it.
const drainPause = 500 * time.Millisecond

// activeMaintenance is which nodes are in maintenance now.
func (n *Node) activeMaintenance() []core.Maintenance {
	now := core.MillisOf(time.Now())
	return slices.DeleteFunc(n.maintenance.all(), func(m core.Maintenance) bool { return !m.IsActive(now) })
}

func (n *Node) isDrained() bool {
	m, ok := n.maintenance.of(n.cfg.Name)
	return ok && m.IsActive(core.MillisOf(time.Now()))
}

// readMaintenance reads the file, before the bus admits anybody. A damaged file is no
// reason not to start: the other nodes tell what it said.
func (n *Node) readMaintenance() error {
	if err := n.maintenance.read(); err != nil {
		n.log.Warn("the list of nodes in maintenance cannot be read; the other nodes tell it again", "file", n.maintenance.path, "error", err)
	}
	n.bus.SetDraining(n.isDrained())
	return nil
}

func (n *Node) openMaintenance(context.Context) error {
	ctx := n.draining.start()
	n.draining.run(func() {
		was := false
		repeat(ctx, drainPause, func() { was = n.keepDrained(ctx, was) })
	})
	return nil
}

func (n *Node) closeMaintenance(context.Context) error {
	n.draining.stop()
	return nil
}

// keepDrained moves away what this node leads and serves, while it is in maintenance.
// It returns whether it is.
func (n *Node) keepDrained(ctx context.Context, was bool) bool {
	is := n.isDrained()
	if is != was {
		n.log.Info("maintenance", "active", is)
	}
	n.bus.SetDraining(is)
	if !is {
		return false
	}
	n.bus.DrainSessions(time.Now())
	if n.cfg.Clustered() {
		n.handOverLeaders(ctx, n.observer.View())
	}
	return true
}

// handOverLeaders has other nodes lead what this one leads, and take its replicas where
// a spare node has none. A group that no other node can lead keeps its leader.
func (n *Node) handOverLeaders(ctx context.Context, v cluster.View) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	groups := raftGroups{n}
	step := func(group, to string) {
		if to == "" {
			return
		}
		if err := groups.stepDown(ctx, group, to); err != nil {
			n.log.Debug("a leader stays on this node for now, though it is in maintenance", "group", group, "error", err)
		}
	}
	if v.Meta.Leader == n.cfg.Name {
		step("meta", v.MetaSuccessor())
	}
	for _, b := range v.AllBuckets() {
		if b.Leader == n.cfg.Name {
			step(b.Name, v.Successor(b))
		}
	}
	n.moveReplica(ctx, v)
}

// moveReplica has a spare node take one replica of this node. The next one follows once
// every bucket is complete again: a move copies the whole bucket.
func (n *Node) moveReplica(ctx context.Context, v cluster.View) {
	all := v.AllBuckets()
	busy := func(b cluster.Bucket) bool { return b.Waiting != "" || len(b.Replicas) != b.Wanted || b.Leader == "" }
	if v.Meta.Leader == "" || slices.ContainsFunc(all, busy) {
		return
	}
	here := func(r cluster.Replica) bool { return r.Node == n.cfg.Name }
	i := slices.IndexFunc(all, func(b cluster.Bucket) bool { return slices.ContainsFunc(b.Replicas, here) && v.SpareNode(b) != "" })
	if i < 0 {
		return
	}
	api, request := jsapi.Client{Conn: n.conns.store}, map[string]string{"peer": n.cfg.Name}
	if err := api.Request(ctx, "STREAM.PEER.EVACUATE."+streamOf(all[i].Name), request, nil); err != nil {
		n.log.Debug("a replica stays on this node for now, though it is in maintenance", "bucket", all[i].Name, "error", err)
	}
}

// streamOf is the stream of a bucket, or a group that is a stream itself: the audit and the events.
func streamOf(group string) string {
	if group == audit.Stream || group == events.Stream {
		return group
	}
	return "KV_" + group
}

// Drain implements the membership of core/admin: the node leads nothing and serves no users until
// the time is over. It returns once that is so, or the time of the request is over.
func (m nodeMembership) Drain(ctx context.Context, by core.Operator, name string, last time.Duration) (admin.NodeDrained, error) {
	m.n.changingNodes.Lock()
	defer m.n.changingNodes.Unlock()
	none := admin.NodeDrained{}
	if _, err := core.ParseNodeName(name); err != nil {
		return none, err
	}
	if err := core.CheckMaintenance(last); err != nil {
		return none, err
	}
	if err := cluster.DrainUnsafe(m.n.observer.Fresh(ctx), name); err != nil {
		return none, err
	}
	if !m.n.maintenance.hasSpace(name) {
		return none, errMaintenanceFull(name)
	}
	before, known := m.n.maintenance.of(name)
	if err := m.claim(ctx); err != nil {
		return none, err
	}
	view, err := m.n.observer.Next(ctx) // with what another node let through before the claim
	if err != nil {
		return none, err
	}
	if err := cluster.DrainUnsafe(view, name); err != nil {
		return none, err
	}
	now := core.MillisOf(time.Now())
	next := core.Maintenance{Node: name, By: by.Name, Since: now, Until: now + core.Millis(last.Milliseconds()), At: max(now, before.At+1)}
	if known && before.IsActive(now) {
		next.By, next.Since = before.By, before.Since
	}
	out, err := m.putMaintenance(ctx, next)
	if err != nil {
		return none, err
	}
	out.DrainState = m.awaitDrained(ctx, name)
	return out, nil
}

// Resume implements the membership of core/admin: it ends a maintenance before its time.
func (m nodeMembership) Resume(ctx context.Context, _ core.Operator, name string) (admin.NodeDrained, error) {
	m.n.changingNodes.Lock()
	defer m.n.changingNodes.Unlock()
	none := admin.NodeDrained{}
	if _, err := core.ParseNodeName(name); err != nil {
		return none, err
	}
	if !cluster.IsKnown(m.n.observer.Fresh(ctx), name) {
		return none, core.Errorf(core.KindNotFound, "no node is named %s", name).WithNext("unibusd node list")
	}
	now := core.MillisOf(time.Now())
	before, known := m.n.maintenance.of(name)
	if !known || !before.IsActive(now) {
		return none, core.Errorf(core.KindNotFound, "%s is not in maintenance", name).WithNext("unibusd node list")
	}
	before.Ended, before.At = true, max(now, before.At+1)
	return m.putMaintenance(ctx, before)
}

func errMaintenanceFull(node string) error {
	return core.Errorf(core.KindRefused, "%d nodes were in maintenance, and a cluster remembers no more than that", maxNodeRecords).
		WithNext("stop unibusd on %s without a maintenance, once it may stop: unibusd node plan stop %s", node, node)
}

// putMaintenance writes a decision down here, and has every node do the same.
func (m nodeMembership) putMaintenance(ctx context.Context, next core.Maintenance) (admin.NodeDrained, error) {
	out := admin.NodeDrained{Maintenance: next}
	switch err := m.n.maintenance.put(next); {
	case errors.Is(err, errListFull):
		return out, errMaintenanceFull(next.Node)
	case err != nil:
		return out, core.Errorf(core.KindFailed, "the maintenance of %s cannot be written down: %w", next.Node, err).WithNext("check the disk of this node, and run the same command again")
	}
	if now, _ := m.n.maintenance.of(next.Node); now != next {
		return out, core.Errorf(core.KindConflict, "the maintenance of %s was changed by another request at the same time, which counts", next.Node).
			WithNext("look at it: unibusd node list")
	}
	out.Told, out.NotTold = toldNodes(tellNodes(ctx, m.n, subjectMaintenance, m.n.maintenance.all()), "")
	return out, nil
}

// awaitDrained waits until nothing is left at the node.
func (m nodeMembership) awaitDrained(ctx context.Context, name string) cluster.DrainState {
	for {
		state := cluster.DrainStateOf(m.n.observer.Fresh(ctx), name)
		if state.Pending == "" || !jsapi.Sleep(ctx, viewPoll) {
			return state
		}
	}
}

func (n *Node) addMaintenance(all []core.Maintenance) {
	fresh, err := n.maintenance.add(all)
	for _, m := range fresh {
		n.log.Info("a node's maintenance was changed by command", "name", m.Node, "by", m.By, "until", m.Until.Time(), "ended", m.Ended)
	}
	if err != nil && len(fresh) > 0 {
		n.log.Error("the list of nodes in maintenance is not on disk", "error", err)
	}
}
