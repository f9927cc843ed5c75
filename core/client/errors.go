package client

import (
	"context"
	"errors"
	"time"

	"unibus/core"
	"unibus/core/seal"
)

// Fault is the cause of an error, for errors.Is(err, ErrSlow).
type Fault string

// The faults. Those of keys and messages are seal's.
const (
	ErrNotMember       Fault = "not a member"                           // the sender is not a member now, or the caller not any more
	ErrUnlinked        Fault = "its maker is not proven to be a member" // an epoch follows one whose key is not here; see Room.Trust
	ErrNoKey           Fault = "no key yet"                             // no member has given this user the room's key
	ErrRekeyDue        Fault = "a new key is due"                       // nothing is sent until a member has made it
	ErrOffline         Fault = "not connected"                          // nothing was sent
	ErrRefused         Fault = "refused by the nodes"                   // this user may be revoked; the client keeps trying
	ErrClosed          Fault = "closed"                                 // this process closed the client or the room
	ErrNotFounded      Fault = "not founded"                            // no member has signed who the members of the encrypted room are
	ErrFounder         Fault = "its founder is not confirmed"           // the room was founded anew by somebody whom the program has not named; see Client.TrustFounder
	ErrTooLarge        Fault = "too large"                              // nothing was sent
	ErrSlow            Fault = "too slow"                               // messages were dropped here; the error is a *SlowError
	ErrArchived        Fault = "archived"                               // nothing is sent in the room any more
	ErrIdentityChanged Fault = "another key of a verified person"       // nothing is sent; the error is an *IdentityError
	ErrNumber          Fault = "another safety number"                  // what the other side shows is not what this side has
	ErrUnproven        Fault = "a new device"                           // nothing here proves that the members shown are the present ones; see Room.ConfirmNumber
	ErrLocked          Fault = "in use"                                 // another process has the directory
)

// Error is the fault in a few words.
func (f Fault) Error() string { return string(f) }

// newFault makes an error whose cause is a fault.
func newFault(k core.Kind, f Fault, format string, args ...any) *core.Error {
	e := core.Errorf(k, format, args...)
	e.Err = f
	return e
}

// SlowError takes the place of missing messages in a stream: the reader, or this
// process as a whole, was slower than the room.
type SlowError struct {
	Room    core.RoomID
	Dropped uint64 // messages
}

// Error says how many messages are missing.
func (e *SlowError) Error() string { return e.coreError().Text }

// Unwrap is a *core.Error whose cause is ErrSlow.
func (e *SlowError) Unwrap() error { return e.coreError() }

func (e *SlowError) coreError() *core.Error {
	return newFault(core.KindUnavailable, ErrSlow, "%d messages of the room %s were dropped here: they came faster than the program read them", e.Dropped, e.Room).
		WithNext("read faster, or allow more with Pending and PendingBytes")
}

func closedError(what string) error {
	return newFault(core.KindUnavailable, ErrClosed, "the %s is closed", what)
}

func membershipOverError(room core.RoomID, me core.UserID) error {
	return newFault(core.KindRefused, ErrNotMember, "%s is not a member of the room %s any more", me.Short(), room).
		WithNext("ask the room's owner for an invitation")
}

// isSuspicious says that an error is about the contents of an answer: a node or a
// member showed something that does not fit. A node that is away is not suspicious.
func isSuspicious(err error) bool {
	var f seal.Fault
	var own Fault
	return errors.As(err, &f) || errors.As(err, &own) && (own == ErrUnlinked || own == ErrFounder)
}

// boxError is what is wrong with the box that a member has sealed to this user.
type boxError struct{ error }

func (e *boxError) Unwrap() error { return e.error }

func isBoxError(err error) bool {
	var bad *boxError
	return errors.As(err, &bad)
}

// allowsStatements says that a fault of a room says nothing against the known history of its
// members: a record, or a box, is not as it should be. A member can make such a one, and could
// not be removed if nobody signed while it is there. Others than removals and departures wait.
func allowsStatements(fault error) bool {
	return opensNevertheless(fault) || errors.Is(fault, ErrUnlinked)
}

// recordError is what is wrong with the record that a member has made: it is not the next one.
type recordError struct{ error }

func (e *recordError) Unwrap() error { return e.error }

// opensNevertheless says that a room is opened in spite of an error: a member has made a record
// or a box that nobody can use. Only an open room's members remove that member, or leave.
func opensNevertheless(err error) bool {
	var bad *recordError
	return isBoxError(err) || errors.As(err, &bad)
}

// sleep returns false if ctx ends first.
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
