package kv

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

const (
	apiPrefix      = "$JS.API."
	defaultTimeout = 2 * time.Second
	defaultBudget  = 120 * time.Second

	// attempt bounds one try of a request that may be sent again. A request that
	// arrives while no leader is known is dropped without a word, so waiting
	// longer for its answer is of no use.
	attempt = 500 * time.Millisecond

	// pause is the wait before a request that nobody received is sent again.
	pause = 25 * time.Millisecond
)

// wire is the conversation with JetStream that Store and Control share.
type wire struct {
	nc      *nats.Conn
	timeout time.Duration
	budget  time.Duration
	log     *slog.Logger
	closed  atomic.Bool
	berths  berths
	turns   chan struct{} // holds one for each request of a scan that is under way
	loading chan struct{} // holds one while a watch reads a large table
	making  chan struct{} // holds one for each reader that is being placed
}

func (w *wire) setDefaults() {
	if w.timeout <= 0 {
		w.timeout = defaultTimeout
	}
	if w.budget <= 0 {
		w.budget = defaultBudget
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.turns, w.loading, w.making = make(chan struct{}, pullTurns), make(chan struct{}, 1), make(chan struct{}, placesAtOnce)
}

// bound gives one operation its time, or says that the store is closed.
func (w *wire) bound(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if w.closed.Load() {
		return nil, nil, errClosed()
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	return ctx, cancel, nil
}

func errClosed() *core.Error {
	return core.Errorf(core.KindUnavailable, "the replicated store is closed on this node")
}

// ask sends one request to the JetStream API and decodes the answer into out,
// which may be nil. It sends once only, apart from requests that nobody received.
func (w *wire) ask(ctx context.Context, subject string, body, out any) error {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return err
		}
	}
	msg := nats.NewMsg(apiPrefix + subject)
	msg.Data = payload
	reply, err := w.send(ctx, msg)
	if err != nil {
		return err
	}
	return decodeAnswer(reply, out)
}

// askAgain is ask in short attempts until the context ends, for requests that do no harm when they are sent twice.
func (w *wire) askAgain(ctx context.Context, subject string, body, out any) error {
	for {
		try, cancel := context.WithTimeout(ctx, attempt)
		err := w.ask(try, subject, body, out)
		cancel()
		var api *apiError
		if err == nil || ctx.Err() != nil {
			return err
		}
		if errors.As(err, &api) && (!isTransient(api) || api.ErrCode == codeStreamNotFound) {
			return err
		}
		if !sleep(ctx, pause) {
			return err
		}
	}
}

// send makes a request and waits for its answer. "No responders" is the
// server's word that nobody received it: the only case in which it is sent again.
func (w *wire) send(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	for {
		reply, err := w.nc.RequestMsgWithContext(ctx, msg)
		if !errors.Is(err, nats.ErrNoResponders) {
			return reply, err
		}
		if !sleep(ctx, pause) {
			return nil, err
		}
	}
}

func decodeAnswer(reply *nats.Msg, out any) error {
	var fail struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &fail); err != nil {
		return core.Errorf(core.KindFailed, "the cluster sent an answer that cannot be read")
	}
	if fail.Error != nil {
		return fail.Error
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(reply.Data, out); err != nil {
		return core.Errorf(core.KindFailed, "the cluster sent an answer of an unknown form")
	}
	return nil
}

// sleep waits, and is false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func streamOf(bucket string) string       { return "KV_" + bucket }
func subjectOf(bucket, key string) string { return "$KV." + bucket + "." + key }
func keyOf(bucket, subject string) string { return strings.TrimPrefix(subject, "$KV."+bucket+".") }

const (
	hdrOperation     = "KV-Operation"
	hdrExpectLast    = "Nats-Expected-Last-Subject-Sequence"
	hdrExpectSubject = "Nats-Expected-Last-Subject-Sequence-Subject" // where it is not the message's own
	hdrBatchID       = "Nats-Batch-Id"
	hdrBatchSeq      = "Nats-Batch-Sequence"
	hdrBatchCommit   = "Nats-Batch-Commit"
)

// entry is one key as a bucket has it. Rev is its sequence in the stream.
type entry struct {
	key     string
	value   []byte
	rev     uint64
	at      string // when it was written, as the server writes times; only last gives it
	deleted bool
}

// last asks the stream's leader for the newest message whose key matches a
// pattern. ok is false where there is none; a deleted key has an entry.
func (w *wire) last(ctx context.Context, bucket, pattern string) (e entry, ok bool, err error) {
	if pattern == everything { // the server would go through every key that it has: a million take seconds
		if e, ok, err := w.end(ctx, bucket); ok || err != nil {
			return e, ok, err
		}
	}
	return w.stored(ctx, bucket, map[string]any{"last_by_subj": subjectOf(bucket, pattern)})
}

// end asks the stream's leader for its last message; ok is false where the
// stream is empty, or the last message it had was removed.
func (w *wire) end(ctx context.Context, bucket string) (e entry, ok bool, err error) {
	var info streamInfo
	if err := w.askAgain(ctx, "STREAM.INFO."+streamOf(bucket), nil, &info); err != nil || info.State.Messages == 0 {
		return entry{}, false, err
	}
	return w.stored(ctx, bucket, map[string]any{"seq": info.State.LastSeq})
}

// next asks the stream's leader for its first message from a sequence on.
func (w *wire) next(ctx context.Context, bucket string, from uint64) (e entry, ok bool, err error) {
	return w.stored(ctx, bucket, map[string]any{"seq": from, "next_by_subj": subjectOf(bucket, ">")})
}

// stored asks the stream's leader for one message; ok is false where there is none.
func (w *wire) stored(ctx context.Context, bucket string, which map[string]any) (e entry, ok bool, err error) {
	var answer struct {
		Message struct {
			Subject string `json:"subject"`
			Seq     uint64 `json:"seq"`
			Header  []byte `json:"hdrs"`
			Data    []byte `json:"data"`
			Time    string `json:"time"`
		} `json:"message"`
	}
	err = w.askAgain(ctx, "STREAM.MSG.GET."+streamOf(bucket), which, &answer)
	if answered(err, codeNoMessage) {
		return entry{}, false, nil
	}
	if err != nil {
		return entry{}, false, err
	}
	m := answer.Message
	e = entry{key: keyOf(bucket, m.Subject), value: m.Data, rev: m.Seq, at: m.Time}
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

// get is last for one key; a deleted key is not there, but its rev is given.
func (w *wire) get(ctx context.Context, bucket, key string) (e entry, ok bool, err error) {
	e, ok, err = w.last(ctx, bucket, key)
	if err != nil {
		return entry{}, false, fault(err, "reading "+key+" in "+bucket)
	}
	return e, ok && !e.deleted, nil
}

// message is one write: a value, or the removal of a key.
type message struct {
	key    string
	value  []byte
	remove bool
	expect *uint64   // the rev that the key must have, 0: must not be there; nil: whatever it is
	guard  *uint64   // the rev that the bucket's guard must have; not together with expect
	header [2]string // one more, "": none
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

// put writes one key and returns its new rev. It never sends twice: without an
// answer the outcome is unknown, and the error (KindUnavailable) says so.
func (w *wire) put(ctx context.Context, bucket string, m message) (rev uint64, err error) {
	doing := "writing " + m.key + " in " + bucket
	if err := w.check(bucket, m); err != nil {
		return 0, err
	}
	reply, err := w.send(ctx, m.encode(bucket))
	if err != nil {
		return 0, unknownOutcome(err, doing)
	}
	var ack struct {
		Seq uint64 `json:"seq"`
	}
	if err := decodeAnswer(reply, &ack); err != nil {
		return 0, fault(err, doing)
	}
	return ack.Seq, nil
}

// headerRoom is kept free in a message for the headers of a guarded batch.
const headerRoom = 512

// check refuses what no bucket can hold.
func (w *wire) check(bucket string, m message) error {
	if !validKey(m.key) {
		return core.Errorf(core.KindInvalid, "%q cannot be a key of %s", m.key, bucket)
	}
	if limit := int(w.nc.MaxPayload()) - headerRoom; len(m.value) > limit {
		return core.Errorf(core.KindInvalid, "the value of %s in %s has %d bytes, and %d fit into one message",
			m.key, bucket, len(m.value), limit).WithNext("make it smaller")
	}
	return nil
}

// validKey says whether a key is one subject without wildcards; nats-server itself takes less care.
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
