package jsapi

import (
	"errors"
	"fmt"
	"slices"
)

// Error is an error that a server answered with.
type Error struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

// Error is for logs; a caller says what it means for its own task.
func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

// The answers of nats-server (server/errors.json) that mean something of their own here.
const (
	CodeNoPeers           = 10005 // too few nodes for the replicas
	CodeNotAssigned       = 10007
	CodeNotLeader         = 10009
	CodeNoMessage         = 10037
	CodePeerNotMember     = 10040 // of a stream's group
	CodeServerNotMember   = 10044 // of the meta group
	CodeStreamExists      = 10058 // with another configuration
	CodeStreamNotFound    = 10059
	CodeReplicasFixed     = 10061
	CodeWrongLastSequence = 10071
	CodeNotClustered      = 10074 // replicas > 1 on a single server
	CodeStreamOffline     = 10118
	CodeWrongLastConstant = 10164
	CodeBatchIncomplete   = 10176 // the leader changed within a batch: nothing of it was written
	CodeOfflineReason     = 10194
)

// Answered is true where err is a server's answer with one of the codes.
func Answered(err error, codes ...int) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && slices.Contains(codes, e.ErrCode)
}

// IsConflict is true where a message was refused because its subject, or another
// that it names, has another last sequence than it expects.
func IsConflict(err error) bool { return Answered(err, CodeWrongLastSequence, CodeWrongLastConstant) }

// IsTransient is true where another try may get another answer. A stream that is not
// there stays away until a node makes it.
func (e *Error) IsTransient() bool {
	switch e.ErrCode {
	case CodeNotAssigned, CodeNotLeader, CodeStreamOffline, CodeBatchIncomplete, CodeOfflineReason:
		return true
	}
	return e.Code == 503 || e.Code == 429
}
