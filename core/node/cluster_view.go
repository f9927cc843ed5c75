package node

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// clusterView shows operators what this node sees of the cluster.
type clusterView struct{ n *Node }

// View is at most a quarter of a second old.
func (v clusterView) View(ctx context.Context) cluster.View { return v.n.observer.Fresh(ctx) }

// Events returns events of this node's recorder.
func (v clusterView) Events(since uint64, limit int) []cluster.Event {
	return v.n.recorder.Since(since, limit)
}

// Note tells every node's recorder what an operator did.
func (v clusterView) Note(level cluster.Level, about, text string) {
	v.n.peers.announce(cluster.Event{At: core.MillisOf(time.Now()), Level: level, About: about, Text: text})
}

func (n *Node) openObserver(context.Context) error {
	known, err := readStreamTimes(n.streamTimesPath())
	if err != nil {
		return err
	}
	n.observer = cluster.New(cluster.Config{
		Name: n.cfg.Name, Cluster: n.clusterName(), Clustered: n.cfg.Clustered(), Expected: n.cfg.Size(), Nodes: n.cfg.Nodes, Changes: n.membership.all,
		System: cluster.Conn{NATS: n.conns.system}, Local: n.facts, Infos: n.askInfos, Recorder: &n.recorder,
		Streams: known, OnView: n.saveStreamTimes(known),
	})
	ctx := n.observing.start()
	n.observing.run(func() { n.observer.Run(ctx) })
	return nil
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
	return f
}

// askInfos asks every node. It also learns which operators other nodes have removed, and
// which nodes were added and removed by command.
func (n *Node) askInfos(ctx context.Context) ([]cluster.Info, error) {
	infos, err := n.peers.infos(ctx)
	n.learnRemovals(infos)
	n.learnMembership(infos)
	return infos, err
}
