package kv

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

// nextQuorum is the next step for anything that did not answer.
const nextQuorum = "see which nodes answer with `unibus-tui status`; the buckets need a majority of their replicas"

// explain makes an error for people of any error while doing something.
// The cause is kept for errors.Is and logs and is not in the text.
func explain(err error, doing string) error {
	var known *core.Error
	var api *jsapi.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case jsapi.IsConflict(err):
		return &core.Error{
			Kind: core.KindConflict, Text: doing + ": another writer changed it first",
			Next: "read it again and decide again", Err: err,
		}
	case jsapi.Answered(err, jsapi.CodeStreamNotFound):
		return &core.Error{
			Kind: core.KindUnavailable, Text: doing + ": the bucket is not there yet",
			Next: "wait until a node has opened the replicated store", Err: err,
		}
	case errors.As(err, &api) && api.IsTransient():
		return &core.Error{Kind: core.KindUnavailable, Text: doing + ": the cluster could not do it just now", Next: nextQuorum, Err: err}
	case errors.As(err, &api):
		return &core.Error{Kind: core.KindFailed, Text: doing + ": the cluster refused it: " + api.Description, Err: err}
	case errors.Is(err, nats.ErrMaxPayload):
		return &core.Error{Kind: core.KindInvalid, Text: doing + ": the value is too large for a message", Err: err}
	case errors.Is(err, context.Canceled):
		return &core.Error{Kind: core.KindUnavailable, Text: doing + ": canceled before an answer came", Err: err}
	default:
		return &core.Error{Kind: core.KindUnavailable, Text: doing + ": no answer came in time", Next: nextQuorum, Err: err}
	}
}

// unknownOutcome marks a write that was sent and not answered: it may have been
// done or not. "No responders" is the server's word that no one received it.
func unknownOutcome(err error, doing string) error {
	f := core.AsError(explain(err, doing))
	if f.Kind != core.KindUnavailable || errors.Is(err, nats.ErrNoResponders) {
		return explain(err, doing)
	}
	return &core.Error{Kind: core.KindUnavailable, Text: f.Text + "; it may have been done or not", Next: f.Next, Err: err, Outcome: core.OutcomeUnknown}
}

// notProven is the error of a barrier. That is a write of this node's own, which changes
// nothing: its key and outcome say nothing to the caller, who wants to read.
func notProven(err error, bucket string) error {
	e := core.AsError(explain(err, "proving that "+bucket+" is current"))
	if e == nil || e.Kind != core.KindUnavailable {
		return explain(err, "proving that "+bucket+" is current")
	}
	return &core.Error{
		Kind: core.KindUnavailable, Text: bucket + " could not be proven current: a majority of its replicas did not answer in time",
		Next: nextQuorum, Err: err, Outcome: e.Outcome,
	}
}
