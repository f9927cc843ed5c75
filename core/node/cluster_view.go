package node

import (
	"context"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/events"
	"unibus/core/migrate"
)

// viewPoll is the pause between two Views where a command waits for the cluster to change.
const viewPoll = 250 * time.Millisecond

// clusterView shows operators what this node sees of the cluster.
type clusterView struct{ n *Node }

// View is at most a quarter of a second old.
func (v clusterView) View(ctx context.Context) cluster.View { return v.n.observer.Fresh(ctx) }

// Events returns events of this node's recorder. From the beginning, they are those of before the
// node's start as well, as far as these are recorded.
func (v clusterView) Events(since uint64, limit int) []cluster.Event {
	own := v.n.recorder.Since(since, limit)
	if since > 0 || len(own) > 0 && own[0].Seq > 1 || limit <= len(own) {
		return own
	}
	return append(v.n.events.LinesBefore(core.MillisOf(v.n.started), limit-len(own)), own...)
}

// History returns a page of the events of the cluster.
func (v clusterView) History(q events.Query) events.Page { return v.n.events.Page(q) }

// Note tells every node's recorder what an operator did.
func (v clusterView) Note(level cluster.Level, about, text string) {
	v.n.peers.announce(cluster.Event{At: core.MillisOf(time.Now()), Level: level, About: about, Text: text})
}

func (n *Node) openObserver(context.Context) error {
	known, err := readStreamTimes(n.streamTimesPath())
	if err != nil {
		return err
	}
	if err := n.dataIDs.load(n.cfg.Data); err != nil {
		return err
	}
	if err := n.routes.learned.load(); err != nil {
		n.log.Warn("the addresses of the other nodes cannot be read; they tell them again", "file", n.routes.learned.path, "error", err)
	}
	n.observer = cluster.New(cluster.Config{
		Name: n.cfg.Name, Cluster: n.clusterName(), Clustered: n.cfg.Clustered(), Expected: n.cfg.Size(), Nodes: n.cfg.Nodes, Changes: n.membership.all,
		System: cluster.Conn{NATS: n.conns.system}, Local: n.facts, Infos: n.askInfos, Recorder: &n.recorder,
		Streams: known, OnView: n.onView(n.saveStreamTimes(known)), Beat: n.heartbeatFunc(),
	})
	n.routes.observer.Store(n.observer)
	ctx := n.observing.start()
	n.observing.run(func() { n.observer.Run(ctx) })
	if n.cfg.Clustered() {
		n.observing.run(func() { n.routes.run(ctx) })
		n.observing.run(func() { n.removeReturnedPeers(ctx) })
	}
	return nil
}

// onView returns what follows each observation.
func (n *Node) onView(save func(cluster.View)) func(cluster.View) {
	return func(v cluster.View) {
		save(v)
		n.seenDuplicates.Store(&v.DuplicateNames)
		if err := n.routes.see(v); err != nil {
			n.log.Debug("the addresses of the other nodes cannot be saved; trying again after the next look", "error", err)
		}
		n.bus.SetOldRoutes(cluster.OldRoutes(v, time.Now()))
		n.repeats.flush(time.Now())
		n.observeEvents(v)
		if err := cluster.ProtocolConflict(v, n.cfg.Name); err != nil {
			n.fail(err)
		}
	}
}

func (n *Node) closeObserver(context.Context) error {
	n.observing.stop()
	return nil
}

func (n *Node) clusterName() string {
	if n.cfg.ClusterName != "" {
		return n.cfg.ClusterName
	}
	return n.cfg.Name
}

// facts is what this node knows by itself. It never waits.
func (n *Node) facts() cluster.Facts {
	v := n.selector.selection()
	f := cluster.Facts{Serving: v.serving, Authority: v.authority}
	if c := n.rowCounts.latest.Load(); c != nil {
		f.Counts, f.CountsAt = &c.counts, c.at
	}
	if st := v.migration; st != nil && !st.AuthorityUnsettled() && (st.Active() || st.State == migrate.StateCutover || st.State == migrate.StateRollback) {
		f.Moving = string(st.State)
	}
	if st := v.migration; st != nil && st.State == migrate.StateSoak {
		f.Soak = &cluster.Soak{Node: st.Node, Since: st.Since}
	}
	f.DuplicateNames, f.Maintenance = n.duplicateNames(), n.activeMaintenance()
	f.Backups = n.backupRecord()
	return f
}

// duplicateNames are the names under which several servers have a route to this node, with what
// the last observation knows of each server.
func (n *Node) duplicateNames() []cluster.DuplicateName {
	var out []cluster.DuplicateName
	for name, runs := range n.bus.DuplicateNames() {
		t := cluster.DuplicateName{Name: name}
		for _, r := range runs {
			t.Runs = append(t.Runs, n.describeRun(cluster.Run{ID: r.ID, Address: r.Address}))
		}
		out = append(out, t)
	}
	return out
}

func (n *Node) describeRun(r cluster.Run) cluster.Run {
	seen := n.seenDuplicates.Load()
	if seen == nil {
		return r
	}
	for _, t := range *seen {
		for _, known := range t.Runs {
			if known.ID == r.ID {
				known.Address = r.Address
				return known
			}
		}
	}
	return r
}

// otherRuns is how many servers answer beyond one of each name.
func (n *Node) otherRuns() int {
	more := 0
	for _, runs := range n.bus.DuplicateNames() {
		more += len(runs) - 1
	}
	return more
}

// askInfos asks every node. It also learns which operators other nodes have removed, and
// which nodes were added and removed by command.
func (n *Node) askInfos(ctx context.Context) ([]cluster.Info, error) {
	hears, _ := n.routes.report()
	if hears != nil {
		hears = append(slices.Clone(hears), n.cfg.Name)
	}
	infos, err := n.peers.infos(ctx, hears)
	n.learnRemovals(infos)
	n.learnDataIDs(infos)
	learnRecords(n, infos, func(i cluster.Info) []core.NodeChange { return i.Membership }, n.addMembership)
	learnRecords(n, infos, func(i cluster.Info) []core.Maintenance { return i.Maintenance }, n.addMaintenance)
	return infos, err
}
