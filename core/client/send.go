package client

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/seal"
)

// Send publishes a message in the room. It returns once the message is on its way to
// the node; Client.Flush waits until the node has it. It waits, for ctx or
// Timeout, while there is no session, while this user has no key of the room,
// and while the room needs a new key: nothing is ever sent by an old one. A message
// that it gives up was not sent (ErrOffline, ErrNoKey, ErrRekeyDue). While a member has
// the name of a verified person and another key, the error is an *IdentityError. In an encrypted
// room whose members have not signed who they are, nothing is sent (ErrNotFounded). A message
// that is too large is ErrTooLarge. If a node shows keys that do not fit, the error has that cause (seal.Fault).
// A node that hangs can hold a call for some seconds longer than ctx, until its session is given up.
func (r *Room) Send(ctx context.Context, data []byte) error {
	err := ctx.Err()
	if err != nil {
		err = offlineError(err)
	} else {
		err = r.trySend(data)
	}
	switch {
	case err == nil:
		return nil
	case len(data) > r.MaxMessage():
		return r.tooLargeError(len(data))
	}
	if wait := new(temporaryError); !errors.As(err, &wait) {
		return err
	}
	return r.sendLater(ctx, data)
}

// sendLater sends as soon as that can be done.
func (r *Room) sendLater(ctx context.Context, data []byte) error {
	timeout := time.NewTimer(r.c.cfg.Timeout)
	defer timeout.Stop()
	for {
		changed := r.changed.changes()
		err := r.trySend(data)
		if wait := new(temporaryError); !errors.As(err, &wait) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Unwrap(err)
		case <-timeout.C:
			return errors.Unwrap(err)
		case <-r.c.life.Done():
			return closedError("client")
		}
	}
}

// temporaryError may pass.
type temporaryError struct{ error }

func (e *temporaryError) Unwrap() error { return e.error }

// trySend sends a message if that can be done now. A message that a node refuses
// because the session has just changed is lost, as on any connection that breaks.
func (r *Room) trySend(data []byte) error {
	s, err := r.sender()
	if err != nil {
		return err
	}
	if s != nil {
		if len(data) > r.MaxMessage() { // a sealed message uses up a number of this sender's
			return r.tooLargeError(len(data))
		}
		if data, err = s.Seal(data, core.MillisOf(time.Now())); err != nil {
			return err
		}
	}
	switch err := r.c.nc.Publish(r.subject, data); {
	case err == nil:
	case errors.Is(err, nats.ErrMaxPayload):
		return r.tooLargeError(len(data))
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed): // after a write that did not end the session is not used any more
		return &temporaryError{offlineError(err)}
	default:
		return offlineError(err)
	}
	if s != nil {
		s.messages.Add(1)
	}
	return nil
}

func (r *Room) tooLargeError(size int) error {
	return newFault(core.KindInvalid, ErrTooLarge, "a message of %d bytes is too large for the room %s: at most %d", size, r.id, r.MaxMessage()).
		WithNext("send less at once")
}

// onPublishRefused is called when a node has refused a publish; err names the subject.
func (r *Room) onPublishRefused(err error) {
	if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(`publish to "`+r.subject+`"`)) { // the library has it in lower case
		return
	}
	r.c.events.emit(NotSent{r.id})
	r.do((*roomLoop).sessionChanged)
}

// sender returns the sender to seal with; nil in a plain room. It reads the view
// alone: a message does not wait for the room's goroutine.
func (r *Room) sender() (*epochSender, error) {
	v := r.view.Load()
	session := r.c.session.current.Load()
	switch {
	case v.over != nil:
		return nil, v.over
	case v.identities != nil && r.identityError(v) != nil:
		return nil, r.identityError(v)
	case errors.Is(v.fault, seal.ErrKey): // another member gives another box
		return nil, &temporaryError{v.fault}
	case v.fault != nil:
		return nil, v.fault
	case v.info.Room.State == core.RoomArchived:
		return nil, newFault(core.KindRefused, ErrArchived, "the room %s is archived", r.id)
	case session == 0 || v.session != session:
		return nil, &temporaryError{offlineError(nil)}
	case !v.isEncrypted():
		return nil, nil
	case !v.signed:
		return nil, r.notFoundedError()
	case v.sender == nil:
		return nil, r.noKeyError(v)
	case v.unproven:
		return nil, &temporaryError{r.unprovenError()}
	case v.sender.Record().Epoch < v.named:
		return nil, &temporaryError{newFault(core.KindUnavailable, ErrNoKey, "the members of the room %s have signed that it is at epoch %d, and the key of that one is not here yet", r.id, v.named).
			WithNext("the client reads it by itself; try again")}
	}
	reason, due := v.rekeyDue(time.Now(), r.c.me)
	if !due && v.removalsRead != r.removals.Load() { // the room is being read: another member may have made a key since
		reason, due = seal.ReasonRemoved, true
	}
	if !due {
		return v.sender, nil
	}
	if v.rekey.at.IsZero() && !v.rekey.noticed { // else the reconciler knows
		r.do((*roomLoop).noteRekeyDue)
	}
	return nil, &temporaryError{newFault(core.KindUnavailable, ErrRekeyDue, "the room %s needs a new key first: %s", r.id, reason).
		WithNext("a member who is online makes it; try again")}
}

// notFoundedError is why nothing is sent, and no key given, in an encrypted room without a
// chain: the nodes alone would say to whom.
func (r *Room) notFoundedError() error {
	if fault := r.view.Load().fault; errors.Is(fault, ErrFounder) {
		return fault
	}
	return newFault(core.KindRefused, ErrNotFounded, "nothing is sent in the room %s: it is encrypted, and no member has signed who its members are", r.id).
		WithNext("if nobody has founded it yet: its owner reads Room.Members, confirms who is known there, and calls Client.FoundAnew with these. An owner who has used the room on another device does not: a node that hides the founding shows it like this, and a second one would split the room")
}

func (r *Room) noKeyError(v *roomView) error {
	if v.hasLegacyKeys() {
		return &temporaryError{newFault(core.KindUnavailable, ErrNoKey, "the room %s was migrated with keys of a former kind, and has none of this kind yet", r.id).
			WithNext("its owner's program makes the first one as soon as it has the room open")}
	}
	return &temporaryError{newFault(core.KindUnavailable, ErrNoKey, "no member has given %s the key of the room %s yet", r.c.me.Short(), r.id).
		WithNext("a member who has the room open gives it; ask one to come online")}
}

// MaxMessage is how many bytes one message may have, as long as the node that is connected says so.
func (r *Room) MaxMessage() int {
	most := int(r.c.nc.MaxPayload())
	if r.Encrypted() {
		return min(most-seal.Overhead, seal.MaxPlaintext)
	}
	return most
}
