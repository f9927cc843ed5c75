package node

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/core/store/kv"
	"unibus/core/store/sqlite"
)

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

// askInfos asks every node, and takes over which operators others have removed.
func (n *Node) askInfos(ctx context.Context) ([]cluster.Info, error) {
	infos, err := n.peers.infos(ctx)
	n.learnRemovals(infos)
	return infos, err
}

// countEvery is the pause between two counts, and between two looks at the file.
const countEvery = 2 * time.Second

// rowCounts keeps the figures that screens show. While the store cannot be read the last
// ones stay, with their age.
type rowCounts struct{ latest atomic.Pointer[countedRows] }

type countedRows struct {
	counts core.Counts
	at     core.Millis
}

func (c *rowCounts) run(ctx context.Context, store func() (core.Store, error)) {
	repeat(ctx, countEvery, func() { c.count(ctx, store) })
}

func (c *rowCounts) count(ctx context.Context, store func() (core.Store, error)) {
	ctx, cancel := context.WithTimeout(ctx, countEvery)
	defer cancel()
	s, err := store()
	if err != nil {
		return
	}
	count := s.Counts
	if replicated, ok := s.(*kv.Store); ok {
		count = replicated.Seen // a proof is a write, and an idle node writes nothing
	}
	if counts, err := count(ctx); err == nil {
		c.latest.Store(&countedRows{counts, core.MillisOf(time.Now())})
	}
}

// fingerprintShare bounds what fingerprints may cost: a pause is so many times as long
// as the reading before it.
const fingerprintShare = 20

// fileFingerprint keeps the fingerprint of the node's SQLite file, by which the cluster
// tells several files apart. It reads the whole file, so only after the file was written.
type fileFingerprint struct {
	latest atomic.Pointer[string]

	watch fileWatch
	due   bool
}

// fingerprintedFile is a file whose rows have a fingerprint.
type fingerprintedFile interface {
	Path() string
	Fingerprint(ctx context.Context) (string, error)
}

func (f *fileFingerprint) run(ctx context.Context, open func() *sqlite.Store) {
	for ctx.Err() == nil {
		pause := countEvery
		if file := open(); file != nil {
			pause = f.update(ctx, file)
		}
		sleep(ctx, pause)
	}
}

// update says how long to wait before the next one.
func (f *fileFingerprint) update(ctx context.Context, file fingerprintedFile) (pause time.Duration) {
	if f.due = f.watch.written(file.Path()) || f.due; !f.due {
		return countEvery
	}
	begun := time.Now()
	if sum, err := file.Fingerprint(ctx); err == nil {
		f.latest.Store(&sum)
		f.due = false
	}
	return max(countEvery, fingerprintShare*time.Since(begun))
}

// text is "" without a file.
func (f *fileFingerprint) text() string {
	if sum := f.latest.Load(); sum != nil {
		return *sum
	}
	return ""
}

// proofAge is the age of the proof that admission relies on, in ms; -1 if it relies on none.
func (s *storeSelector) proofAge() int64 {
	if s.kv == nil || s.serving().Backend != core.BackendKV {
		return -1
	}
	age, ok := s.kv.Lease()
	if !ok {
		return -1
	}
	return age.Milliseconds()
}

func decodeMigration(data []byte) (migrate.Status, bool) {
	var st migrate.Status
	if len(data) == 0 || json.Unmarshal(data, &st) != nil {
		return st, false
	}
	return st, true
}
