package node

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// facts is what this node knows by itself. It never waits.
func (n *Node) facts() cluster.Facts {
	f := cluster.Facts{Serving: n.plane.serving(), Authority: n.plane.authority.Load()}
	if c := n.plane.counted.Load(); c != nil {
		f.Counts, f.CountsAt = &c.counts, c.at
	}
	if st := n.plane.moving.Load(); st != nil && !st.AuthorityUnsettled() && (st.Active() || st.State == migrate.StateCutover || st.State == migrate.StateRollback) {
		f.Moving = string(st.State)
	}
	return f
}

// askInfos asks every node, and takes over which operators others have removed.
func (n *Node) askInfos(ctx context.Context) ([]cluster.Info, error) {
	infos, err := n.peers.infos(ctx)
	n.learnRemovals(infos)
	return infos, err
}

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
	s, err := p.n.holder.Store()
	if err != nil {
		return
	}
	// A proof is a write, and an idle node writes nothing.
	if c, err := s.Counts(core.Unproven(ctx)); err == nil {
		p.counted.Store(&counted{c, core.MillisOf(time.Now())})
	}
}

// printShare bounds what telling files apart may cost: a pause is so many times
// as long as the reading before it.
const printShare = 20

// identify keeps the fingerprint of the node's SQLite file, by which the cluster
// tells several files apart.
func (p *plane) identify(ctx context.Context) {
	var look printing
	for {
		pause := countEvery
		if db := p.db(); db != nil {
			pause = look.at(ctx, db, &p.print)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// printed is a file whose rows can be summed up.
type printed interface {
	Path() string
	Fingerprint(ctx context.Context) (string, error)
}

// printing reads the whole file for its fingerprint, so it does that only once it was written.
type printing struct {
	file fileWatch
	due  bool
}

// at brings the fingerprint up to date and says how long to wait before the next look.
func (l *printing) at(ctx context.Context, db printed, keep *atomic.Pointer[string]) (pause time.Duration) {
	if l.due = l.file.written(db.Path()) || l.due; !l.due {
		return countEvery
	}
	begun := time.Now()
	if print, err := db.Fingerprint(ctx); err == nil {
		keep.Store(&print)
		l.due = false
	}
	return max(countEvery, printShare*time.Since(begun))
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
