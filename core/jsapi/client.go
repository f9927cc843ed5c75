// Package jsapi sends requests to the cluster's JetStream API and reads the answers.
// core/store/kv and core/audit call it. Both speak to JetStream by plain requests,
// because each request has to be judged on its own. A read, or a request that no server
// received, may be sent again; a write without an answer may not, because its outcome
// is unknown. Begin with Client.
package jsapi

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

const (
	// Prefix begins the subjects of the API.
	Prefix = "$JS.API."

	// Attempt bounds one try of a request that may be sent again. A server drops a
	// request without an answer while no leader is known, so a longer wait is of no use.
	Attempt = 500 * time.Millisecond

	// Pause is the wait before a request is sent again.
	Pause = 25 * time.Millisecond
)

// Client sends requests over one connection, in the account that has JetStream.
type Client struct{ Conn *nats.Conn }

// Send sends a message and waits for its answer. "No responders" is the server's
// word that no one received it: the only case in which Send sends it again.
func (c Client) Send(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	for {
		reply, err := c.Conn.RequestMsgWithContext(ctx, msg)
		if !errors.Is(err, nats.ErrNoResponders) {
			return reply, err
		}
		if !Sleep(ctx, Pause) {
			return nil, err
		}
	}
}

// Publish sends a message to a stream and returns its sequence there.
func (c Client) Publish(ctx context.Context, msg *nats.Msg) (sequence uint64, err error) {
	reply, err := c.Send(ctx, msg)
	if err != nil {
		return 0, err
	}
	return Acknowledged(reply)
}

// PublishBatch sends messages to one stream as an atomic batch, and returns the sequence
// of the last one there. id is a new one. After an error that is no *Error it is unknown
// whether they were written; with an *Error none was. The messages' headers are changed.
func (c Client) PublishBatch(ctx context.Context, id string, messages []*nats.Msg) (sequence uint64, err error) {
	last := len(messages) - 1
	for i, m := range messages {
		m.Header.Set(HeaderBatchID, id)
		m.Header.Set(HeaderBatchSequence, strconv.Itoa(i+1))
		if i == last {
			break
		}
		if err := c.Conn.PublishMsg(m); err != nil {
			return 0, err
		}
	}
	messages[last].Header.Set(HeaderBatchCommit, "1")
	reply, err := c.Conn.RequestMsgWithContext(ctx, messages[last])
	if err != nil {
		return 0, err
	}
	return Acknowledged(reply)
}

// The headers of an atomic batch.
const (
	HeaderBatchID       = "Nats-Batch-Id"
	HeaderBatchSequence = "Nats-Batch-Sequence"
	HeaderBatchCommit   = "Nats-Batch-Commit"
)

// Acknowledged reads a stream's answer to a message.
func Acknowledged(reply *nats.Msg) (sequence uint64, err error) {
	var ack struct {
		Sequence uint64 `json:"seq"`
	}
	err = Decode(reply, &ack)
	return ack.Sequence, err
}

// Request sends one request of the API, whose subject follows Prefix, and decodes
// the answer into out, which may be nil. It sends as Send does.
func (c Client) Request(ctx context.Context, subject string, body, out any) error {
	msg := nats.NewMsg(Prefix + subject)
	if body != nil {
		payload, err := json.Marshal(body)
		if err != nil {
			return err
		}
		msg.Data = payload
	}
	reply, err := c.Send(ctx, msg)
	if err != nil {
		return err
	}
	return Decode(reply, out)
}

// RequestUntil is Request in short attempts until the context ends, for requests
// that do no harm when they are sent twice. Only an answer that another try may
// change is tried again.
func (c Client) RequestUntil(ctx context.Context, subject string, body, out any) error {
	for {
		try, cancel := context.WithTimeout(ctx, Attempt)
		err := c.Request(try, subject, body, out)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if api, ok := errors.AsType[*Error](err); ok && !api.IsTransient() {
			return err
		}
		if !Sleep(ctx, Pause) {
			return err
		}
	}
}

// Decode reads an answer into out, which may be nil; an answer that is an error is
// returned as an *Error.
func Decode(reply *nats.Msg, out any) error {
	var fail struct {
		Error *Error `json:"error"`
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

// Sleep waits, and is false when the context ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
