package kv

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

// LastSeenBucket holds when users had a session last, with a key for each part of core.LastSeen.
// No decision depends on it. It is no table: a migration does not copy or compare it, and a backup does not have it.
const LastSeenBucket = core.LastSeenBucket

const (
	seenKeyPrefix = "part."
	seenTries     = 8 // to write a part that other nodes write, too
)

// LastSeenConfig is what a LastSeen needs.
type LastSeenConfig struct {
	Conn     *nats.Conn     // in the account that has JetStream; it is not closed
	Replicas func() int     // of the bucket, when it is created
	Record   *core.LastSeen // what is read is merged into it
	Logger   *slog.Logger   // nil: none
}

// LastSeen keeps a core.LastSeen in a bucket, which is created with the first write. Its methods
// are for one goroutine.
type LastSeen struct {
	bucketClient
	replicas func() int
	record   *core.LastSeen
	created  string                  // of the stream that was read; "": it was not there
	read     uint64                  // the sequence up to which it was read
	revs     [core.SeenShards]uint64 // of the parts
}

// NewLastSeen makes a LastSeen; nothing is sent before Read.
func NewLastSeen(c LastSeenConfig) *LastSeen {
	l := &LastSeen{replicas: c.Replicas, record: c.Record}
	l.api.Conn, l.log = c.Conn, c.Logger
	l.setDefaults()
	return l
}

// Read merges what was written since the last call. A bucket that is not there has nothing.
// KindUnavailable where no answer came.
func (l *LastSeen) Read(ctx context.Context) error {
	info, err := l.api.StreamInfoUntil(ctx, streamOf(LastSeenBucket))
	if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
		l.reset("")
		return nil
	}
	if err != nil {
		return explain(err, "reading "+LastSeenBucket)
	}
	if info.Created != l.created {
		l.reset(info.Created)
	}
	if at, err := time.Parse(time.RFC3339Nano, info.Created); err == nil {
		l.record.Begin(core.MillisOf(at))
	}
	for l.read < info.State.LastSeq {
		e, ok, err := l.firstFrom(ctx, LastSeenBucket, l.read+1)
		if err != nil {
			return explain(err, "reading "+LastSeenBucket)
		}
		if !ok {
			return nil // what is beyond was replaced meanwhile
		}
		l.read = e.rev
		l.merge(e)
	}
	return nil
}

// reset forgets what was read of another stream: this one gets everything that is known.
func (l *LastSeen) reset(created string) {
	if l.created != created {
		l.created, l.read, l.revs = created, 0, [core.SeenShards]uint64{}
		l.record.RewriteAll()
	}
}

func (l *LastSeen) merge(e entry) {
	shard, err := strconv.Atoi(strings.TrimPrefix(e.key, seenKeyPrefix))
	if err != nil || shard < 0 || shard >= core.SeenShards {
		return
	}
	l.revs[shard] = e.rev
	if e.deleted {
		return
	}
	if err := l.record.Merge(shard, e.value); err != nil {
		l.log.Warn("a part of the record of sessions cannot be read, and is written anew", "bucket", LastSeenBucket, "error", err)
	}
}

// Write writes the parts that have changed, and merges what other nodes wrote meanwhile. After
// an error it may be called again: no part gets less than it had.
func (l *LastSeen) Write(ctx context.Context) error {
	dirty := l.record.Dirty()
	if len(dirty) == 0 {
		return nil
	}
	if l.created == "" {
		if err := l.ensure(ctx, LastSeenBucket, l.replicas()); err != nil {
			return err
		}
		if err := l.Read(ctx); err != nil {
			return err
		}
	}
	for _, shard := range dirty {
		if err := l.writeShard(ctx, shard); err != nil {
			return err
		}
	}
	return nil
}

func (l *LastSeen) writeShard(ctx context.Context, shard int) error {
	key := fmt.Sprintf("%s%d", seenKeyPrefix, shard)
	for try := 1; ; try++ {
		value, written := l.record.EncodeShard(shard)
		rev, err := l.put(ctx, LastSeenBucket, message{key: key, value: value, expect: &l.revs[shard]})
		if err == nil {
			l.revs[shard] = rev
			written()
			return nil
		}
		// The leader refuses a write while another one of the same key is under way, and does not have that yet.
		if core.KindOf(err) != core.KindConflict || try == seenTries || !jsapi.Sleep(ctx, time.Duration(try)*jsapi.Pause) {
			return err
		}
		e, ok, err := l.last(ctx, LastSeenBucket, key)
		if err != nil {
			return explain(err, "reading "+LastSeenBucket)
		}
		if ok {
			l.merge(e)
		} else {
			l.revs[shard] = 0
		}
	}
}
