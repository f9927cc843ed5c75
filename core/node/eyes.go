package node

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// eyes shows operators what the node sees.
type eyes struct{ n *Node }

// View is at most a quarter of a second old.
func (e eyes) View(ctx context.Context) cluster.View { return e.n.observer.Fresh(ctx) }

// Events are those of this node's recorder.
func (e eyes) Events(since uint64, limit int) []cluster.Event {
	return e.n.recorder.Since(since, limit)
}

// Note tells every node's recorder what an operator did.
func (e eyes) Note(level cluster.Level, about, text string) {
	e.n.peers.announce(cluster.Event{At: core.MillisOf(time.Now()), Level: level, About: about, Text: text})
}

func (n *Node) openObserver(context.Context) error {
	known, err := readStreams(n.streamsPath())
	if err != nil {
		return err
	}
	n.observer = cluster.New(cluster.Config{
		Name: n.cfg.Name, Cluster: n.clusterName(), Clustered: n.cfg.Clustered(), Expected: n.cfg.Size(), Nodes: n.cfg.Nodes,
		System: cluster.Conn{NATS: n.conns.system}, Local: n.facts, Infos: n.askInfos, Recorder: &n.recorder,
		Streams: known, OnView: n.saveStreams(known),
	})
	ctx, cancel := context.WithCancel(context.Background())
	n.looking = cancel
	go n.observer.Run(ctx)
	return nil
}

func (n *Node) closeObserver(context.Context) error {
	n.looking()
	return nil
}

func (n *Node) clusterName() string {
	if n.cfg.ClusterName != "" {
		return n.cfg.ClusterName
	}
	return n.cfg.Name
}
