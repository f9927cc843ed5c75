package client

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// maxBatch is how many messages go to the room's goroutine together: one channel
// operation for each message would cost more than the message.
const maxBatch = 256

// batch is messages in the order of the library.
type batch struct {
	items   []readerItem
	dropped int // messages that the library has dropped, before these
}

// collector makes batches. The library calls it from one goroutine.
type collector struct {
	room     *Room
	now      batch
	expected int // messages of this batch that the library has and has not delivered yet
}

func (c *collector) onMessage(m *nats.Msg) {
	if c.expected <= 0 {
		c.begin(m.Sub)
	}
	if !c.room.c.withholds(m) {
		c.now.items = append(c.now.items, readerItem{msg: m})
	}
	if c.expected--; c.expected > 0 {
		return
	}
	select {
	case c.room.messages <- c.now:
	case <-c.room.ended:
	}
	c.now = batch{}
}

func (c *collector) begin(sub *nats.Subscription) {
	n, _, err := sub.Pending() // it counts the message that is being delivered
	if err != nil {
		n = 1
	}
	c.expected = min(max(n, 1), maxBatch)
	c.now.items = make([]readerItem, 0, c.expected)
	c.now.dropped, _ = sub.Dropped()
}

// receive gives the messages of a batch to the readers in order. It keeps runs of
// plain messages together.
func (l *roomLoop) receive(b batch) {
	if l.over != nil {
		return
	}
	l.noteDropped(b.dropped)
	var subject string // of the message before this one, which most have in common
	plain, begin := false, 0
	for i, item := range b.items {
		if !plain || item.msg.Subject != subject {
			subject = item.msg.Subject
			plain = l.isPlain(senderOf(item.msg))
		}
		if plain {
			continue
		}
		l.hand(part(b.items, begin, i))
		l.receiveOne(item.msg)
		begin = i + 1
	}
	l.hand(part(b.items, begin, len(b.items)))
}

// part is a part of a batch, which readers keep: a small one does not keep the rest.
func part(items []readerItem, begin, end int) []readerItem {
	out := items[begin:end]
	if 2*len(out) < len(items) {
		out = slices.Clone(out)
	}
	return out
}

// noteDropped counts messages for the readers that the library has dropped because
// this process as a whole was too slow. The count comes before the messages that wait now.
func (l *roomLoop) noteDropped(dropped int) {
	lost := dropped - l.dropped
	if lost <= 0 || l.over != nil {
		return
	}
	l.dropped = dropped
	for _, q := range l.readers {
		q.addLost(uint64(lost))
	}
	l.c.events.emit(SlowConsumer{l.room.id})
	l.room.wake() // a control event may be among them
}

// senderOf is the sender in the subject.
func senderOf(m *nats.Msg) core.UserID {
	return core.UserID(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
}

// isPlain says that a sender's messages go to the readers as they are: the room is
// plain, the sender is known as a member, and no message waits. Most are like that.
func (l *roomLoop) isPlain(sender core.UserID) bool {
	if l.reads == 0 || l.isEncrypted() || len(l.pending.list) > 0 {
		return false
	}
	s := l.members[sender]
	return sender == l.c.me || s != nil && !s.stale && s.member
}

// receiveOne takes a control event, a key request, or a message.
func (l *roomLoop) receiveOne(m *nats.Msg) {
	if m.Subject == control.EventSubject(l.room.id) {
		if e, err := control.ParseEvent(m); err == nil && e.Room == l.room.id {
			l.noteEvent(e)
		}
		return
	}
	sender := senderOf(m)
	if l.members[sender] == nil && sender != l.c.me { // parsing takes longer than all the rest
		var err error
		if sender, err = core.ParseUserID(string(sender)); err != nil { // only nodes that do not enforce let it through
			l.deliver(delivery{Message{Room: l.room.id}, newFault(core.KindRefused, ErrNotMember, "a message in the room %s names no sender", l.room.id), false})
			return
		}
	}
	if l.isEncrypted() && bytes.Equal(m.Data, keyRequestText()) {
		l.noteKeyRequest(sender, false, seal.Hash{})
		return
	}
	p := pendingMessage{sender: sender, data: m.Data, at: time.Now(), reads: l.reads}
	if l.pending.bySender[sender] > 0 || !l.process(p, false) { // behind its sender's pending ones
		l.addPending(p)
	}
}

func (l *roomLoop) isEncrypted() bool { return l.saved.isEncrypted() || l.info.Room.Encrypted }

// process delivers a message, or returns false if it must wait. again says that it has waited.
func (l *roomLoop) process(m pendingMessage, again bool) bool {
	d := delivery{msg: Message{Room: l.room.id, Sender: m.sender}}
	known, member := l.statusOf(m.sender)
	late := again && time.Since(m.at) > l.c.timing.holdFor
	switch {
	case !known && !late:
		return false
	case !known:
		d.err = core.Errorf(core.KindUnavailable, "cannot determine whether %s is a member of the room %s; their message was dropped", m.sender.Short(), l.room.id)
	case !member:
		d.err = newFault(core.KindRefused, ErrNotMember, "%s sent a message in the room %s and is not a member of it", m.sender.Short(), l.room.id).
			WithNext("the message was dropped; there is nothing to do")
	case l.isEncrypted():
		d.msg, d.err = l.open(m)
		if errors.Is(d.err, seal.ErrFutureEpoch) && !late && !l.readSince(m) {
			return false
		}
		if errors.Is(d.err, seal.ErrFork) { // its sender was shown another history: this is the signed proof
			l.suspect(m.sender, d.err.Error(), d.err)
		}
	default:
		d.msg.Data = m.data
	}
	if d.err == nil && l.sender != nil && m.sender != l.c.me { // an unreadable message does not count towards the next key, and Send has counted this process's own
		l.sender.messages.Add(1)
	}
	l.deliver(d)
	return true
}

// readSince says that the room was read after the message came, and its key is here.
func (l *roomLoop) readSince(m pendingMessage) bool {
	return l.sender != nil && l.reads > m.reads+1
}

// open decrypts a message. It refuses messages that an earlier process of this user has delivered.
func (l *roomLoop) open(m pendingMessage) (Message, error) {
	got, err := l.receiver.Open(m.sender, m.data)
	out := Message{Room: l.room.id, Sender: m.sender, Encrypted: true}
	if err != nil {
		return out, err
	}
	if l.mayBeRepeated(m.sender, got) {
		e := core.Errorf(core.KindRefused, "a message of %s in the room %s is no newer than one that an earlier process has read: it may be a repeat", m.sender.Short(), l.room.id).
			WithNext("if this continues, set the sender's clock")
		e.Err = seal.ErrTooOld
		return out, e
	}
	l.noteSigned(m.sender, got.Time)
	if got.Time > l.marks[m.sender] {
		l.marks[m.sender], l.came[m.sender], l.unsaved = got.Time, core.MillisOf(time.Now()), true
	}
	out.Data, out.Epoch, out.Time = got.Text, got.Epoch, got.Time
	out.First, out.Missing, out.Reordered = got.First, got.Missing, got.Reordered
	return out, nil
}

// mayBeRepeated says that an earlier process may have delivered a message. Of the one before
// this the marks are on disk, and if it crashed not those of its last moments: what its
// senders could have sent before this process began is refused then, by their own clocks as
// far as these are known.
func (l *roomLoop) mayBeRepeated(sender core.UserID, got seal.Message) bool {
	if l.saved.Head == nil || l.saved.Head.Epoch != got.Epoch {
		return false
	}
	mark, known := l.saved.Marks[sender]
	if l.crashed > 0 && l.crashedEpoch == got.Epoch {
		if !known {
			return got.Time <= l.crashed
		}
		if came := l.saved.Came[sender]; came > 0 { // came is later than the mark by the clocks' difference, and by the way
			now := mark + max(l.crashed-came, 0)
			mark = max(now, min(l.crashed, now+core.Millis(time.Minute.Milliseconds())))
		}
	}
	return known && got.Time <= mark
}
