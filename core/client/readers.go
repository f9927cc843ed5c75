package client

import (
	"context"
	"iter"
	"slices"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// Message is a message of a member of a room. In an encrypted room it was signed
// by its sender and sealed in Epoch.
type Message struct {
	Room      core.RoomID
	Sender    core.UserID
	Data      []byte
	Encrypted bool
	Epoch     core.Epoch
	Time      core.Millis // of the sender's clock; 0 in a plain room

	// The sender's messages before this one; see seal.Message.
	First     bool
	Missing   uint64
	Reordered bool
}

// Delivery is a message, or the error in its place, for readers of a channel.
type Delivery struct {
	Message
	Err error
}

// delivery is a processed message.
type delivery struct {
	msg  Message
	err  error
	last bool
}

// readerItem waits for a reader: a message of a plain room, as it came, or a
// delivery. It is small, because many readers share it.
type readerItem struct {
	msg  *nats.Msg
	made *delivery
}

func (i readerItem) size() int {
	if i.made != nil {
		return len(i.made.msg.Data)
	}
	return len(i.msg.Data)
}

func (i readerItem) delivery(room core.RoomID) delivery {
	if i.made != nil {
		return *i.made
	}
	return delivery{msg: Message{Room: room, Sender: senderOf(i.msg), Data: i.msg.Data}}
}

// Messages are the messages from this call on, until ctx ends. One that cannot
// be read comes as an error beside a Message that names its supposed sender; the stream
// continues. Its cause is a seal.Fault, or ErrNotMember. A *SlowError takes the place of
// messages that were dropped because the reader is too slow. A room
// that is closed, or that this user has left, ends the stream with an error
// (ErrClosed, ErrNotMember). Each call reads on its own. The first one waits until
// this user's node has confirmed it, if there is a session; messages published at
// another node in that moment may be missed, as on any NATS subscription.
//
// A loop that is left stops listening, so that nothing piles up unread. Another
// loop over the same messages begins with those that waited then, and continues
// with those that come after it began; those in between are left out.
func (r *Room) Messages(ctx context.Context) iter.Seq2[Message, error] {
	q := newQueue(r.c.cfg.Pending, r.c.cfg.PendingBytes, readerItem.size)
	r.addReader(ctx, q)
	forget := context.AfterFunc(ctx, func() { r.removeReader(q) }) // also without a loop
	loops := loops{begin: func() { r.addReader(ctx, q) }, end: func() { r.removeReader(q) }}
	return func(yield func(Message, error) bool) {
		defer loops.enter()()
		defer forget()
		for {
			item, lost, ok := q.next(ctx, r.c.life)
			if !ok {
				return
			}
			d := delivery{msg: Message{Room: r.id}, err: &SlowError{r.id, lost}}
			if lost == 0 {
				d = item.delivery(r.id)
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

// addReader puts messages into q from now on. If that fails, it puts the error there.
func (r *Room) addReader(ctx context.Context, q *queue[readerItem]) {
	r.do(func(l *roomLoop) {
		if l.over == nil {
			l.readers = append(l.readers, q)
		}
	})
	if err := r.subscribeMessages(ctx); err != nil {
		q.pushLast(readerItem{made: &delivery{err: err, last: true}}) // the reader stops at the first error of these
	}
}

func (r *Room) removeReader(q *queue[readerItem]) {
	r.do(func(l *roomLoop) {
		l.readers = slices.DeleteFunc(l.readers, func(o *queue[readerItem]) bool { return o == q })
	})
}

// deliver gives a delivery to every reader. It never waits for one.
func (l *roomLoop) deliver(d delivery) { l.hand([]readerItem{{made: &d}}) }

// hand gives items to every reader. The readers keep them.
func (l *roomLoop) hand(items []readerItem) {
	if len(items) == 0 {
		return
	}
	for _, q := range l.readers {
		if q.push(items...) {
			l.c.events.emit(SlowConsumer{l.room.id})
		}
	}
}
