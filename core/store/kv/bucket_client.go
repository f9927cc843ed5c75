package kv

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

const (
	defaultTimeout = 2 * time.Second
	defaultBudget  = 120 * time.Second
)

// bucketClient reads and writes keys of buckets. Store, Control and Nonces share
// it.
type bucketClient struct {
	api            jsapi.Client
	timeout        time.Duration
	budget         time.Duration
	log            *slog.Logger
	closed         atomic.Bool
	placements     placementQueue
	pullSlots      chan struct{} // one token for each pull request of a scan under way
	largeTableLock chan struct{} // one token, held while a watch reads a large table
	placementSlots chan struct{} // one token for each consumer that is being placed
}

func (bc *bucketClient) setDefaults() {
	if bc.timeout <= 0 {
		bc.timeout = defaultTimeout
	}
	if bc.budget <= 0 {
		bc.budget = defaultBudget
	}
	if bc.log == nil {
		bc.log = slog.New(slog.DiscardHandler)
	}
	bc.pullSlots, bc.largeTableLock, bc.placementSlots = make(chan struct{}, maxPulls), make(chan struct{}, 1), make(chan struct{}, maxPlacements)
}

// bound limits one operation in time, or says that the store is closed.
func (bc *bucketClient) bound(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if bc.closed.Load() {
		return nil, nil, errClosed()
	}
	ctx, cancel := context.WithTimeout(ctx, bc.timeout)
	return ctx, cancel, nil
}

func errClosed() *core.Error {
	return core.Errorf(core.KindUnavailable, "the replicated store is closed on this node")
}

func streamOf(bucket string) string       { return "KV_" + bucket }
func subjectOf(bucket, key string) string { return "$KV." + bucket + "." + key }
func keyOf(bucket, subject string) string { return strings.TrimPrefix(subject, "$KV."+bucket+".") }

const (
	hdrOperation     = "KV-Operation"
	hdrExpectLast    = "Nats-Expected-Last-Subject-Sequence"
	hdrExpectSubject = "Nats-Expected-Last-Subject-Sequence-Subject" // where it is not the message's own
	hdrBatchID       = jsapi.HeaderBatchID
	hdrBatchSeq      = jsapi.HeaderBatchSequence
	hdrBatchCommit   = jsapi.HeaderBatchCommit
)

// entry is one key as a bucket has it. rev is its sequence in the stream.
type entry struct {
	key     string
	value   []byte
	rev     uint64
	at      string // when it was written, as the server writes times; only last gives it
	deleted bool
}

// last asks the stream's leader for the newest message whose key matches a
// pattern. ok is false where there is none; a deleted key has an entry.
func (bc *bucketClient) last(ctx context.Context, bucket, pattern string) (e entry, ok bool, err error) {
	if pattern == everything { // the server would go through all its keys: a million take seconds
		if e, ok, err := bc.lastInStream(ctx, bucket); ok || err != nil {
			return e, ok, err
		}
	}
	return bc.stored(ctx, bucket, map[string]any{"last_by_subj": subjectOf(bucket, pattern)})
}

// lastInStream asks the stream's leader for its last message. ok is false where
// the stream is empty, or its last message was removed.
func (bc *bucketClient) lastInStream(ctx context.Context, bucket string) (e entry, ok bool, err error) {
	info, err := bc.api.StreamInfoUntil(ctx, streamOf(bucket))
	if err != nil || info.State.Messages == 0 {
		return entry{}, false, err
	}
	return bc.stored(ctx, bucket, map[string]any{"seq": info.State.LastSeq})
}

// firstFrom asks the stream's leader for its first message from a sequence on.
func (bc *bucketClient) firstFrom(ctx context.Context, bucket string, from uint64) (e entry, ok bool, err error) {
	return bc.stored(ctx, bucket, map[string]any{"seq": from, "next_by_subj": subjectOf(bucket, ">")})
}

// stored asks the stream's leader for one message. ok is false where there is
// none.
func (bc *bucketClient) stored(ctx context.Context, bucket string, which map[string]any) (e entry, ok bool, err error) {
	m, found, err := bc.api.Message(ctx, streamOf(bucket), which)
	if err != nil || !found {
		return entry{}, false, err
	}
	e = entry{key: keyOf(bucket, m.Subject), value: m.Data, rev: m.Sequence, at: m.Time}
	if len(m.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(m.Header)
		if err != nil {
			return entry{}, false, core.Errorf(core.KindFailed, "the record %s in %s has headers that cannot be read", e.key, bucket)
		}
		e.deleted = isDeleted(h)
	}
	return e, true, nil
}

func isDeleted(h nats.Header) bool {
	switch h.Get(hdrOperation) {
	case "DEL", "PURGE":
		return true
	}
	return h.Get("Nats-Marker-Reason") != ""
}

// get is last for one key. A deleted key is not there, but its revision is
// returned.
func (bc *bucketClient) get(ctx context.Context, bucket, key string) (e entry, ok bool, err error) {
	e, ok, err = bc.last(ctx, bucket, key)
	if err != nil {
		return entry{}, false, explain(err, "reading "+key+" in "+bucket)
	}
	return e, ok && !e.deleted, nil
}

// message is one write: a value, or the removal of a key.
type message struct {
	key    string
	value  []byte
	remove bool
	expect *uint64   // the revision that the key must have, 0: must not be there; nil: any
	guard  *uint64   // the revision that the bucket's guard must have; not together with expect
	header [2]string // one more header, "": none

	// A version that every node of the cluster reads, or refuses to read already: the version
	// of the row in whose place this one is.
	known int
}

func (m message) encode(bucket string) *nats.Msg {
	msg := nats.NewMsg(subjectOf(bucket, m.key))
	msg.Data = m.value
	if m.remove {
		msg.Header.Set(hdrOperation, "DEL")
	}
	if m.expect != nil {
		msg.Header.Set(hdrExpectLast, strconv.FormatUint(*m.expect, 10))
	}
	if m.guard != nil {
		msg.Header.Set(hdrExpectLast, strconv.FormatUint(*m.guard, 10))
		msg.Header.Set(hdrExpectSubject, subjectOf(bucket, keyGuard))
	}
	if m.header[0] != "" {
		msg.Header.Set(m.header[0], m.header[1])
	}
	return msg
}

// put writes one key and returns its new revision. It never sends twice: without
// an answer the outcome is unknown, and the error (KindUnavailable) says so.
func (bc *bucketClient) put(ctx context.Context, bucket string, m message) (rev uint64, err error) {
	doing := "writing " + m.key + " in " + bucket
	if err := bc.check(bucket, m); err != nil {
		return 0, err
	}
	reply, err := bc.api.Send(ctx, m.encode(bucket))
	if err != nil {
		return 0, unknownOutcome(err, doing)
	}
	rev, err = jsapi.Acknowledged(reply)
	return rev, explain(err, doing)
}

// headerReserve is left free in a message for the headers of a guarded batch.
const headerReserve = 512

// check refuses what no bucket can hold.
func (bc *bucketClient) check(bucket string, m message) error {
	if !validKey(m.key) {
		return core.Errorf(core.KindInvalid, "%q cannot be a key of %s", m.key, bucket)
	}
	if limit := min(int(bc.api.Conn.MaxPayload())-headerReserve, core.MaxValue); len(m.value) > limit {
		return core.Errorf(core.KindInvalid, "the value of %s in %s has %d bytes, and %d fit into one message",
			m.key, bucket, len(m.value), limit).WithNext("make it smaller")
	}
	return nil
}

// validKey is true for one subject without wildcards. nats-server checks less.
func validKey(key string) bool {
	if key == "" || len(key) > 512 || key[0] == '.' || key[len(key)-1] == '.' || strings.Contains(key, "..") {
		return false
	}
	for _, c := range []byte(key) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.', c == '=', c == '/':
		default:
			return false
		}
	}
	return true
}
