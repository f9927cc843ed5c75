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

// Send says something in the room. It returns once the message is on its way to
// the node; Client.Flush waits until the node has it. It waits, for ctx or
// Timeout, while there is no session, while this user has no key of the room,
// and while the room needs a new key: nothing is ever sent by an old one. What
// it gives up so was not sent (ErrOffline, ErrNoKey, ErrRekeyDue). A message
// that is too large is ErrTooLarge. Where a node shows keys that do not fit, the error has that cause (seal.Fault).
// A node that hangs can hold a call for some seconds longer than ctx, until its session is given up.
func (r *Room) Send(ctx context.Context, data []byte) error {
	err := ctx.Err()
	if err != nil {
		err = offlineError(err)
	} else {
		err = r.say(data)
	}
	switch {
	case err == nil:
		return nil
	case len(data) > r.MaxMessage():
		return r.tooLarge(len(data))
	}
	if later := new(notYet); !errors.As(err, &later) {
		return err
	}
	return r.sayLater(ctx, data)
}

// sayLater sends as soon as that can be done.
func (r *Room) sayLater(ctx context.Context, data []byte) error {
	give := time.NewTimer(r.c.cfg.Timeout)
	defer give.Stop()
	for {
		changed := r.changed.changes()
		err := r.say(data)
		if later := new(notYet); !errors.As(err, &later) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Unwrap(err)
		case <-give.C:
			return errors.Unwrap(err)
		case <-r.c.life.Done():
			return closedError("client")
		}
	}
}

// notYet is an error that may pass.
type notYet struct{ error }

func (n *notYet) Unwrap() error { return n.error }

// say sends a message if that can be done now. What a node does not let through
// because the session has just changed is the loss of that message, as on any connection that breaks.
func (r *Room) say(data []byte) error {
	s, err := r.ready()
	if err != nil {
		return err
	}
	if s != nil {
		if len(data) > r.MaxMessage() { // what is sealed takes a number of this sender's
			return r.tooLarge(len(data))
		}
		if data, err = s.Seal(data, core.MillisOf(time.Now())); err != nil {
			return err
		}
	}
	switch err := r.c.nc.Publish(r.subject, data); {
	case err == nil:
	case errors.Is(err, nats.ErrMaxPayload):
		return r.tooLarge(len(data))
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed): // of a write that was not ended the session is not used any more
		return &notYet{offlineError(err)}
	default:
		return offlineError(err)
	}
	if s == nil {
		return nil
	}
	r.mu.Lock()
	r.count++
	r.mu.Unlock()
	return nil
}

func (r *Room) tooLarge(size int) error {
	return newFault(core.KindInvalid, ErrTooLarge, "a message of %d bytes is too large for the room %s: at most %d", size, r.id, r.MaxMessage()).
		WithNext("send less at once")
}

// notSent is told what a node has refused, by the subject in its text.
func (r *Room) notSent(err error) {
	if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(`publish to "`+r.subject+`"`)) { // the library has it in lower case
		return
	}
	r.c.events.emit(NotSent{r.id})
	r.renewed()
}

// ready is the sender to seal with; none in a plain room.
func (r *Room) ready() (*seal.Sender, error) {
	session := r.c.session.current.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over != nil:
		return nil, r.over
	case errors.Is(r.fault, seal.ErrKey): // somebody gives another box
		return nil, &notYet{r.fault}
	case r.fault != nil:
		return nil, r.fault
	case r.info.Room.State == core.RoomArchived:
		return nil, newFault(core.KindRefused, ErrArchived, "the room %s is archived", r.id)
	case session == 0 || r.session != session:
		return nil, &notYet{offlineError(nil)}
	case !r.memory.Encrypted:
		return nil, nil
	case r.sender == nil && r.hasMovedKeys():
		return nil, &notYet{newFault(core.KindUnavailable, ErrNoKey, "the room %s was moved here with keys of a former kind, and has none of this kind yet", r.id).
			WithNext("Room.Rekey makes the first one, for all members")}
	case r.sender == nil:
		return nil, &notYet{newFault(core.KindUnavailable, ErrNoKey, "nobody has given %s the key of the room %s yet", r.c.me.Short(), r.id).
			WithNext("a member who has the room open gives it; ask one to come online")}
	}
	reason, due := r.due(time.Now())
	if !due && r.removals != r.weighed { // whether others have made a key since is being read
		reason, due = seal.ReasonRemoved, true
	}
	if due {
		if r.duty.at.IsZero() && !r.duty.said { // else who tends the room knows, and has set its time
			r.duty.said = true
			r.kick()
		}
		return nil, &notYet{newFault(core.KindUnavailable, ErrRekeyDue, "the room %s needs a new key first: %s", r.id, reason).
			WithNext("a member who is online makes it; try again")}
	}
	return r.sender, nil
}

// MaxMessage is how many bytes one message may have, as long as the node that is connected says so.
func (r *Room) MaxMessage() int {
	most := int(r.c.nc.MaxPayload())
	if r.Encrypted() {
		return min(most-seal.Overhead, seal.MaxPlaintext)
	}
	return most
}
