package node

import (
	"context"
	"encoding/json"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/core/store/kv"
)

// facts is what this node knows by itself. It never waits.
func (n *Node) facts() cluster.Facts {
	f := cluster.Facts{Serving: n.plane.serving(), Authority: n.plane.authority.Load()}
	if c := n.plane.counted.Load(); c != nil {
		f.Counts, f.CountsAt = &c.counts, c.at
	}
	if st := n.plane.moving.Load(); st != nil && (st.Active() || st.State == migrate.StateCutover || st.State == migrate.StateRollback) {
		f.Moving = string(st.State)
	}
	return f
}

func (n *Node) askInfos(ctx context.Context) ([]cluster.Info, error) { return n.peers.infos(ctx) }

// count keeps the figures that screens show; while the store cannot be read the last ones stay, with their age.
func (p *plane) count(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		p.countOnce(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *plane) countOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, countEvery)
	defer cancel()
	if p.db() != nil {
		if print, err := p.db().Fingerprint(ctx); err == nil {
			p.print.Store(&print)
		}
	}
	s, err := p.n.holder.Store()
	if err != nil {
		return
	}
	count := s.Counts
	if replicated, ok := s.(*kv.Store); ok {
		count = replicated.Seen // a proof is a write, and an idle node writes nothing
	}
	if c, err := count(ctx); err == nil {
		p.counted.Store(&counted{c, core.MillisOf(time.Now())})
	}
}

// provenMS is the age of the proof that admission relies on, in ms; -1 where it relies on none.
func (p *plane) provenMS() int64 {
	if p.store == nil || p.serving().Backend != core.BackendKV {
		return -1
	}
	age, ok := p.store.Lease()
	if !ok {
		return -1
	}
	return age.Milliseconds()
}

// fingerprint tells the node's SQLite file from another; "" without one.
func (p *plane) fingerprint() string {
	if f := p.print.Load(); f != nil {
		return *f
	}
	return ""
}

func decodeMove(data []byte) (migrate.Status, bool) {
	var st migrate.Status
	if len(data) == 0 || json.Unmarshal(data, &st) != nil {
		return st, false
	}
	return st, true
}
