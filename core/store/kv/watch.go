package kv

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

const (
	heartbeat    = time.Second             // of a watch without messages
	watchTimeout = 2500 * time.Millisecond // without a message or heartbeat, a watch counts as dead
)

// watch is one push consumer of a bucket and the table that it has delivered.
// Messages come in the order of their sequences; a gap ends it.
type watch struct {
	owner *watchedBucket
	name  string
	sub   *nats.Subscription

	filters []string // keys; none: all
	rows    bool     // it delivers the rows too
	large   bool     // the table is large: see largeTable

	// Guarded by owner.mu.
	table       *table
	batch       unfinishedBatch
	delivered   uint64 // messages, as the consumer counts them
	heard       time.Time
	dead        bool
	targetSeq   uint64
	targetKnown bool          // targetSeq is known
	ready       chan struct{} // closed when targetSeq is reached
}

func (wb *watchedBucket) newWatch() *watch {
	n := &watch{owner: wb, name: "watch_" + token(), table: newTable(wb.name), heard: time.Now(), ready: make(chan struct{})}
	n.rows = wb.rowsWanted.Load()
	if wb.guardOnly || !n.rows {
		n.filters = []string{keyGuard, barrierKey(wb.node), watchKey(wb.node)}
	}
	return n
}

// start subscribes and creates the consumer. It lives on one peer that the server
// picks, and reads that peer's store.
func (n *watch) start(ctx context.Context) error {
	bc := n.owner.client
	inbox := bc.api.Conn.NewInbox()
	sub, err := bc.api.Conn.Subscribe(inbox, n.handle)
	if err != nil {
		return err
	}
	n.sub = sub
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the consumer's flow control is the limit
		return err
	}
	config := map[string]any{
		"name": n.name, "deliver_subject": inbox, "deliver_policy": "all", "ack_policy": "none", "replay_policy": "instant",
		"idle_heartbeat": heartbeat, "flow_control": true, "inactive_threshold": consumerIdle,
		"num_replicas": 1, "mem_storage": true, "headers_only": n.owner.keysOnly,
	}
	if len(n.filters) > 0 {
		var subjects []string
		for _, key := range n.filters {
			subjects = append(subjects, subjectOf(n.owner.bucket, key))
		}
		config["filter_subjects"] = subjects
	}
	try, cancel := context.WithTimeout(ctx, jsapi.Attempt)
	defer cancel()
	body := map[string]any{"stream_name": streamOf(n.owner.bucket), "config": config}
	return bc.api.Request(try, "CONSUMER.CREATE."+streamOf(n.owner.bucket)+"."+n.name, body, nil)
}

// stop ends the watch; its consumer is deleted without waiting for the answer.
func (n *watch) stop() {
	if n.sub != nil {
		_ = n.sub.Unsubscribe() // fails where the connection is gone, and the subscription with it
	}
	n.owner.client.discard(n.owner.bucket, n.name)
}

// handle is called for every message of the consumer, one at a time.
func (n *watch) handle(msg *nats.Msg) {
	if msg.Header.Get("Status") != "" {
		n.beat(msg)
		return
	}
	wb := n.owner
	at, ok := parseDelivery(msg.Reply)
	if !ok {
		wb.client.log.Warn("a watch received a message without a stream sequence", "bucket", wb.bucket)
		return
	}
	e := entry{key: keyOf(wb.bucket, msg.Subject), value: msg.Data, rev: at.rev, deleted: isDeleted(msg.Header)}
	var r record
	if e.key[0] != '_' && !e.deleted {
		r = decodeRecord(core.Row{Table: wb.name, Key: e.key, Value: e.value}, e.rev)
	}
	wb.mu.Lock()
	defer wb.mu.Unlock()
	if n.dead {
		return
	}
	n.heard = time.Now()
	if n.delivered++; at.count != n.delivered {
		wb.loseWatch(n, "a message of it was lost")
		return
	}
	n.take(decodedMessage{e, r, msg.Header})
	if n.targetKnown {
		n.reach()
	}
}

// beat answers flow control, and finds out from a heartbeat whether the last
// messages were lost.
func (n *watch) beat(msg *nats.Msg) {
	wb := n.owner
	if msg.Reply != "" {
		_ = msg.Respond(nil) // where the connection is gone the watch ends anyway
	} else if stalled := msg.Header.Get("Nats-Consumer-Stalled"); stalled != "" {
		_ = wb.client.api.Conn.Publish(stalled, nil)
	}
	wb.mu.Lock()
	defer wb.mu.Unlock()
	n.heard = time.Now()
	if msg.Header.Get("Nats-Consumer-Stalled") == "" {
		n.applyBatch() // the stream has nothing more of it
	}
	sent, err := strconv.ParseUint(msg.Header.Get("Nats-Last-Consumer"), 10, 64)
	if err == nil && sent != n.delivered && !n.dead {
		wb.loseWatch(n, "its last message was lost")
	}
}

// setTarget sets the sequence that the watch has to reach before it can be used.
func (n *watch) setTarget(seq uint64) {
	n.owner.mu.Lock()
	defer n.owner.mu.Unlock()
	n.targetSeq, n.targetKnown = seq, true
	select {
	case <-n.ready:
		n.ready = make(chan struct{})
	default:
	}
	n.reach()
}

func (n *watch) reach() {
	select {
	case <-n.ready:
		return
	default:
	}
	if n.batch.seq() >= n.targetSeq {
		n.applyBatch() // its last message may be gone: a later one had that key, and was purged
	}
	if n.table.seq >= n.targetSeq {
		close(n.ready)
	}
}

// caughtUp waits for targetSeq as long as messages arrive: a replica that lags may
// be a bad choice, and sends heartbeats like any other. Starting a large table
// again is a worse choice, so that gets more time.
func (n *watch) caughtUp(ctx context.Context) error {
	patience := barrierWait
	if n.large {
		patience = watchTimeout
	}
	n.owner.mu.RLock()
	ready, seen := n.ready, n.delivered
	n.owner.mu.RUnlock()
	since := time.Now()
	t := time.NewTicker(barrierWait)
	defer t.Stop()
	for {
		select {
		case <-ready:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		n.owner.mu.RLock()
		now, dead := n.delivered, n.dead
		n.owner.mu.RUnlock()
		if now != seen {
			seen, since = now, time.Now()
		}
		if dead || time.Since(since) >= patience {
			return context.DeadlineExceeded
		}
	}
}
