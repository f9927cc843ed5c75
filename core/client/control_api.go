package client

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/control"
)

// controlAPI is the part of *control.Client that a client calls.
type controlAPI interface {
	CreateRoom(ctx context.Context, req control.CreateRequest) (core.Room, error)
	Room(ctx context.Context, room core.RoomID) (control.RoomInfo, error)
	Rooms(ctx context.Context) ([]core.Room, error)
	RenameRoom(ctx context.Context, room core.RoomID, name string) (core.Room, error)
	ArchiveRoom(ctx context.Context, room core.RoomID) (core.Room, error)

	Members(ctx context.Context, room core.RoomID, keys bool) ([]control.Member, error)
	Member(ctx context.Context, room core.RoomID, user core.UserID, keys bool) (control.Member, error)
	Invite(ctx context.Context, room core.RoomID, user core.UserID, role core.MemberRole, proof []byte) (core.Member, error)
	Accept(ctx context.Context, room core.RoomID) (core.Member, error)
	Decline(ctx context.Context, room core.RoomID) (core.Member, error)
	Invitations(ctx context.Context) ([]control.Invitation, error)
	Remove(ctx context.Context, room core.RoomID, user core.UserID) (core.Member, error)
	Leave(ctx context.Context, room core.RoomID) (core.Member, error)
	SetRole(ctx context.Context, room core.RoomID, user core.UserID, role core.MemberRole) (core.Member, error)

	Statements(ctx context.Context, req control.StatementsRequest) (control.Statements, error)
	AppendStatements(ctx context.Context, room core.RoomID, statements ...[]byte) (control.ChainHead, error)

	FoundAnew(ctx context.Context, req control.FoundAnewRequest) (control.ChainHead, error)

	PublishKey(ctx context.Context, key []byte) (control.Profile, error)
	Key(ctx context.Context, room core.RoomID, epoch core.Epoch) (control.Key, error)
	GiveKey(ctx context.Context, k core.SealedKey) (core.Room, error)
	Rekey(ctx context.Context, record core.EpochRecord, keys []core.SealedKey) (core.Room, error)
	Epochs(ctx context.Context, req control.EpochsRequest) (control.Epochs, error)

	User(ctx context.Context, user core.UserID) (control.Profile, error)
	AddUser(ctx context.Context, req control.AddUserRequest) (core.User, error)
	RevokeUser(ctx context.Context, user core.UserID) (control.Revoked, error)
	ActivateUser(ctx context.Context, user core.UserID) (core.User, error)
}

// retryPolicy says whether a request is sent again when no node answers.
type retryPolicy int

const (
	readOnly   retryPolicy = iota // again, until a node answers or the time is over
	idempotent                    // the same: a change that has the same result when it is made twice
	once                          // a change that might undo another user's change if it were made again: only where nothing was done
)

// Waits between two attempts, and for the answer to a change after the loss of its session.
const (
	minRetryWait = 100 * time.Millisecond
	maxRetryWait = time.Second
	answerGrace  = 2 * time.Second
)

// sendRetrying sends a request as often as its policy allows. After KindUnavailable the
// outcome of a change is not known, except if core.OutcomeOf the error is core.OutcomeNone.
func sendRetrying[T any](ctx context.Context, c *Client, policy retryPolicy, f func(context.Context) (T, error)) (T, error) {
	out, err := repeatByPolicy(ctx, c, policy, f)
	if policy == readOnly {
		err = core.ReadError(err)
	}
	return out, err
}

func repeatByPolicy[T any](ctx context.Context, c *Client, policy retryPolicy, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	stop := context.AfterFunc(c.life, cancel)
	defer stop()
	for wait := minRetryWait; ; wait = min(2*wait, maxRetryWait) {
		out, err := attempt(ctx, c, policy, f)
		if core.KindOf(err) == core.KindUnavailable && c.life.Err() != nil {
			return out, closedError("client")
		}
		again := policy != once || core.OutcomeOf(err) == core.OutcomeNone
		if core.KindOf(err) != core.KindUnavailable || !again || ctx.Err() != nil {
			return out, err
		}
		if !sleep(ctx, wait) && c.life.Err() == nil {
			return out, err
		}
	}
}

// sendRetryingIfOpen is sendRetrying for calls that may come before Open.
func sendRetryingIfOpen[T any](ctx context.Context, c *Client, policy retryPolicy, f func(context.Context) (T, error)) (out T, err error) {
	if err := c.checkOpen(); err != nil {
		return out, err
	}
	return sendRetrying(ctx, c, policy, f)
}

// attempt sends a request once there is a session, and gives up when the session
// ends: the answer may be lost with it.
func attempt[T any](ctx context.Context, c *Client, policy retryPolicy, f func(context.Context) (T, error)) (out T, err error) {
	if c.nc == nil {
		return out, closedError("client")
	}
	select {
	case c.requestSlots <- struct{}{}:
		defer func() { <-c.requestSlots }()
	case <-ctx.Done():
		return out, offlineError(ctx.Err())
	}
	if _, err := c.session.wait(ctx); err != nil {
		return out, err
	}
	_, lost := c.session.now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-lost:
		case <-ctx.Done():
			return
		}
		if policy == readOnly || sleep(ctx, answerGrace) {
			cancel()
		}
	}()
	return f(ctx)
}
