package kv

import (
	"bytes"
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

// watchPoll is how often the leader is asked although no write was heard of.
const watchPoll = time.Second

// rereadDelays are the delays after news of a write at which the leader is asked. The
// node hears of a write when it is sent, and can read it when it is committed.
func rereadDelays() []time.Duration {
	return []time.Duration{2 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond}
}

// Watch calls f with the control records as they are, and again after every change,
// until ctx ends; then it returns nil. A missing record is nil. Calls come one at a
// time; of changes in quick succession f may see only the last. Watch does not rely on
// a consumer, which would die with its node. It listens for the writes themselves and
// asks the stream's leader. It also asks every second, or every five where the node's
// own replica has nothing new. Without a leader it goes on asking.
func (k *Control) Watch(ctx context.Context, f func(authority *core.Authority, migration []byte)) error {
	heard := make(chan struct{}, 1)
	sub, err := k.api.Conn.Subscribe(subjectOf(ControlBucket, ">"), func(*nats.Msg) {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return explain(err, "watching the control records")
	}
	defer func() { _ = sub.Unsubscribe() }()
	var seen controlRecords
	var pending []time.Duration
	rereads := false // a write was heard of
	replica := jsapi.LocalReplica{LastSeq: k.lastSeq}
	for first := true; ctx.Err() == nil && !k.closed.Load(); {
		if due := replica.AskDue(); !due && !first && !rereads {
			rereads, pending = k.awaitNextRead(ctx, heard, pending)
			continue
		}
		next, err := k.readRecords(ctx)
		replica.Answered(err == nil)
		switch {
		case err != nil && ctx.Err() == nil:
			k.log.Debug("the control records could not be read; the watch goes on", "err", err)
		case err == nil && (first || next.newerThan(seen)):
			first, seen = false, next
			f(next.authority, bytes.Clone(next.migration))
		}
		rereads, pending = k.awaitNextRead(ctx, heard, pending)
	}
	return nil
}

// awaitNextRead waits until the next delay is over, a write is heard of, or a
// second has passed. It returns whether a write was heard of, and the delays that are left.
func (k *Control) awaitNextRead(ctx context.Context, heard <-chan struct{}, pending []time.Duration) (rereads bool, left []time.Duration) {
	wait := core.UntilTick(watchPoll)
	if rereads = len(pending) > 0; rereads {
		wait, pending = pending[0], pending[1:]
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-heard:
		return true, rereadDelays()
	}
	return rereads, pending
}

// controlRecords are both records as they were read.
type controlRecords struct {
	authority    *core.Authority
	migration    []byte
	authorityRev uint64
	migrationRev uint64
}

// newerThan is false for older records too: a deposed leader may answer with them
// for a while.
func (v controlRecords) newerThan(seen controlRecords) bool {
	if v.authorityRev < seen.authorityRev || v.migrationRev < seen.migrationRev {
		return false
	}
	return v.authorityRev > seen.authorityRev || v.migrationRev > seen.migrationRev
}

func (k *Control) readRecords(ctx context.Context) (controlRecords, error) {
	var v controlRecords
	a, rev, err := k.Authority(ctx)
	switch {
	case err == nil:
		v.authority, v.authorityRev = &a, rev
	case core.KindOf(err) != core.KindNotFound:
		return controlRecords{}, err
	}
	value, rev, err := k.Migration(ctx)
	switch {
	case err == nil:
		v.migration, v.migrationRev = value, rev
	case core.KindOf(err) != core.KindNotFound:
		return controlRecords{}, err
	}
	return v, nil
}
