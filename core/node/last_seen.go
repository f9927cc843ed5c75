package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/store/kv"
)

// lastSeenFile is where a node alone keeps the record. A node that has joined a cluster brings what
// the file holds into the cluster's record.
const lastSeenFile = "last-seen"

const (
	seenEvery      = 10 * time.Minute // what a crash may lose of the record
	seenReadEvery  = time.Minute      // until the record was read once
	seenTimeout    = 30 * time.Second
	seenStopWithin = time.Second
	seenFileMagic  = "unibus last seen 1\n"
)

// lastSeen records the time of each user's last session. An admission costs an entry of a map in
// memory; the record is written at long intervals, a part at a time. No decision depends on it.
type lastSeen struct {
	record  core.LastSeen
	bucket  *kv.LastSeen // nil on a node alone
	reads   bool         // the bucket was read once
	working background
}

func (n *Node) openLastSeen(context.Context) error {
	l := &n.lastSeen
	if err := l.readFile(n.lastSeenPath()); err != nil {
		n.log.Warn("the file of the times of the last sessions cannot be read; the node writes it anew", "file", n.lastSeenPath(), "error", err)
	}
	if n.cfg.Clustered() {
		l.bucket = kv.NewLastSeen(kv.LastSeenConfig{
			Conn: n.conns.store, Replicas: n.lastSeenReplicas, Record: &l.record, Logger: n.log,
		})
	}
	ctx := l.working.start()
	l.working.run(func() { n.runLastSeen(ctx) })
	return nil
}

// closeLastSeen writes what was not written yet. In a cluster it waits a second for a quorum, which
// may go with this node, and creates no bucket.
func (n *Node) closeLastSeen(context.Context) error {
	l := &n.lastSeen
	l.working.stop()
	n.markSeen()
	if len(l.record.Dirty()) == 0 || l.bucket != nil && l.record.Began() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), seenStopWithin)
	defer cancel()
	if err := l.exchange(ctx, n.lastSeenPath(), true, core.MillisOf(time.Now())); err != nil {
		n.log.Info("the times of the last sessions were not saved before the stop", "error", err)
	}
	return nil
}

// lastSeenReplicas are as many as the other internal buckets have: a command may have raised those.
func (n *Node) lastSeenReplicas() int {
	replicas := internalReplicas(n.cfg.Replicas, n.size())
	for _, b := range n.observer.View().InternalBuckets {
		replicas = max(replicas, b.Wanted)
	}
	return replicas
}

func (n *Node) lastSeenPath() string { return filepath.Join(n.cfg.Data, lastSeenFile) }

// runLastSeen reads the record, and writes it at each interval, until ctx ends.
func (n *Node) runLastSeen(ctx context.Context) {
	every := n.cfg.SeenEvery
	if every <= 0 {
		every = seenEvery
	}
	written := time.Now()
	for ctx.Err() == nil {
		due := time.Since(written) >= every
		if due {
			written = time.Now()
		}
		if due || !n.lastSeen.reads {
			once, cancel := context.WithTimeout(ctx, seenTimeout)
			n.saveLastSeen(once, due)
			cancel()
		}
		sleep(ctx, min(every, seenReadEvery))
	}
}

// saveLastSeen takes what the sessions say, and reads and writes the record.
func (n *Node) saveLastSeen(ctx context.Context, write bool) {
	n.markSeen()
	if err := n.lastSeen.exchange(ctx, n.lastSeenPath(), write, core.MillisOf(time.Now())); err != nil && ctx.Err() == nil {
		n.log.Warn("the times of the last sessions cannot be saved now; the node tries again", "error", err)
	}
}

// markSeen records the users of the sessions since the last call.
func (n *Node) markSeen() {
	var ids []core.UserID
	for _, key := range n.bus.TakeSeen() {
		ids = append(ids, core.UserID(key))
	}
	n.lastSeen.record.Mark(ids, core.MillisOf(time.Now()))
}

func (l *lastSeen) exchange(ctx context.Context, path string, write bool, now core.Millis) error {
	if l.bucket == nil {
		l.reads = true
		if !write || len(l.record.Dirty()) == 0 {
			return nil
		}
		l.record.Begin(now)
		return l.writeFile(path)
	}
	if err := l.bucket.Read(ctx); err != nil {
		return err
	}
	l.reads = true
	if !write {
		return nil
	}
	return l.bucket.Write(ctx)
}

// writeFile replaces the file: the time at which recording began, and each part with its length.
func (l *lastSeen) writeFile(path string) error {
	out := bytes.NewBufferString(seenFileMagic)
	out.Write(binary.BigEndian.AppendUint64(nil, uint64(l.record.Began())))
	var done []func()
	for shard := range core.SeenShards {
		data, written := l.record.EncodeShard(shard)
		out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
		out.Write(data)
		done = append(done, written)
	}
	if err := keys.Replace(path, out.Bytes()); err != nil {
		return err
	}
	for _, written := range done {
		written()
	}
	return nil
}

// readFile merges the file, if there is one.
func (l *lastSeen) readFile(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	rest, ok := bytes.CutPrefix(data, []byte(seenFileMagic))
	if !ok || len(rest) < 8 {
		return core.Errorf(core.KindInvalid, "%s is no such file", path)
	}
	l.record.Begin(core.Millis(binary.BigEndian.Uint64(rest)))
	rest = rest[8:]
	for shard := range core.SeenShards {
		if len(rest) < 4 || len(rest)-4 < int(binary.BigEndian.Uint32(rest)) {
			return core.Errorf(core.KindInvalid, "%s ends too early", path)
		}
		size := int(binary.BigEndian.Uint32(rest))
		if err := l.record.Merge(shard, rest[4:4+size]); err != nil {
			return err
		}
		rest = rest[4+size:]
	}
	return nil
}

// LastSeen has the time of each user's last session: of this node's until now, of other
// nodes' as they last wrote it.
func (v clusterView) LastSeen() *core.LastSeen {
	v.n.markSeen()
	return &v.n.lastSeen.record
}
