package node

import (
	"os"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/config"
)

// info is what this node says of itself to every node.
func (n *Node) info() cluster.Info {
	v := n.selector.selection()
	i := cluster.Info{
		Name: n.cfg.Name, Version: n.cfg.Version, PID: os.Getpid(),
		BusAuth: n.cfg.BusAuth, TLS: n.cfg.TLS(), Listen: n.bus.Addr(), Loopback: config.Loopback(n.cfg.Listen),
		Store: n.cfg.Store, Replicas: n.cfg.Replicas, Serving: v.serving, SyncWrites: true,
		ProvenMS: n.selector.proofAge(), Ready: v.rowsReady,
		Fingerprint: n.fingerprint.text(), Operators: n.operatorsInfo(),
		ClusterKey: n.clusterKey.Public(), OwnKey: n.clusterKey.conflict(),
	}
	i.Membership, i.MembershipUnsaved = n.membership.all(), n.membership.fault()
	if entry, err := n.journal.Load(); err == nil {
		i.Journal = entry.Authority
	}
	if until, err := n.bus.CertUntil(); err == nil && !until.IsZero() {
		i.CertUntil = core.MillisOf(until)
	}
	for _, c := range n.bus.Channels() {
		i.Channels = append(i.Channels, c.String())
	}
	q := n.quotas()
	i.Quotas = map[string]int{
		"quota-invitations": q.Invitations, "quota-rooms": q.Rooms, "quota-members": q.Members, "quota-rekeys": q.Rekeys, "quota-megabytes": int(q.Bytes >> 20),
	}
	clients := n.bus.Clients()
	i.Sessions = &clients
	if free, err := freeBytes(n.cfg.Data); err == nil {
		i.DiskFree = &free
	}
	return i
}

// proofAge is the age in ms of the proof on which admission relies; -1 if it relies on none.
func (s *storeSelector) proofAge() int64 {
	if s.serving().Backend != core.BackendKV { // peers ask before the KV store is made
		return -1
	}
	age, ok := s.kv.Lease()
	if !ok {
		return -1
	}
	return age.Milliseconds()
}

// activeFlags is what a node runs, in the names of the declared flags.
func activeFlags(i cluster.Info) map[string]string {
	out := map[string]string{}
	active := config.Flags{BusAuth: i.BusAuth, BusTLS: i.TLS, Decentralized: i.Serving.Backend == core.BackendKV}
	for _, f := range active.List() {
		out[f.Name] = f.Value
	}
	return out
}

func operatorList(table map[string]core.Operator) []core.Operator {
	list := make([]core.Operator, 0, len(table))
	for _, op := range table {
		list = append(list, op)
	}
	slices.SortFunc(list, func(a, b core.Operator) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// operatorsInfo is what this node says of its operators.
func (n *Node) operatorsInfo() *cluster.Operators {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	out := &cluster.Operators{List: operatorList(*n.operators.Load()), Removed: n.removed.all()}
	for _, op := range n.configured {
		if _, removed := n.removed.list[op.Key]; removed {
			out.Leftover = append(out.Leftover, op)
		}
	}
	if n.removed.unsaved != nil {
		out.Unsaved = n.removed.unsaved.Error()
	}
	if n.cfg.Source != nil {
		out.File = n.cfg.Source.Path()
	}
	if f := n.configFault.Load(); f != nil {
		out.Fault, out.FaultSince = f.text, f.since
	}
	return out
}
