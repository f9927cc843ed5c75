package client

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
)

// subscribing is an attempt to subscribe to messages. All callers wait for the same one.
type subscribing struct {
	done chan struct{}
	err  error
}

// subscribeMessages subscribes to the messages, from when it returns, or without a
// session from the next one on. Readers need it, and every member of an encrypted
// room, for key requests and the number of messages. A send-only client of a plain
// room does not subscribe.
func (r *Room) subscribeMessages(ctx context.Context) error {
	v := r.view.Load()
	if v.over == nil && v.subscribed {
		return nil
	}
	var s *subscribing
	if !r.do(func(l *roomLoop) { s = l.startSubscribing() }) {
		return r.Err()
	}
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return r.subscribeError(ctx.Err())
	}
}

// startSubscribing joins the attempt that is under way, or begins one.
func (l *roomLoop) startSubscribing() *subscribing {
	if l.subscribing != nil {
		return l.subscribing
	}
	s := &subscribing{done: make(chan struct{}), err: l.over}
	events, all := l.events, l.all
	switch {
	case l.over != nil, l.subscribed:
		close(s.done)
	case !l.c.spawn(func() { l.room.subscribe(s, events, all) }):
		s.err = closedError("client")
		close(s.done)
	default:
		l.subscribing = s
	}
	return s
}

// subscribe makes one attempt, outside the room's goroutine.
func (r *Room) subscribe(s *subscribing, events, all *nats.Subscription) {
	defer close(s.done)
	confirmed := false
	if all == nil {
		all, s.err = r.subscribeAll()
	}
	if s.err == nil {
		confirmed = r.confirm(events)
	}
	kept := false
	r.do(func(l *roomLoop) {
		l.subscribing = nil
		if l.over != nil {
			s.err = l.over
			return
		}
		l.all, l.subscribed, kept = all, confirmed, true
	})
	if !kept && all != nil {
		_ = all.Unsubscribe()
	}
}

func (r *Room) subscribeAll() (*nats.Subscription, error) {
	c := &collector{room: r}
	sub, err := r.c.nc.Subscribe(auth.RoomSubject(r.id, "*"), c.onMessage)
	if err == nil {
		err = sub.SetPendingLimits(r.c.cfg.Pending, r.c.cfg.PendingBytes)
	}
	if err != nil {
		return nil, r.subscribeError(err)
	}
	return sub, nil
}

// confirm waits until the node has confirmed the subscription to all messages. That
// one has the control events too, so the one to them alone ends.
func (r *Room) confirm(events *nats.Subscription) bool {
	if r.c.session.current.Load() == 0 { // the next session begins with the present subscriptions
		_ = events.Unsubscribe()
		return false
	}
	ctx, cancel := context.WithTimeout(r.c.life, r.c.timing.flushTimeout)
	defer cancel()
	confirmed := r.c.nc.FlushWithContext(ctx) == nil // or the next caller waits
	_ = events.Drain()                               // the events now come between the messages, in order
	return confirmed
}

// subscribeEvents subscribes to the control events. The node has confirmed it when
// it returns.
func (w *reconciler) subscribeEvents(ctx context.Context) error {
	sub, err := w.c.nc.Subscribe(control.EventSubject(w.room.id), w.room.onControlEvent)
	if err != nil {
		return w.room.subscribeError(err)
	}
	w.room.do(func(l *roomLoop) { l.events = sub })
	return w.waitPermitted(ctx)
}

func (r *Room) onControlEvent(m *nats.Msg) {
	if e, err := control.ParseEvent(m); err == nil && e.Room == r.id && !r.c.withholds(m) {
		r.noteEvent(e)
	}
}

func (r *Room) subscribeError(err error) error {
	return core.Errorf(core.KindUnavailable, "cannot subscribe to the room %s: %s", r.id, errorText(err))
}

// onSlowConsumer is called when the library begins to drop messages of a subscription.
func (r *Room) onSlowConsumer(sub *nats.Subscription) {
	dropped, err := sub.Dropped()
	r.do(func(l *roomLoop) {
		switch {
		case l.all == sub && err == nil:
			l.noteDropped(dropped)
		case l.events == sub:
			r.wake()
		}
	})
}

// waitPermitted waits until the node lets this user receive and publish in the room.
// The session that gains a room ends, and the next one has it.
func (w *reconciler) waitPermitted(ctx context.Context) error {
	for {
		changed := w.c.session.changes()
		session, err := w.c.session.wait(ctx)
		if err != nil {
			return err
		}
		permitted, err := w.probe(ctx)
		if err == nil && permitted {
			w.room.do(func(l *roomLoop) { l.session = session })
			return nil
		}
		t := time.NewTimer(probeAgain) // permissions are decided when a session begins
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return core.Errorf(core.KindUnavailable, "the node does not let %s into the room %s yet", w.c.me.Short(), w.room.id).
				WithNext("try again: it takes a moment after an invitation")
		}
		t.Stop()
	}
}

// probe finds out whether the session has the room: if not, the node refuses a
// subscription to an unused subject below it.
func (w *reconciler) probe(ctx context.Context) (bool, error) {
	sub, err := w.c.nc.SubscribeSync(auth.RoomSubject(w.room.id, "_probe"))
	if err != nil {
		return false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	ctx, cancel := context.WithTimeout(ctx, w.c.timing.flushTimeout)
	defer cancel()
	if err := w.c.nc.FlushWithContext(ctx); err != nil {
		return false, err
	}
	_, err = sub.NextMsg(time.Nanosecond)
	return !errors.Is(err, nats.ErrPermissionViolation) && !errors.Is(err, nats.ErrConnectionClosed), nil
}

// hasSession says that the session has the room.
func (r *Room) hasSession() bool {
	session, _ := r.c.session.now()
	return session > 0 && session == r.view.Load().session
}
