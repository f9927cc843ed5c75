package client

import (
	"context"
	"iter"
	"testing"

	"unibus/core"
	"unibus/core/nodetest"
)

// one reads one message and leaves the loop.
func one(from iter.Seq2[Message, error]) Delivery {
	for m, err := range from {
		return Delivery{m, err}
	}
	return Delivery{}
}

// TestLoopsOverMessages: a loop after one that was left gets the messages that
// waited, later messages, and the end.
func TestLoopsOverMessages(t *testing.T) {
	t.Parallel()
	_, _, room, bobs := newPlainPair(t)
	heard, beside := bobs.Messages(ctx(t)), bobs.Chan(ctx(t))
	say := func(text string) {
		t.Helper()
		ok(t, room.Send(ctx(t), []byte(text)))
		receiveText(t, beside, text)
	}
	got := make(chan Delivery, 10)
	came := func(what string, d Delivery) {
		t.Helper()
		if string(d.Data) != what || d.Err != nil {
			t.Errorf("read %q, %v, want %q", d.Data, d.Err, what)
		}
	}
	listening := func(n int) {
		t.Helper()
		nodetest.Wait(t, wait, func() error {
			readers := 0
			bobs.do(func(l *roomLoop) { readers = len(l.readers) })
			if readers != n {
				return core.Errorf(core.KindFailed, "%d are listening, not %d", readers, n)
			}
			return nil
		})
	}
	say("first")
	say("waits")
	came("first", one(heard))
	listening(1)
	say("nobody hears it")
	came("waits", one(heard))
	go func() {
		for m, err := range heard {
			if got <- (Delivery{m, err}); string(m.Data) != "again" {
				break
			}
			got <- one(heard) // a loop within a loop
		}
		got <- one(heard)
	}()
	listening(2)
	say("again")
	came("again", await(t, "again", got))
	say("within")
	came("within", await(t, "within", got))
	say("and on")
	came("and on", await(t, "and on", got))
	listening(2)
	ok(t, bobs.Close())
	want(t, "a room that is being closed", await(t, "the end of the room", got).Err, core.KindUnavailable, ErrClosed)
	want(t, "a room that is closed", one(heard).Err, core.KindUnavailable, ErrClosed)
}

// TestLoopsOverEvents: the same for events.
func TestLoopsOverEvents(t *testing.T) {
	t.Parallel()
	c := newTestUser(t, startNode(t), core.RoleMember).open()
	life, end := context.WithCancel(ctx(t))
	events, got := c.Events(life), make(chan Event)
	listening := func(n int) {
		t.Helper()
		nodetest.Wait(t, wait, func() error {
			c.events.mu.Lock()
			defer c.events.mu.Unlock()
			if len(c.events.readers) != n {
				return core.Errorf(core.KindFailed, "%d are listening, not %d", len(c.events.readers), n)
			}
			return nil
		})
	}
	for _, room := range []core.RoomID{"a", "b"} {
		go func() {
			for e := range events {
				got <- e
				break
			}
			got <- nil
		}()
		listening(1)
		c.events.emit(SlowConsumer{room})
		if e := await(t, "an event", got); e != (SlowConsumer{room}) {
			t.Errorf("%+v came, not what befell the room %s", e, room)
		}
		await(t, "the loop to end", got)
		listening(0)
	}
	end()
	for e := range events {
		t.Errorf("after its end: %+v", e)
	}
}
