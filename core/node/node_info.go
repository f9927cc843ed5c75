package node

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/config"
)

// answerInfo is what this node says of itself to every node, and of nodes that the
// asking one does not hear.
func (n *Node) answerInfo(q infoRequest) cluster.Info {
	i := n.info()
	if q.Hears != nil {
		i.Relayed = n.routes.relay(q.Hears)
	}
	return i
}

// info is what this node says of itself.
func (n *Node) info() cluster.Info {
	v := n.selector.selection()
	i := cluster.Info{
		Name: n.cfg.Name, Version: n.cfg.Version, Protocols: n.protocols, UsersWithEnd: n.sessions.expiry.count(), PID: os.Getpid(),
		BusAuth: n.cfg.BusAuth, TLS: n.bus.HasTLS(), Listen: n.bus.Addr(), Loopback: config.Loopback(cmp.Or(n.bus.Addr(), n.cfg.Listen)),
		Store: n.cfg.Store, Replicas: n.cfg.Replicas, Serving: v.serving, SyncWrites: n.bus.SyncsWrites(),
		ProvenMS: n.selector.proofAge(), Ready: v.rowsReady,
		Fingerprint: n.fingerprint.text(), Operators: n.operatorsInfo(),
		ClusterKey: n.clusterKey.Public(), OwnKey: n.clusterKey.conflict(),
	}
	i.ListsNodes, i.Streams = len(n.cfg.Nodes) > 0, n.storedStreams()
	i.Membership, i.MembershipUnsaved = n.membership.all(), n.membership.fault()
	i.Maintenance, i.Backups = n.maintenance.all(), n.backupSchedule()
	if entry, err := n.journal.Load(); err == nil {
		i.Journal = entry.Authority
	}
	i.Now, i.DataID, i.Renewed = core.MillisOf(time.Now()), n.bus.DataID(), n.dataIDs.renewed()
	if i.DiskComparison = n.diskCompare.latest.Load(); i.DiskComparison != nil {
		if c, ok := i.ServedCertificate(); ok {
			i.CertUntil = c.Until
		}
		if len(i.DiskComparison.Disks) > 0 {
			i.DiskFree = &i.DiskComparison.Disks[0].Free
		}
	}
	i.ID, i.Started, i.DuplicateNames = n.bus.ID(), core.MillisOf(n.started), n.duplicateNames()
	if host, err := os.Hostname(); err == nil {
		i.Host = host
	}
	for _, f := range n.bus.FileFaults() {
		i.FileFaults = append(i.FileFaults, cluster.FileFault{File: f.File, Reason: f.Reason, Next: f.Next, Since: core.MillisOf(f.Since)})
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
	i.Hears, i.Routes = n.routes.report()
	i.OwnRoutes, i.RouteListen = n.routes.own(), n.bus.RouteListen()
	i.RouteCert, i.Unit, i.Repeated = n.cfg.RouteTLSCert, n.unit, n.repeats.report(time.Now())
	return i
}

// storedStreams are the control plane's streams on this node's disk, as buckets are named.
func (n *Node) storedStreams() []string {
	stored := n.bus.StoredStreams()
	if stored == nil {
		return nil
	}
	names := []string{}
	for _, s := range stored {
		if name := strings.TrimPrefix(s, "KV_"); strings.HasPrefix(name, "UNIBUS_") {
			names = append(names, name)
		}
	}
	return names
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
	out := &cluster.Operators{List: operatorList(*n.operators.Load()), Removed: n.removed.all(), Unsaved: n.removed.fault()}
	for _, op := range n.configured {
		if _, removed := n.removed.of(op.Key); removed {
			out.Leftover = append(out.Leftover, op)
		}
	}
	if n.cfg.Source != nil {
		out.File = n.cfg.Source.Path()
	}
	if f := n.configFault.Load(); f != nil {
		out.Fault, out.FaultSince = f.text, f.since
	}
	return out
}
