package client

import (
	"context"
	"errors"
	"time"

	"unibus/core"
	"unibus/core/seal"
)

// Fault is a cause that a program may want to tell from others: errors.Is(err, ErrSlow).
type Fault string

// The faults. Those of keys and messages are seal's.
const (
	ErrNotMember Fault = "not a member"                     // of a sender: not by now; of the caller: not any more
	ErrUnlinked  Fault = "nothing shows that its maker was" // a member: an epoch came after one of which there is no key here; see Room.Trust
	ErrNoKey     Fault = "no key yet"                       // nobody has given this user the room's key so far, or in a moved room made one; see Room.Rekey
	ErrRekeyDue  Fault = "a new key is due"                 // nothing is sent until a member has made it
	ErrOffline   Fault = "not connected"                    // nothing was sent
	ErrRefused   Fault = "refused by the nodes"             // they do not admit this user, as when it is revoked; it is tried again all the time
	ErrClosed    Fault = "closed"                           // the client or the room was closed by this process
	ErrTooLarge  Fault = "too large"                        // nothing was sent
	ErrSlow      Fault = "too slow"                         // messages were dropped here; the error is a *SlowError
	ErrArchived  Fault = "archived"                         // nothing is sent in the room any more
	ErrLocked    Fault = "in use"                           // another process has the directory
)

// Error is the fault as a few words.
func (f Fault) Error() string { return string(f) }

// newFault makes the error for one.
func newFault(k core.Kind, f Fault, format string, args ...any) *core.Error {
	e := core.Errorf(k, format, args...)
	e.Err = f
	return e
}

// SlowError stands in a stream of messages where some are missing, because the
// reader, or this process as a whole, was slower than the room.
type SlowError struct {
	Room    core.RoomID
	Dropped uint64 // messages
}

// Error says how many.
func (e *SlowError) Error() string { return e.text().Text }

// Unwrap is a *core.Error whose cause is ErrSlow.
func (e *SlowError) Unwrap() error { return e.text() }

func (e *SlowError) text() *core.Error {
	return newFault(core.KindUnavailable, ErrSlow, "%d messages of the room %s were dropped here: they came faster than they were read", e.Dropped, e.Room).
		WithNext("read faster, or allow more with Pending and PendingBytes")
}

func closedError(what string) error {
	return newFault(core.KindUnavailable, ErrClosed, "the %s is closed", what)
}

func membershipOverError(room core.RoomID, me core.UserID) error {
	return newFault(core.KindRefused, ErrNotMember, "%s is not a member of the room %s any more", me.Short(), room).
		WithNext("ask the room's owner for an invitation")
}

// isSuspicious says that an error is about what was shown, not about who could not be reached.
func isSuspicious(err error) bool {
	var f seal.Fault
	var own Fault
	return errors.As(err, &f) || errors.As(err, &own) && own == ErrUnlinked
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
