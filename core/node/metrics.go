package node

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/metrics"
)

// openMetrics begins to serve metrics and health, where an address was given.
func (n *Node) openMetrics(ctx context.Context) error {
	if n.cfg.MetricsListen == "" {
		return nil
	}
	if !config.Loopback(n.cfg.MetricsListen) {
		n.log.Warn("other machines can read this node's metrics, which have no login: let only the monitoring reach them", "metrics-listen", n.cfg.MetricsListen)
	}
	n.metrics = metrics.New(metrics.Config{Listen: n.cfg.MetricsListen, Sample: n.sample, Ready: n.ready, Log: n.log})
	if err := n.metrics.Open(ctx); err != nil {
		return err
	}
	n.log.Info("serving metrics", "metrics-listen", n.metrics.Addr())
	return nil
}

func (n *Node) closeMetrics(context.Context) error {
	if n.metrics == nil {
		return nil
	}
	return n.metrics.Close()
}

// sample is what a scrape shows. The view is the one that operators see.
func (n *Node) sample(ctx context.Context) metrics.Sample {
	v := n.observer.Fresh(ctx)
	counts, traffic := n.bus.Admissions(), n.bus.Traffic()
	s := metrics.Sample{
		View: v, Judgment: cluster.Judge(v, time.Now()), Self: n.info(),
		Admitted: map[string]uint64{}, Denied: map[string]uint64{}, Traffic: metrics.Traffic(traffic), OpenIncidents: n.events.OpenIncidents(),
	}
	for kind, c := range counts.Admitted {
		s.Admitted[string(kind)] = c
	}
	for reason, c := range counts.Denied {
		s.Denied[string(reason)] = c
	}
	return s
}

// ready is nil where a user who came now would get a decision, and would be kept.
func (n *Node) ready(ctx context.Context) error {
	if n.isDrained() {
		return core.Errorf(core.KindUnavailable, "%s is in maintenance", n.cfg.Name)
	}
	if serving := n.selector.serving(); serving.Backend == core.BackendNone {
		return core.Errorf(core.KindUnavailable, "%s serves no control plane: %s", n.cfg.Name, serving.Reason)
	}
	// The node's own identity is no user: the answer is no, and needs the same proof as a yes.
	_, err := n.storeHandle.Admit(ctx, core.UserID(n.identities.system.Public()))
	return err
}
