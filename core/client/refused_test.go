package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestRevokedUser: who is revoked is told soon that the nodes refuse them, by
// whatever they try; once they are active again everything goes on by itself.
func TestRevokedUser(t *testing.T) {
	t.Parallel()
	p := twoInARoom(t, func(bob *Client) { bob.timing.refusedFor = 200 * time.Millisecond })
	chief := newPerson(t, p.cluster, core.RoleAdmin).open()
	told := eventsOf(t, p.bob)
	if _, err := chief.Revoke(ctx(t), p.bob.User()); err != nil {
		t.Fatal(err)
	}
	await(t, told, func(Disconnected) bool { return true })
	begin := time.Now()
	want(t, "sending", p.bobs.Send(ctx(t), []byte("x")), core.KindRefused, ErrRefused)
	want(t, "asking", second(p.bob.Rooms(ctx(t))), core.KindRefused, ErrRefused)
	want(t, "inviting", p.bobs.Invite(ctx(t), chief.User(), ""), core.KindRefused, ErrRefused)
	if took := time.Since(begin); took > wait/2 {
		t.Errorf("it was said after %s", took)
	}
	want(t, "the room", p.bobs.Err(), core.KindRefused, ErrRefused)
	want(t, "the event", await(t, told, func(Refused) bool { return true }).Err, core.KindRefused, ErrRefused)
	want(t, "opening anew", newWith(p.bobFiles, t.TempDir()).Open(ctx(t)), core.KindRefused, ErrRefused)

	isAt(t, p.room, 3) // ann has made a key without bob
	if _, err := chief.Activate(ctx(t), p.bob.User()); err != nil {
		t.Fatal(err)
	}
	await(t, told, func(Connected) bool { return true })
	heard := p.room.Chan(t.Context())
	ok(t, p.bobs.Send(ctx(t), []byte("back")))
	hear(t, heard, "back")
	ok(t, p.bobs.Err())
}

// TestRefusalsThatGoOn: only those count, without a session, and from nodes that are there.
func TestRefusalsThatGoOn(t *testing.T) {
	t.Parallel()
	l, begin, why := newSessionTracker(), time.Now(), errors.New("refused")
	at := func(seconds float64, want bool) {
		t.Helper()
		if got := l.noteRefusal(begin.Add(time.Duration(seconds*float64(time.Second))), 7*time.Second, why); got != want {
			t.Errorf("after %.1f s: %v", seconds, got)
		}
	}
	at(0, false)
	at(6, false)
	at(20, false) // after a silence it begins anew
	at(26, false)
	at(27, true)
	at(28, false) // it is said once
	if _, err := l.wait(t.Context()); !errors.Is(err, why) {
		t.Errorf("who waits is told: %v", err)
	}
	l.set(true)
	at(29, false)
	l.set(false)
	at(30, false)
	if l.refusal() != nil {
		t.Error("an old refusal counts in a new session")
	}
}

// newWith is another client of the same user, with another directory.
func newWith(p person, dir string) *Client {
	cfg := p.cfg
	cfg.Dir = dir
	return New(cfg)
}

// TestRefusedForAMoment: a node that refuses somebody everything, as it does a
// revoked user whose session has not ended yet, does not say that their membership is over.
func TestRefusedForAMoment(t *testing.T) {
	t.Parallel()
	p := twoInARoom(t)
	p.liar.lie(func(l *liar) { l.refuses = core.Errorf(core.KindRefused, "the user is unknown or revoked") })
	want(t, "reading the room", reconciling(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) }), core.KindRefused, nil)
	p.liar.lie(func(l *liar) { l.refuses = nil })
	heard := p.room.Chan(t.Context())
	ok(t, p.bobs.Send(ctx(t), []byte("still here")))
	hear(t, heard, "still here")
}

// TestRemovedWhileOpening: whose membership ends while the room is being opened is told that.
func TestRemovedWhileOpening(t *testing.T) {
	t.Parallel()
	p := twoInARoom(t)
	ok(t, p.bobs.Close())
	calls := 0
	p.liar.lie(func(l *liar) {
		l.room = func(r *control.RoomInfo) {
			if calls++; calls > 1 {
				r.Role = ""
			}
		}
	})
	want(t, "the room", second(p.bob.Room(ctx(t), p.room.ID())), core.KindRefused, ErrNotMember)
}

// TestRoomsAreReadAgain: what changed while the session was another is told of
// even if the first look at it fails.
func TestRoomsAreReadAgain(t *testing.T) {
	t.Parallel()
	p := twoInARoom(t)
	p.liar.lie(func(l *liar) { l.refuses = core.Errorf(core.KindFailed, "not now") })
	other := must[*Room](t)(p.ann.CreateRoom(ctx(t), NewRoom{}))
	join(t, other, p.bob)
	await(t, p.events, func(Connected) bool { return true })
	must[*Room](t)(p.ann.CreateRoom(ctx(t), NewRoom{})) // time goes by
	p.liar.lie(func(l *liar) { l.refuses = nil })
	await(t, p.events, func(e Joined) bool { return e.Room.ID == other.ID() })
}

// TestRekeyWithoutAKey: a member whom nobody has given the key yet cannot make
// the next one: nothing would link it to the chain, and nobody could follow.
func TestRekeyWithoutAKey(t *testing.T) {
	t.Parallel()
	n := alone(t)
	annFiles, files := newPerson(t, n, core.RoleMember), newPerson(t, n, core.RoleMember)
	ann := annFiles.open()
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	ok(t, room.Invite(ctx(t), files.id, ""))
	ok(t, room.Close())
	bobs := must[*Room](t)(files.open().Accept(ctx(t), room.ID()))
	want(t, "a rekey without a key", bobs.Rekey(ctx(t)), core.KindRefused, ErrNoKey)
	room = must[*Room](t)(ann.Room(ctx(t), room.ID()))
	heard := room.Chan(t.Context())
	ok(t, bobs.Send(ctx(t), []byte("all is well")))
	hear(t, heard, "all is well")
}

// TestMadeAnew: a node that says of a known room that it has just been made does
// not have it forgotten.
func TestMadeAnew(t *testing.T) {
	t.Parallel()
	p := twoInARoom(t)
	ok(t, p.bobs.Close())
	fresh := core.Room{ID: p.room.ID(), Owner: p.bob.User(), Encrypted: true, Rec: core.LegacyRec, State: core.RoomActive}
	p.liar.lie(func(l *liar) {
		l.creates = &fresh
		l.room = func(r *control.RoomInfo) {
			*r = control.RoomInfo{Room: fresh, Role: core.MemberOwner, Members: 1, Unkeyed: 1}
		}
	})
	_, err := p.bob.CreateRoom(ctx(t), NewRoom{ID: p.room.ID(), Encrypted: true})
	want(t, "a room that is made anew", err, core.KindRefused, seal.ErrRollback)
}

// TestAnotherRoomIsNotTheOneAskedFor: a room of that id that was there before does
// not pass for the one that a try without an answer may have made, and what is
// known of it stays as it is.
func TestAnotherRoomIsNotTheOneAskedFor(t *testing.T) {
	t.Parallel()
	l := &liar{}
	c := newPerson(t, alone(t), core.RoleMember).open(between(l))
	for _, encrypted := range []bool{false, true} {
		room := must[*Room](t)(c.CreateRoom(ctx(t), NewRoom{Encrypted: encrypted}))
		ok(t, room.Close())
		ask := func(encrypted bool) error {
			tries := 0
			l.lie(func(l *liar) {
				l.lost = func() error {
					if tries++; tries == 1 {
						return core.Errorf(core.KindUnavailable, "the answer is lost")
					}
					return nil
				}
			})
			return second(c.CreateRoom(ctx(t), NewRoom{ID: room.ID(), Encrypted: encrypted}))
		}
		want(t, "a room of the other kind", ask(!encrypted), core.KindExists, nil)
		l.lie(func(l *liar) { l.creates = &core.Room{ID: room.ID(), Owner: c.User(), Encrypted: encrypted} })
		want(t, "a room of the other kind, as made", ask(!encrypted), core.KindExists, nil)
		l.lie(func(l *liar) { l.creates = nil })
		room = must[*Room](t)(c.Room(ctx(t), room.ID()))
		if ok(t, room.Send(ctx(t), []byte("as before"))); room.Encrypted() != encrypted {
			t.Errorf("the room is encrypted: %v", room.Encrypted())
		}
		ok(t, ask(encrypted)) // it may be by the try before
		ok(t, room.Archive(ctx(t)))
		want(t, "a room that is archived", ask(encrypted), core.KindExists, nil)
	}
}

// TestNothingIsSentInAFormerEpoch: once it is known that the room has moved on,
// nothing is sent by the old key, also while the records cannot be read. What
// was followed is kept, also where the next record does not fit.
func TestNothingIsSentInAFormerEpoch(t *testing.T) {
	t.Parallel()
	p := twoInARoom(t, func(bob *Client) { bob.timing.renewEvery = time.Hour })
	p.liar.lie(func(l *liar) { l.broken = core.Errorf(core.KindFailed, "the records cannot be read") })
	rekeyTwice(t, p)
	nodetest.Wait(t, wait, func() error {
		if p.bobs.Info().Room.Epoch != 4 {
			return core.Errorf(core.KindConflict, "bob has not seen it")
		}
		return nil
	})
	short, cancel := context.WithTimeout(ctx(t), 50*time.Millisecond)
	defer cancel()
	want(t, "sending by the old key", p.bobs.Send(short, []byte("x")), core.KindUnavailable, ErrNoKey)

	p.liar.lie(func(l *liar) {
		l.broken = nil
		l.epochs = func(e *control.Epochs) {
			if e.Records[0].Epoch == 4 {
				e.Records[0].Record = []byte("no record")
			}
		}
	})
	p.bobs.wake()
	await(t, p.events, func(e Rekeyed) bool { return e.Epoch == 3 })
	want(t, "the room", p.bobs.Err(), core.KindInvalid, seal.ErrFormat)
	if m := must[roomState](t)(p.bob.dir.room(p.room.ID())); m.Head == nil || m.Head.Epoch != 3 {
		t.Errorf("on disk is %+v", m.Head)
	}
	p.liar.lie(func(l *liar) { l.epochs = nil })
	p.bobs.wake()
	p.at(t, 4)
	ok(t, reconciling(t, p.bobs, func(_ context.Context, w *reconciler) error {
		if w.mayRenew() {
			t.Error("another key is made at once for a member who requests one")
		}
		return nil
	}))
}

// TestHiddenRemoval: who removes somebody makes a new key, also where a node says that none is due.
func TestHiddenRemoval(t *testing.T) {
	t.Parallel()
	p := twoInARoom(t)
	cid := newPerson(t, p.cluster, core.RoleMember).open()
	join(t, p.room, cid)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	ok(t, p.room.Close())
	p.liar.lie(func(l *liar) { l.room = func(r *control.RoomInfo) { r.MustRekey = 0 } })
	ok(t, p.bobs.Remove(ctx(t), cid.User()))
	if at, _ := p.bobs.Epoch(); at != 3 {
		t.Errorf("after the removal bob sends in epoch %d", at)
	}
}

// TestForgedHints: where anybody can speak as the service, made up members cost
// neither memory without end nor a question each.
func TestForgedHints(t *testing.T) {
	t.Parallel()
	p := twoInARoom(t)
	resume := stall(t, p.bobs) // nothing is looked up meanwhile
	defer resume()
	p.liar.lie(func(l *liar) { l.asked = 0 })
	for range maxUnknown + 500 {
		p.bobs.noteEvent(control.Event{Kind: control.EventMember, Room: p.room.ID(), User: core.UserID(nodetest.Identity(t).Public())})
	}
	p.bobs.noteEvent(control.Event{Kind: control.EventMember, Room: p.room.ID(), User: "U.*"})
	var unknown, notices int
	inLoop(t, p.bobs, func(l *roomLoop) { unknown, notices = len(l.unknown), len(l.notices) })
	resume()
	if unknown > maxUnknown || notices > maxNotices {
		t.Errorf("%d users and %d events are kept", unknown, notices)
	}
	if lost := await(t, p.events, func(EventsLost) bool { return true }); lost.Events != maxUnknown+501-maxNotices {
		t.Errorf("%d events are said to be lost", lost.Events)
	}
	p.liar.lie(func(l *liar) {
		if l.asked > maxSingle {
			t.Errorf("%d questions were asked one by one", l.asked)
		}
	})
	heard := p.bobs.Chan(t.Context())
	ok(t, p.room.Send(ctx(t), []byte("a member all the same")))
	hear(t, heard, "a member all the same")
}

// TestForkLearntFromAMessage: a member who was shown another record of the epoch
// is found out by the first message across. The proof is told; the room goes on.
func TestForkLearntFromAMessage(t *testing.T) {
	t.Parallel()
	p := twoInARoom(t)
	first := must[core.EpochRecord](t)(p.record(t, 1))
	prev := must[seal.Record](t)(seal.VerifyRecord(first))
	made := must[seal.Rekeyed](t)(seal.MakeRecord(seal.RecordConfig{
		Room: p.room.ID(), Epoch: 2, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: []seal.KEMKey{p.ann.ownKey(), p.bob.ownKey()},
		By: p.ann.id, At: 1, Reason: seal.ReasonOther, Prev: &prev,
	}))
	forked := must[*seal.Sender](t)(seal.NewSender(seal.SenderConfig{Key: made.Key, By: p.ann.id}))
	heard, back := p.bobs.Chan(t.Context()), p.room.Chan(t.Context())
	ok(t, p.ann.nc.Publish(p.room.subject, must[[]byte](t)(forked.Seal([]byte("x"), 1))))
	want(t, "a message of another history", wrong(t, heard).Err, core.KindRefused, seal.ErrFork)
	await(t, p.events, func(e Suspicion) bool { return e.Room == p.room.ID() && core.KindOf(e.Err) == core.KindRefused })
	want(t, "her own, read by her", wrong(t, back).Err, core.KindRefused, seal.ErrFork)
	ok(t, p.bobs.Send(ctx(t), []byte("on it goes")))
	hear(t, back, "on it goes")
	ok(t, p.room.Send(ctx(t), []byte("here too")))
	hear(t, heard, "here too")
}

// record is the room's record of an epoch.
func (p *pair) record(t *testing.T, e core.Epoch) (core.EpochRecord, error) {
	page, err := p.ann.api.Epochs(ctx(t), control.EpochsRequest{Room: string(p.room.ID()), Upto: &e, Limit: 1})
	if err != nil || len(page.Records) != 1 {
		return core.EpochRecord{}, core.Errorf(core.KindNotFound, "%d records: %v", len(page.Records), err)
	}
	return page.Records[0], nil
}

// TestClockAnHourOff: what changes something is refused, and the sentence names
// both clocks; what only reads, and messages, go on.
func TestClockAnHourOff(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		p := twoInARoom(t)
		ok(t, p.bob.Close())
		slow := p.bobFiles.open(func(c *Client) {
			c.wrap = func(controlAPI) controlAPI {
				return control.NewClient(control.ClientConfig{Conn: c.nc, Identity: c.id, Now: func() time.Time { return time.Now().Add(off) }})
			}
		})
		_, err := slow.CreateRoom(ctx(t), NewRoom{ID: "never", Encrypted: true})
		want(t, "making a room", err, core.KindRefused, nil)
		if e := core.AsError(err); e == nil || e.Next == "" || !strings.Contains(e.Text, "clock") {
			t.Errorf("the clock is not named: %v", err)
		}
		room := must[*Room](t)(slow.Room(ctx(t), p.room.ID()))
		want(t, "a rekey", room.Rekey(ctx(t)), core.KindRefused, nil)
		heard := p.room.Chan(t.Context())
		ok(t, room.Send(ctx(t), []byte("whatever the time")))
		hear(t, heard, "whatever the time")
		if _, err := p.ann.api.Room(ctx(t), "never"); core.KindOf(err) != core.KindRefused {
			t.Errorf("the room was made: %v", err)
		}
	}
}

// TestOperatorsAskIsFollowed: somebody is removed, and the members take their
// time. An operator asks; the member who is asked looks, makes the key, and the
// operator sees the new epoch.
func TestOperatorsAskIsFollowed(t *testing.T) {
	t.Parallel()
	n := alone(t)
	patient := func(c *Client) {
		c.timing.ownerDelay, c.timing.adminDelay, c.timing.memberDelay = time.Hour, time.Hour, time.Hour
	}
	ann, bob := newPerson(t, n, core.RoleMember).open(patient), newPerson(t, n, core.RoleMember).open(patient)
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	join(t, room, bob)
	ok(t, room.Rekey(ctx(t))) // at this pace nobody is given the present key
	events := eventsOf(t, ann)
	if _, err := ann.api.Remove(ctx(t), room.ID(), bob.User()); err != nil { // not by the SDK, which makes the key at once
		t.Fatal(err)
	}
	op := n.Client(0, n.Admin)
	nodetest.Wait(t, wait, func() error {
		short, cancel := context.WithTimeout(ctx(t), 10*time.Millisecond)
		defer cancel()
		if err := room.Send(short, []byte("x")); core.KindOf(err) != core.KindUnavailable {
			return core.Errorf(core.KindFailed, "sending while a key is due: %v", err)
		}
		_, err := op.RoomRekey(ctx(t), admin.RekeyRequest{ID: string(room.ID())})
		return err
	})
	e := await(t, events, func(e Rekeyed) bool { return e.Epoch == 3 })
	if e.Reason != seal.ReasonAsked || e.Maker != ann.User() || e.Members != 1 {
		t.Errorf("the new key: %+v", e)
	}
	nodetest.Wait(t, wait, func() error {
		d, err := op.RoomGet(ctx(t), string(room.ID()))
		if err == nil && (d.Room.Epoch != 3 || d.Keys.State != admin.KeysOK) {
			err = core.Errorf(core.KindFailed, "the operator sees %+v", d.Keys)
		}
		return err
	})
	ok(t, room.Send(ctx(t), []byte("on")))
}
