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

// delivery is what is made of a message.
type delivery struct {
	msg  Message
	err  error
	last bool
}

// heard is what waits for a reader: a message of a plain room, as it came, or
// what was made of one. It is small, as it is written once for each of many.
type heard struct {
	msg  *nats.Msg
	made *delivery
}

func (h heard) size() int {
	if h.made != nil {
		return len(h.made.msg.Data)
	}
	return len(h.msg.Data)
}

func (h heard) delivery(room core.RoomID) delivery {
	if h.made != nil {
		return *h.made
	}
	return delivery{msg: Message{Room: room, Sender: core.UserID(speakerOf(h.msg)), Data: h.msg.Data}}
}

// Messages are the messages from this call on, until ctx ends. One that cannot
// be read comes as an error beside a Message that says whose it is said to be; the stream goes
// on. Its cause is a seal.Fault, or ErrNotMember. Where messages are missing
// because they were read too slowly there is a *SlowError in their place. A room
// that is closed, or whose member this user is not any more, ends the stream
// with an error (ErrClosed, ErrNotMember). Each call reads on its own. The first
// one waits until this user's node knows of it, where there is a session; what is
// said at another node in that moment may be missed, as on any NATS subscription.
//
// A loop that is left stops listening, so that nothing piles up for nobody.
// Another one over the same messages goes on with what waited then, and after
// it with what comes from when it begins; what was said in between is left out.
func (r *Room) Messages(ctx context.Context) iter.Seq2[Message, error] {
	q := newQueue(r.c.cfg.Pending, r.c.cfg.PendingBytes, heard.size)
	r.listen(ctx, q)
	forget := context.AfterFunc(ctx, func() { r.unlisten(q) }) // also where nobody reads
	loops := loops{begin: func() { r.listen(ctx, q) }, end: func() { r.unlisten(q) }}
	return func(yield func(Message, error) bool) {
		defer loops.enter()()
		defer forget()
		for {
			h, lost, ok := q.next(ctx, r.c.life)
			if !ok {
				return
			}
			d := delivery{msg: Message{Room: r.id}, err: &SlowError{r.id, lost}}
			if lost == 0 {
				d = h.delivery(r.id)
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

// listen has what is said put into q from now on; where that cannot be done, its end.
func (r *Room) listen(ctx context.Context, q *queue[heard]) {
	r.mu.Lock()
	err := r.over
	if err == nil {
		r.readers = append(slices.Clip(r.readers), q) // who goes through them keeps those of before
	}
	r.mu.Unlock()
	if err == nil {
		err = r.hear(ctx)
	}
	if err != nil {
		q.end(heard{made: &delivery{err: err, last: true}}) // the first end counts
	}
}

func (r *Room) unlisten(q *queue[heard]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers = slices.DeleteFunc(slices.Clone(r.readers), func(o *queue[heard]) bool { return o == q })
}

// deliver hands something to every reader. It never waits for one.
func (r *Room) deliver(d delivery) {
	r.mu.Lock()
	readers := r.readers
	r.mu.Unlock()
	r.hand(readers, heard{made: &d})
}

func (r *Room) hand(readers []*queue[heard], h ...heard) {
	for _, q := range readers {
		if q.push(h...) {
			r.c.events.emit(SlowConsumer{r.id})
		}
	}
}

// slowed is told that the library drops messages of a subscription.
func (r *Room) slowed(sub *nats.Subscription) {
	r.mu.Lock()
	messages, events := r.sub == sub, r.events == sub
	r.mu.Unlock()
	switch {
	case messages:
		r.overran.Store(true)
		r.overrun(sub)
	case events:
		r.kick()
	}
}

// overrun says that this process as a whole was too slow: the library has
// dropped messages. They are told of before what was waiting then.
func (r *Room) overrun(sub *nats.Subscription) {
	r.mu.Lock()
	now, err := sub.Dropped()
	lost, readers := now-r.dropped, r.readers
	if err != nil || lost <= 0 {
		r.mu.Unlock()
		return
	}
	r.dropped = now
	r.mu.Unlock()
	for _, q := range readers {
		q.miss(uint64(lost))
	}
	r.c.events.emit(SlowConsumer{r.id})
	r.kick() // an event of the room may be among them
}

// recount looks for more that was dropped, until nothing waits any more: the
// library says only when it begins.
func (r *Room) recount(sub *nats.Subscription) {
	r.flush()
	r.overrun(sub)
	if n, _, err := sub.Pending(); err != nil || n <= 1 { // it counts the message that is being taken
		r.overran.Store(false)
	}
}

// arrive sorts what came: the service's hints, pleas for a key, messages.
func (r *Room) arrive(m *nats.Msg) {
	if r.overran.Load() {
		r.recount(m.Sub)
	}
	if r.coming == 0 {
		if n, _, err := m.Sub.Pending(); err == nil { // it counts this one
			r.coming = min(n, mostTogether)
		}
	}
	from := speakerOf(m)
	plain := r.plainly(m, core.UserID(from))
	if r.coming--; r.coming <= 0 || !plain {
		r.coming = 0
		r.flush()
	}
	if plain {
		return
	}
	if m.Subject == control.EventSubject(r.id) {
		r.told(m)
		return
	}
	sender, reads, err := r.speaker(from)
	if err != nil { // only nodes that do not enforce let it through
		r.deliver(delivery{Message{Room: r.id}, newFault(core.KindRefused, ErrNotMember, "a message in the room %s names no sender", r.id), false})
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

// told takes what the service says.
func (r *Room) told(m *nats.Msg) {
	if e, err := control.ParseEvent(m); err == nil && e.Room == r.id {
		r.hint(e)
	}
}

// speakerOf is who speaks, as the subject has it.
func speakerOf(m *nats.Msg) string { return m.Subject[strings.LastIndexByte(m.Subject, '.')+1:] }

// plainly delivers a message about which nothing is to be found out: of a plain
// room, by a member who is known, while none waits. That is what most are, and
// many are shorter than what their way costs: those that are there already go
// on together.
func (r *Room) plainly(m *nats.Msg, sender core.UserID) bool {
	r.mu.Lock()
	s := r.people[sender]
	plain := r.reads > 0 && !r.memory.Encrypted && !r.info.Room.Encrypted && len(r.held) == 0 && !r.releasing
	r.mu.Unlock()
	if !plain || sender != r.c.me && (s == nil || s.stale || !s.member) {
		return false
	}
	if r.run == nil {
		r.run = make([]heard, 0, max(r.coming, 1))
	}
	r.run = append(r.run, heard{msg: m})
	return true
}

// mostTogether is how many messages go on together.
const mostTogether = 256

// flush gives out what came together.
func (r *Room) flush() {
	if len(r.run) == 0 {
		return
	}
	r.mu.Lock()
	readers := r.readers
	r.mu.Unlock()
	run := r.run
	r.run = nil // it is the readers' now
	if cap(run) > 2*len(run) {
		run = slices.Clone(run)
	}
	r.hand(readers, run...)
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
	late := again && time.Since(a.at) > r.c.timing.holdFor
	switch {
	case !known && !late:
		return false
	case !known:
		d.err = core.Errorf(core.KindUnavailable, "whether %s is a member of the room %s could not be read; their message is left out", a.sender.Short(), r.id)
	case !member:
		d.err = newFault(core.KindRefused, ErrNotMember, "%s, who is no member of the room %s, speaks in it", a.sender.Short(), r.id).
			WithNext("their message is left out; nothing is to be done")
	case r.Encrypted():
		d.msg, d.err = r.unseal(a)
		if errors.Is(d.err, seal.ErrFutureEpoch) && !late && !r.readSince(a) {
			return false
		}
		if errors.Is(d.err, seal.ErrFork) { // its sender was shown another history: this is the signed proof
			r.c.reportSuspicion(r.id, d.err)
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
