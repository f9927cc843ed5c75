package client

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// Message is one that was said in a room, by a member of it. In an encrypted
// room it was signed by its sender and sealed in Epoch.
type Message struct {
	Room      core.RoomID
	Sender    core.UserID
	Data      []byte
	Encrypted bool
	Epoch     core.Epoch
	Time      core.Millis // as the sender's clock had it; 0 in a plain room

	// What is known of the sender's messages before this one; see seal.Message.
	First     bool
	Missing   uint64
	Reordered bool
}

// Delivery is a message, or what is wrong with one, for readers of a channel.
type Delivery struct {
	Message
	Err error
}

// delivery is what waits for a reader.
type delivery struct {
	msg  Message
	err  error
	last bool
}

// arrived is a message that waits until it is known what to make of it: for the
// keys of an epoch, or for word of its sender.
type arrived struct {
	sender core.UserID
	data   []byte
	at     time.Time
	reads  uint64 // of the room, when it came
}

// Bounds of what waits so.
const (
	maxHeld      = 16_384
	maxHeldBytes = 8 << 20
)

// Messages are the messages from this call on, until ctx ends. One that cannot
// be read comes as an error beside a Message that says whose it is said to be; the stream goes
// on. Its cause is a seal.Fault, or ErrNotMember. Where messages are missing
// because they were read too slowly there is a *SlowError in their place. A room
// that is closed, or whose member this user is not any more, ends the stream
// with an error (ErrClosed, ErrNotMember). Each call reads on its own.
func (r *Room) Messages(ctx context.Context) iter.Seq2[Message, error] {
	q := r.listen()
	forget := context.AfterFunc(ctx, func() { r.unlisten(q) }) // also where nobody reads
	return func(yield func(Message, error) bool) {
		defer r.unlisten(q)
		defer forget()
		for {
			d, lost, ok := q.next(ctx, r.c.life)
			switch {
			case !ok:
				return
			case lost > 0:
				d = delivery{msg: Message{Room: r.id}, err: &SlowError{r.id, lost}}
			}
			if !yield(d.msg, d.err) || d.last {
				return
			}
		}
	}
}

// Chan is Messages as a channel, which is closed at the end.
func (r *Room) Chan(ctx context.Context) <-chan Delivery {
	out, in := make(chan Delivery), r.Messages(ctx)
	go func() {
		defer close(out)
		for m, err := range in {
			select {
			case out <- Delivery{m, err}:
			case <-ctx.Done():
				return
			case <-r.c.life.Done():
				return
			}
		}
	}()
	return out
}

func (r *Room) listen() *queue[delivery] {
	q := newQueue[delivery](r.c.cfg.Pending, r.c.cfg.PendingBytes)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over != nil {
		q.end(delivery{err: r.over, last: true})
		return q
	}
	r.readers = append(slices.Clip(r.readers), q) // who goes through them keeps those of before
	return q
}

func (r *Room) unlisten(q *queue[delivery]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers = slices.DeleteFunc(slices.Clone(r.readers), func(o *queue[delivery]) bool { return o == q })
}

// deliver hands something to every reader. It never waits for one.
func (r *Room) deliver(d delivery) {
	r.mu.Lock()
	readers := r.readers
	r.mu.Unlock()
	for _, q := range readers {
		if q.push(d, len(d.msg.Data)) {
			r.c.feed.tell(SlowConsumer{r.id})
		}
	}
}

// read takes what comes from the node, until ctx ends.
func (r *Room) read(ctx context.Context, sub *nats.Subscription) {
	var dropped int
	for {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case err == nil:
			r.arrive(m)
		case errors.Is(err, nats.ErrSlowConsumer):
			dropped = r.overrun(sub, dropped)
		case errors.Is(err, nats.ErrPermissionViolation): // until the next session
			if !r.refused(ctx) {
				return
			}
		case ctx.Err() != nil, errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrBadSubscription):
			return
		default:
			r.c.log.Warn("a message of a room could not be taken", "room", r.id, "error", err)
			if !pause(ctx, firstWait) {
				return
			}
		}
	}
}

// overrun says that this process as a whole was too slow.
func (r *Room) overrun(sub *nats.Subscription, before int) int {
	now, err := sub.Dropped()
	if err != nil || now <= before {
		return before
	}
	r.mu.Lock()
	readers := r.readers
	r.mu.Unlock()
	for _, q := range readers {
		q.miss(uint64(now - before))
	}
	r.c.feed.tell(SlowConsumer{r.id})
	r.kick() // an event of the room may be among them
	return now
}

func (r *Room) refused(ctx context.Context) bool {
	r.mu.Lock()
	r.session = 0
	r.mu.Unlock()
	r.kick()
	rung := r.c.link.rung()
	t := time.NewTimer(mostWait)
	defer t.Stop()
	select {
	case <-rung:
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// arrive sorts what came: the service's hints, pleas for a key, messages.
func (r *Room) arrive(m *nats.Msg) {
	from := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	if from == "_control" {
		if e, err := control.ParseEvent(m); err == nil && e.Room == r.id {
			r.hint(e)
		}
		return
	}
	sender, reads, err := r.speaker(from)
	if err != nil { // only nodes that do not enforce let it through
		r.deliver(delivery{Message{Room: r.id}, fault(core.KindRefused, ErrNotMember, "a message in the room %s names no sender", r.id), false})
		return
	}
	if r.plea(sender, m.Data) {
		return
	}
	r.rx.Lock()
	defer r.rx.Unlock()
	a := arrived{sender: sender, data: m.Data, at: time.Now(), reads: reads}
	if !r.settle(a, false) {
		r.hold(a)
	}
}

// speaker is the user whom a subject names, and how often the room was read by
// now. Somebody who was met is not parsed again: that takes longer than all the rest.
func (r *Room) speaker(name string) (user core.UserID, reads uint64, err error) {
	user = core.UserID(name)
	r.mu.Lock()
	_, met := r.people[user]
	reads = r.reads
	r.mu.Unlock()
	if !met && user != r.c.me {
		user, err = core.ParseUserID(name)
	}
	return user, reads, err
}

// settle delivers a message, or says that it must wait. The caller holds rx. A
// message whose sender has others waiting waits behind them.
func (r *Room) settle(a arrived, again bool) bool {
	if !again && r.waits(a.sender) {
		return false
	}
	d := delivery{msg: Message{Room: r.id, Sender: a.sender}}
	known, member := r.standing(a.sender)
	late := again && time.Since(a.at) > r.c.pace.hold
	switch {
	case !known && !late:
		return false
	case !known:
		d.err = core.Errorf(core.KindUnavailable, "whether %s is a member of the room %s could not be read; their message is left out", a.sender.Short(), r.id)
	case !member:
		d.err = fault(core.KindRefused, ErrNotMember, "%s, who is no member of the room %s, speaks in it", a.sender.Short(), r.id).
			WithNext("their message is left out; nothing is to be done")
	case r.Encrypted():
		d.msg, d.err = r.unseal(a)
		if errors.Is(d.err, seal.ErrFutureEpoch) && !late && !r.readSince(a) {
			return false
		}
		if errors.Is(d.err, seal.ErrFork) { // its sender was shown another history: this is the signed proof
			r.c.suspect(r.id, d.err)
		}
	default:
		d.msg.Data = a.data
	}
	if d.err == nil { // rubbish makes no new key due
		r.counted(a.sender)
	}
	r.deliver(d)
	return true
}

// unseal opens a message. What another process of this user was given is not given out again.
func (r *Room) unseal(a arrived) (Message, error) {
	m, err := r.receiver.Open(a.sender, a.data)
	out := Message{Room: r.id, Sender: a.sender, Encrypted: true}
	if err != nil {
		return out, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if mark, ok := r.memory.Marks[a.sender]; ok && r.memory.Head != nil && r.memory.Head.Epoch == m.Epoch && m.Time <= mark+r.stale {
		e := core.Errorf(core.KindRefused, "a message of %s in the room %s claims a time that was read here before this process: it may be a repeat", a.sender.Short(), r.id).
			WithNext("if it goes on, set the sender's clock")
		e.Err = seal.ErrTooOld
		return out, e
	}
	if m.Time > r.marks[a.sender] {
		r.marks[a.sender], r.dirty = m.Time, true
	}
	out.Data, out.Epoch, out.Time = m.Text, m.Epoch, m.Time
	out.First, out.Missing, out.Reordered = m.First, m.Missing, m.Reordered
	return out, nil
}

// marksNow are the newest times by sender, of the process before this one too. The caller holds mu.
func (r *Room) marksNow() map[core.UserID]core.Millis {
	all := maps.Clone(r.memory.Marks)
	if all == nil {
		all = map[core.UserID]core.Millis{}
	}
	for u, t := range r.marks {
		all[u] = max(all[u], t)
	}
	return all
}

func (r *Room) counted(sender core.UserID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if sender != r.c.me { // what this process sends was counted when it was
		r.count++
	}
}

func (r *Room) waits(sender core.UserID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.held, func(a arrived) bool { return a.sender == sender })
}

// readSince says that the room was read after the message came, and its key is here.
func (r *Room) readSince(a arrived) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sender != nil && r.reads > a.reads+1
}

// hold keeps a message for later. Beyond the bounds the oldest is given out as it is.
func (r *Room) hold(a arrived) {
	r.mu.Lock()
	r.held = append(r.held, a)
	r.heldSize += len(a.data)
	var out []arrived
	for len(r.held) > maxHeld || r.heldSize > maxHeldBytes {
		out = append(out, r.held[0])
		r.heldSize -= len(r.held[0].data)
		r.held = r.held[1:]
	}
	r.mu.Unlock()
	for range out {
		r.deliver(delivery{err: &SlowError{r.id, 1}, msg: Message{Room: r.id}})
	}
	r.kick()
}

// release looks again at what waits, in the order in which it came. A sender of
// whom one has to wait on keeps all that came later waiting.
func (r *Room) release() (waiting int) {
	r.rx.Lock()
	defer r.rx.Unlock()
	r.mu.Lock()
	held := r.held
	r.held, r.heldSize = nil, 0
	r.mu.Unlock()
	var rest []arrived
	behind := map[core.UserID]bool{}
	for _, a := range held {
		if behind[a.sender] || !r.settle(a, true) {
			behind[a.sender] = true
			rest = append(rest, a)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range rest {
		r.heldSize += len(a.data)
	}
	r.held = append(rest, r.held...)
	return len(r.held)
}
