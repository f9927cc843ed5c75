package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestSlowReader: messages that a reader is too slow for are counted in their place.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	files := newTestUser(t, n, core.RoleMember)
	files.cfg.Pending = 10
	ann := files.open()
	events := eventsOf(t, ann)
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{}))
	life, end := context.WithCancel(t.Context())
	defer end()
	slow := room.Messages(life)
	for i := range 30 {
		inLoop(t, room, func(l *roomLoop) { l.deliver(delivery{msg: Message{Data: []byte(strconv.Itoa(i))}}) })
	}
	awaitEvent(t, events, func(e SlowConsumer) bool { return e.Room == room.ID() })
	var got []string
	for m, err := range slow {
		var s *SlowError
		switch {
		case errors.As(err, &s):
			if want(t, "a slow reader", err, core.KindUnavailable, ErrSlow); s.Room != room.ID() {
				t.Errorf("of the room %s", s.Room)
			}
			got = append(got, "-"+strconv.FormatUint(s.Dropped, 10))
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, string(m.Data))
		}
		switch len(got) {
		case 5: // the queue has space again, and the next message comes behind the gap
			inLoop(t, room, func(l *roomLoop) { l.deliver(delivery{msg: Message{Data: []byte("later")}}) })
		case 12:
			end()
		}
	}
	if all := strings.Join(got, " "); all != "0 1 2 3 4 5 6 7 8 9 -20 later" {
		t.Errorf("read %s", all)
	}
}

// TestSlowProcess: messages that the process as a whole is too slow for are counted too.
func TestSlowProcess(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	files := newTestUser(t, n, core.RoleMember)
	files.cfg.Pending = 10
	ann := files.open()
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{}))
	heard := room.Chan(t.Context())
	nodetest.Wait(t, wait, func() error { // before the session has the room nothing is dropped
		if !room.hasSession() {
			return core.Errorf(core.KindUnavailable, "the session does not have the room yet")
		}
		return nil
	})
	var sub *nats.Subscription
	begun, end := make(chan struct{}), make(chan struct{})
	inLoop(t, room, func(l *roomLoop) { sub = l.all })
	read := sync.OnceFunc(func() { close(end) })
	t.Cleanup(read) // before the client closes, which waits for the room
	go room.do(func(*roomLoop) {
		close(begun)
		<-end
	})
	await(t, "the room's goroutine to be held", begun) // nothing is read now
	for range 50 {
		ok(t, room.Send(ctx(t), []byte("x")))
	}
	ok(t, ann.Flush(ctx(t)))
	nodetest.Wait(t, wait, func() error {
		if lost, err := sub.Dropped(); err != nil || lost < 30 {
			return core.Errorf(core.KindFailed, "%d lost, %v", lost, err)
		}
		return nil
	})
	read()
	came, missed := 0, uint64(0)
	for came+int(missed) < 50 {
		select {
		case d := <-heard:
			var s *SlowError
			if errors.As(d.Err, &s) {
				missed += s.Dropped
			} else if d.Err == nil {
				came++
			}
		case <-time.After(wait):
			t.Fatalf("%d came, %d were counted as missing", came, missed)
		}
	}
	if came < 5 || missed < 30 {
		t.Errorf("%d came, %d were counted as missing", came, missed)
	}
}

// newPlainPair is ann and bob in ann's plain room.
func newPlainPair(t *testing.T) (ann, bob *Client, room, bobs *Room) {
	t.Helper()
	n := startNode(t)
	ann, bob = newTestUser(t, n, core.RoleMember).open(), newTestUser(t, n, core.RoleMember).open()
	room = must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{}))
	join(t, room, bob)
	bobs = must[*Room](t)(bob.Room(ctx(t), room.ID()))
	return ann, bob, room, bobs
}

// TestPartOfALot: a queue keeps the values of a push that fit, and does not keep the others in memory.
func TestPartOfALot(t *testing.T) {
	t.Parallel()
	q := newQueue(5, 100, func(b []byte) int { return len(b) })
	lot := make([][]byte, 0, 256)
	for range 256 {
		lot = append(lot, make([]byte, 30))
	}
	if !q.push(lot...) || q.count != 3 || q.queuedBytes != 90 || q.lost != 253 || cap(q.chunks[0].values) > 3 {
		t.Errorf("%d values of %d bytes and room for %d are kept, %d lost", q.count, q.queuedBytes, cap(q.chunks[0].values), q.lost)
	}
	for range 3 {
		if v, lost, ok := q.pop(); !ok || lost > 0 || len(v) != 30 {
			t.Errorf("%d bytes, %d lost, %v", len(v), lost, ok)
		}
	}
	if q.taken != nil || q.count != 0 || q.queuedBytes != 0 {
		t.Errorf("%d values of %d bytes are kept, and %d taken ones", q.count, q.queuedBytes, len(q.taken))
	}
	if q.push(make([]byte, 101)) {
		t.Error("one that is larger than the bound does not come through alone")
	}
	if _, lost, ok := q.pop(); !ok || lost != 253 {
		t.Errorf("%d were counted as lost", lost)
	}
}

// TestOrder: messages of a plain room come in order, whether they come in a batch,
// wait for their sender's status, or come while others wait.
func TestOrder(t *testing.T) {
	t.Parallel()
	ann, _, room, bobs := newPlainPair(t)
	heard := bobs.Chan(t.Context())
	const all, pause = maxPending / 2, 397 // all of them may wait at once
	go func() {
		for i := range all {
			if i%pause == 0 { // ann's status has to be read again
				bobs.noteEvent(control.Event{Kind: control.EventMember, Room: room.ID(), User: ann.User()})
			}
			if err := room.Send(t.Context(), []byte(strconv.Itoa(i))); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i := range all {
		receiveText(t, heard, strconv.Itoa(i))
	}
}

// TestTogether: the messages of a batch before one that has to wait are delivered at
// once, later ones stay behind it, and dropped messages are counted in their place.
func TestTogether(t *testing.T) {
	t.Parallel()
	ann, _, room, bobs := newPlainPair(t)
	heard := bobs.Chan(t.Context())
	ok(t, room.Send(ctx(t), []byte("known")))
	receiveText(t, heard, "known") // bob knows ann, and nothing more comes: the test acts as the library
	var sub *nats.Subscription
	inLoop(t, bobs, func(l *roomLoop) { sub = l.all })
	library := &collector{room: bobs}
	deliver := func(subject, text string) {
		library.onMessage(&nats.Msg{Subject: subject, Data: []byte(text), Sub: sub})
	}
	say := func(text string) { deliver(room.subject, text) }
	resume := stall(t, bobs) // ann's status cannot be read
	defer resume()
	say("known still")
	receiveText(t, heard, "known still")
	library.now.items, library.expected = nil, 3
	say("first")
	deliver(control.EventSubject(room.ID()), string(must[[]byte](t)(json.Marshal(control.Event{V: 1, Kind: control.EventMember, Room: room.ID(), User: ann.User()}))))
	say("second")
	receiveText(t, heard, "first") // although later ones wait
	say("third")
	pending := 0
	inLoop(t, bobs, func(l *roomLoop) { pending = len(l.pending.list) })
	if pending != 2 || len(heard) > 0 {
		t.Errorf("%d messages wait for their sender's status, want two", pending)
	}
	resume()
	receiveText(t, heard, "second")
	receiveText(t, heard, "third")

	inLoop(t, bobs, func(l *roomLoop) { l.dropped = -7 }) // as if seven more were dropped
	say("fourth")
	var lost *SlowError
	if d := await(t, "the number of lost messages", heard); !errors.As(d.Err, &lost) || lost.Dropped != 7 {
		t.Errorf("%v, want seven lost", d.Err)
	}
	receiveText(t, heard, "fourth")
}

// TestEncryptedRoomsAreHeard: a client without readers counts the messages of an encrypted room too.
func TestEncryptedRoomsAreHeard(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for range 5 {
		ok(t, p.room.Send(ctx(t), []byte("x")))
	}
	nodetest.Wait(t, wait, func() error {
		if n := p.bobs.view.Load().sender.messages.Load(); n != 5 {
			return core.Errorf(core.KindFailed, "%d messages count", n)
		}
		return nil
	})
}

// TestWhoOnlySpeaks: a client of a plain room receives messages only once it has a
// reader, and control events always.
func TestWhoOnlySpeaks(t *testing.T) {
	t.Parallel()
	ann, bob, room, bobs := newPlainPair(t)
	const all = 500
	say := func() {
		for i := range all {
			ok(t, bobs.Send(ctx(t), []byte(strconv.Itoa(i))))
		}
		ok(t, bob.Flush(ctx(t)))
		ok(t, ann.Flush(ctx(t))) // her messages come before the answer to the flush
	}
	before := ann.nc.Stats().InMsgs
	say()
	if came := ann.nc.Stats().InMsgs - before; came >= all {
		t.Errorf("%d messages came without a reader", came)
	}
	heard := room.Chan(t.Context())
	say()
	for i := range all {
		receiveText(t, heard, strconv.Itoa(i))
	}
	events := eventsOf(t, ann)
	ok(t, bobs.Leave(ctx(t)))
	awaitEvent(t, events, func(e MemberChanged) bool { return e.User == bob.User() })
}

// TestBadInput: each input has its kind of error and no effect.
func TestBadInput(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	ann := newTestUser(t, n, core.RoleMember).open()
	for _, id := range []core.RoomID{"a.b", "*", ">", "a b", "_x", core.RoomID(strings.Repeat("x", 65)), "größe"} {
		_, err := ann.CreateRoom(ctx(t), NewRoom{ID: id})
		want(t, "a room "+string(id), err, core.KindInvalid, nil)
		_, err = ann.Room(ctx(t), id)
		want(t, "opening a room "+string(id), err, core.KindInvalid, nil)
	}
	_, err := ann.CreateRoom(ctx(t), NewRoom{Name: strings.Repeat("n", core.MaxName+1)})
	want(t, "a long name", err, core.KindInvalid, nil)
	_, err = ann.Room(ctx(t), "elsewhere")
	want(t, "another's room", err, core.KindRefused, nil)
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{ID: "plans", Name: "Größe 🚌", Encrypted: true}))
	_, err = ann.CreateRoom(ctx(t), NewRoom{ID: "plans"})
	want(t, "a second of that id", err, core.KindExists, nil)
	if same := must[*Room](t)(ann.Room(ctx(t), "plans")); same != room {
		t.Error("a room that is open is opened twice")
	}
	heard := room.Chan(t.Context())
	want(t, "a message one byte too long", room.Send(ctx(t), make([]byte, room.MaxMessage()+1)), core.KindInvalid, ErrTooLarge)
	ok(t, room.Send(ctx(t), bytes.Repeat([]byte{'y'}, room.MaxMessage())))
	receiveText(t, heard, strings.Repeat("y", room.MaxMessage()))
	want(t, "an invitation of an invalid id", room.Invite(ctx(t), "nobody", ""), core.KindInvalid, nil)
	want(t, "an invitation of a stranger", room.Invite(ctx(t), core.UserID(nodetest.Identity(t).Public()), ""), core.KindNotFound, nil)
	want(t, "an invitation as owner", room.Invite(ctx(t), ann.User(), core.MemberOwner), core.KindInvalid, nil)
	want(t, "leaving one's own room", room.Leave(ctx(t)), core.KindRefused, nil)
	gone, cancel := context.WithCancel(ctx(t))
	cancel()
	want(t, "sending with a context that is over", room.Send(gone, []byte("x")), core.KindUnavailable, nil)
	_, err = ann.Rooms(gone)
	want(t, "asking with a context that is over", err, core.KindUnavailable, nil)
	ok(t, room.Rename(ctx(t), "other"))
	ok(t, room.Archive(ctx(t)))
	ok(t, room.Archive(ctx(t)))
	want(t, "sending in an archived room", room.Send(ctx(t), []byte("x")), core.KindRefused, ErrArchived)
	unopened := New(Config{})
	want(t, "a client that is not open", second(unopened.Rooms(ctx(t))), core.KindInvalid, nil)
	want(t, "a profile by one", second(unopened.Profile(ctx(t), ann.User())), core.KindInvalid, nil)
	want(t, "a flush by one", unopened.Flush(ctx(t)), core.KindInvalid, nil)
	if unopened.User() != "" || unopened.Connected() != "" {
		t.Error("a client that is not open has a user or a node")
	}
	ok(t, unopened.Close())
	for what, c := range map[string]Config{
		"nothing": {}, "no seed": {Servers: []string{"nats://127.0.0.1:1"}}, "no URL": {Servers: []string{"127.0.0.1:1"}, Seed: "x"},
	} {
		want(t, what, New(c).Open(ctx(t)), core.KindInvalid, nil)
	}
	none := New(Config{Servers: []string{"nats://127.0.0.1:1"}, Seed: newTestUser(t, n, core.RoleMember).seed, Dir: t.TempDir(), Connect: time.Second})
	want(t, "no node", none.Open(ctx(t)), core.KindUnavailable, nil)
}

// TestMessagesThatAreRefused: each is an error beside its supposed sender, and the stream continues.
func TestMessagesThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	heard := p.bobs.Chan(t.Context())
	k := p.room.key(t)
	sender := must[*seal.Sender](t)(seal.NewSender(seal.SenderConfig{Key: k, By: p.ann.id}))
	_, future := p.stranger(t, k)
	ahead := must[*seal.Sender](t)(seal.NewSender(seal.SenderConfig{Key: future.Key, By: p.ann.id}))
	now := core.MillisOf(time.Now())
	good := must[[]byte](t)(sender.Seal([]byte("good"), now))
	bad := bytes.Clone(good)
	bad[80] ^= 1
	hour := core.Millis(time.Hour.Milliseconds())
	for _, m := range []struct {
		what string
		data []byte
		want error
	}{
		{"text without encryption", []byte("plain"), seal.ErrFormat},
		{"an altered one", bad, seal.ErrSignature},
		{"a good one", good, nil},
		{"the same again", good, seal.ErrReplay},
		{"one of an epoch that nobody knows", must[[]byte](t)(ahead.Seal([]byte("x"), now)), seal.ErrFutureEpoch},
		{"one from an hour ago by its sender's clock", must[[]byte](t)(sender.Seal([]byte("slow clock"), now-hour)), nil},
		{"one from an hour ahead", must[[]byte](t)(sender.Seal([]byte("fast clock"), now+hour)), nil},
	} {
		ok(t, p.ann.nc.Publish(p.room.subject, m.data))
		select {
		case d := <-heard:
			if !errors.Is(d.Err, m.want) || m.want == nil && d.Err != nil || d.Sender != p.ann.User() || d.Room != p.room.ID() {
				t.Errorf("%s: %v of %s, want %v", m.what, d.Err, d.Sender.Short(), m.want)
			}
		case <-time.After(wait):
			t.Fatalf("%s: nothing came", m.what)
		}
	}
	if n := p.bobs.view.Load().sender.messages.Load(); n != 3 {
		t.Errorf("%d messages count towards the next key, want the three that could be read", n)
	}
}

// TestOutsidersAreRefused: a sender who is no member by the control service is refused, although the node let the message through.
func TestOutsidersAreRefused(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	l := &lyingAPI{}
	ann, bob := newTestUser(t, n, core.RoleMember).open(), newTestUser(t, n, core.RoleMember).open(between(l))
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{}))
	join(t, room, bob)
	bobs := must[*Room](t)(bob.Room(ctx(t), room.ID()))
	heard := bobs.Chan(t.Context())
	l.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member {
			all[0].Status = core.UserRevoked
			return all
		}
	})
	ok(t, room.Send(ctx(t), []byte("x")))
	d := receiveError(t, heard)
	want(t, "a non-member", d.Err, core.KindRefused, ErrNotMember)
	if d.Sender != ann.User() || d.Data != nil {
		t.Errorf("it is %+v", d.Message)
	}
	l.lie(func(l *lyingAPI) { l.members = nil })
	bobs.noteEvent(control.Event{Kind: control.EventMember, Room: room.ID(), User: ann.User()})
	ok(t, room.Send(ctx(t), []byte("a member again")))
	receiveText(t, heard, "a member again")
}

// restartBob closes bob, does what happens meanwhile, and opens his files again as another process would.
func (p *pair) restartBob(t *testing.T, meanwhile func()) {
	t.Helper()
	ok(t, p.bob.Close())
	meanwhile()
	p.bob = p.bobFiles.open(between(p.liar))
}

// receiveRaw sends a text, waits until bob has heard it, and returns the message as it was sent.
func (p *pair) receiveRaw(t *testing.T, text string) []byte {
	t.Helper()
	sub := must[*nats.Subscription](t)(p.ann.nc.SubscribeSync(p.room.subject))
	heard := p.bobs.Chan(t.Context())
	ok(t, p.room.Send(ctx(t), []byte(text)))
	receiveText(t, heard, text)
	return must[*nats.Msg](t)(sub.NextMsg(wait)).Data
}

// TestRestartAfterARekey: a key was made while bob was away. He reads nothing of the epoch before, and the next message.
func TestRestartAfterARekey(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	raw := p.receiveRaw(t, "first")
	p.restartBob(t, func() { ok(t, p.room.Rekey(ctx(t))) })
	p.bobs = must[*Room](t)(p.bob.Room(ctx(t), p.room.ID()))
	p.at(t, 3)
	heard := p.bobs.Chan(t.Context())
	ok(t, p.ann.nc.Publish(p.room.subject, raw))
	want(t, "a message of an epoch before the start", receiveError(t, heard).Err, core.KindRefused, seal.ErrOldEpoch)
	ok(t, p.room.Send(ctx(t), []byte("second")))
	receiveText(t, heard, "second")
}

// TestRestartKnowsRepeats: a message that the process before was given is a repeat, and the next
// message is none.
func TestRestartKnowsRepeats(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	raw := p.receiveRaw(t, "first")
	p.restartBob(t, func() {})
	p.bobs = must[*Room](t)(p.bob.Room(ctx(t), p.room.ID()))
	heard := p.bobs.Chan(t.Context())
	ok(t, p.ann.nc.Publish(p.room.subject, raw))
	want(t, "a repeat of what another process was given", receiveError(t, heard).Err, core.KindRefused, seal.ErrTooOld)
	ok(t, p.room.Send(ctx(t), []byte("second")))
	receiveText(t, heard, "second")
}

// TestRestartRefusesAnOlderEpoch: the node shows the epoch before the one that bob knew.
func TestRestartRefusesAnOlderEpoch(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.restartBob(t, func() {
		p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Room.Epoch = 1 } })
	})
	want(t, "an older epoch than before the start", second(p.bob.Room(ctx(t), p.room.ID())), core.KindRefused, seal.ErrRollback)
}

// TestRestartRefusesAPlainRoom: the node shows a room as plain that bob knew as encrypted.
func TestRestartRefusesAPlainRoom(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.restartBob(t, func() {
		p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Room.Encrypted = false } })
	})
	want(t, "a room that was encrypted", second(p.bob.Room(ctx(t), p.room.ID())), core.KindRefused, seal.ErrRollback)
}

// TestNoGoroutineIsLeft after a client was closed with readers and rooms.
func TestNoGoroutineIsLeft(t *testing.T) {
	p := newPair(t)
	heard := p.bobs.Chan(t.Context())
	ok(t, p.room.Send(ctx(t), []byte("x")))
	receiveText(t, heard, "x")
	ok(t, p.ann.Close())
	ok(t, p.bob.Close())
	nodetest.Wait(t, wait, func() error {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		for _, g := range strings.Split(string(buf), "\n\n") {
			if strings.Contains(g, "core/client.") && !strings.Contains(g, "testing.tRunner") {
				return core.Errorf(core.KindFailed, "this runs on: %s", g)
			}
		}
		return nil
	})
}
