package kv

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// apiError is an error that the server answered with.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

// Error is for logs only; people are told what fault makes of it.
func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

// The answers of nats-server (server/errors.json) that mean something of their own here.
const (
	codeNoPeers           = 10005 // too few nodes for the replicas
	codeNotAssigned       = 10007
	codeNotLeader         = 10009
	codeConsumerNotFound  = 10014
	codeNoMessage         = 10037
	codeStreamExists      = 10058 // with another configuration
	codeStreamNotFound    = 10059
	codeReplicasFixed     = 10061
	codeWrongLastSequence = 10071
	codeNotClustered      = 10074 // replicas > 1 on a single server
	codeStreamOffline     = 10118
	codeWrongLastConstant = 10164
	codeBatchIncomplete   = 10176 // the leader changed within a batch: nothing of it was written
	codeOfflineReason     = 10194
)

// answered says whether err is the server's answer with that code.
func answered(err error, code int) bool {
	var e *apiError
	return errors.As(err, &e) && e.ErrCode == code
}

func isConflict(err error) bool {
	return answered(err, codeWrongLastSequence) || answered(err, codeWrongLastConstant)
}

func isTransient(e *apiError) bool {
	switch e.ErrCode {
	case codeNotAssigned, codeNotLeader, codeStreamOffline, codeBatchIncomplete, codeOfflineReason, codeStreamNotFound:
		return true
	}
	return e.Code == 503 || e.Code == 429
}

// nextQuorum is what to do about anything that did not answer.
const nextQuorum = "see which nodes answer with `unibus-tui status`; the buckets need a majority of their replicas"

// fault turns whatever went wrong while doing something into an error for
// people. The cause is kept for errors.Is and logs and is not in the text.
func fault(err error, doing string) error {
	var known *core.Error
	var api *apiError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case isConflict(err):
		return &core.Error{
			Kind: core.KindConflict, Text: doing + ": somebody else changed it first",
			Next: "read it again and decide again", Err: err,
		}
	case answered(err, codeStreamNotFound):
		return &core.Error{
			Kind: core.KindUnavailable, Text: doing + ": the bucket is not there yet",
			Next: "wait until a node has opened the replicated store", Err: err,
		}
	case errors.As(err, &api) && isTransient(api):
		return &core.Error{Kind: core.KindUnavailable, Text: doing + ": the cluster could not do it just now", Next: nextQuorum, Err: err}
	case errors.As(err, &api):
		return &core.Error{Kind: core.KindFailed, Text: doing + ": the cluster refused it: " + api.Description, Err: err}
	case errors.Is(err, nats.ErrMaxPayload):
		return &core.Error{Kind: core.KindInvalid, Text: doing + ": the value is too large for a message", Err: err}
	case errors.Is(err, context.Canceled):
		return &core.Error{Kind: core.KindUnavailable, Text: doing + ": it was given up before an answer came", Err: err}
	default:
		return &core.Error{Kind: core.KindUnavailable, Text: doing + ": no answer came in time", Next: nextQuorum, Err: err}
	}
}

// unknownOutcome marks a write that was sent and not answered: it may have been done or not.
func unknownOutcome(err error, doing string) error {
	f := core.AsError(fault(err, doing))
	if f.Kind != core.KindUnavailable {
		return fault(err, doing)
	}
	return &core.Error{Kind: core.KindUnavailable, Text: f.Text + "; it may have been done or not", Next: f.Next, Err: err}
}
