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

// TestRevokedUser: every call of a revoked user soon says that the nodes refuse them.
// Once they are active again, the client continues by itself.
func TestRevokedUser(t *testing.T) {
	t.Parallel()
	p := newPair(t, func(bob *Client) { bob.timing.refusedFor = 200 * time.Millisecond })
	chief := newTestUser(t, p.cluster, core.RoleAdmin).open()
	told := eventsOf(t, p.bob)
	if _, err := chief.Revoke(ctx(t), p.bob.User()); err != nil {
		t.Fatal(err)
	}
	awaitEvent(t, told, func(Disconnected) bool { return true })
	begin := time.Now()
	want(t, "sending", p.bobs.Send(ctx(t), []byte("x")), core.KindRefused, ErrRefused)
	want(t, "asking", second(p.bob.Rooms(ctx(t))), core.KindRefused, ErrRefused)
	want(t, "inviting", p.bobs.Invite(ctx(t), chief.User(), ""), core.KindRefused, ErrRefused)
	if took := time.Since(begin); took > wait/2 {
		t.Errorf("it took %s", took)
	}
	want(t, "the room", p.bobs.Err(), core.KindRefused, ErrRefused)
	want(t, "the event", awaitEvent(t, told, func(Refused) bool { return true }).Err, core.KindRefused, ErrRefused)
	want(t, "opening anew", newWith(p.bobFiles, t.TempDir()).Open(ctx(t)), core.KindRefused, ErrRefused)

	isAt(t, p.room, 3) // ann has made a key without bob
	if _, err := chief.Activate(ctx(t), p.bob.User()); err != nil {
		t.Fatal(err)
	}
	awaitEvent(t, told, func(Connected) bool { return true })
	heard := p.room.Chan(t.Context())
	ok(t, p.bobs.Send(ctx(t), []byte("back")))
	receiveText(t, heard, "back")
	ok(t, p.bobs.Err())
}

// TestUserAdminAddsUsers: with a name and an end, and none that is over already.
func TestUserAdminAddsUsers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	chief := newTestUser(t, p.cluster, core.RoleAdmin).open()
	ends := time.Now().Add(time.Hour)
	guest := core.UserID(nodetest.Identity(t).Public())
	u, err := chief.AddUser(ctx(t), NewUser{ID: guest, Name: "guest", Ends: ends})
	if ok(t, err); *u.Name != "guest" || u.Role != core.RoleMember || u.Expires != core.MillisOf(ends) {
		t.Errorf("%+v", u)
	}
	want(t, "twice", second(chief.AddUser(ctx(t), NewUser{ID: guest})), core.KindExists, nil)
	want(t, "an end that is over", second(chief.AddUser(ctx(t), NewUser{ID: core.UserID(nodetest.Identity(t).Public()), Ends: time.Now().Add(-time.Hour)})), core.KindInvalid, nil)
}

// TestRefusalsThatGoOn: only continued refusals count, without a session, from nodes that are up.
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
	at(20, false) // after a pause the time begins again
	at(26, false)
	at(27, true)
	at(28, false) // it is reported once
	if _, err := l.wait(t.Context()); !errors.Is(err, why) {
		t.Errorf("a waiting call returns: %v", err)
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
func newWith(p testUser, dir string) *Client {
	cfg := p.cfg
	cfg.Dir = dir
	return New(cfg)
}

// TestRefusedForAMoment: a node refuses every request of a revoked user whose session
// has not ended yet. That does not end the membership.
func TestRefusedForAMoment(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.liar.lie(func(l *lyingAPI) { l.refuses = core.Errorf(core.KindRefused, "the user is unknown or revoked") })
	want(t, "reading the room", runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) }), core.KindRefused, nil)
	p.liar.lie(func(l *lyingAPI) { l.refuses = nil })
	heard := p.room.Chan(t.Context())
	ok(t, p.bobs.Send(ctx(t), []byte("still here")))
	receiveText(t, heard, "still here")
}

// TestRemovedWhileOpening: a membership that ends while the room is being opened is the error of opening.
func TestRemovedWhileOpening(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.bobs.Close())
	calls := 0
	p.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) {
			if calls++; calls > 1 {
				r.Role = ""
			}
		}
	})
	want(t, "the room", second(p.bob.Room(ctx(t), p.room.ID())), core.KindRefused, ErrNotMember)
}

// TestRoomsAreReadAgain: changes between two sessions are emitted even if the first
// read fails.
func TestRoomsAreReadAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.liar.lie(func(l *lyingAPI) { l.refuses = core.Errorf(core.KindFailed, "not now") })
	other := must[*Room](t)(p.ann.CreateRoom(ctx(t), NewRoom{}))
	join(t, other, p.bob)
	awaitEvent(t, p.events, func(Connected) bool { return true })
	must[*Room](t)(p.ann.CreateRoom(ctx(t), NewRoom{})) // some time passes
	p.liar.lie(func(l *lyingAPI) { l.refuses = nil })
	awaitEvent(t, p.events, func(e Joined) bool { return e.Room.ID == other.ID() })
}

// TestRekeyWithoutAKey: a member without the key cannot make the next one: no link
// would prove it, and no member could follow.
func TestRekeyWithoutAKey(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	annFiles, files := newTestUser(t, n, core.RoleMember), newTestUser(t, n, core.RoleMember)
	ann := annFiles.open()
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	ok(t, room.Invite(ctx(t), files.id, ""))
	ok(t, room.Close())
	bobs := must[*Room](t)(files.open().Accept(ctx(t), room.ID()))
	want(t, "a rekey without a key", bobs.Rekey(ctx(t)), core.KindRefused, ErrNoKey)
	room = must[*Room](t)(ann.Room(ctx(t), room.ID()))
	heard := room.Chan(t.Context())
	ok(t, bobs.Send(ctx(t), []byte("all is well")))
	receiveText(t, heard, "all is well")
}

// TestMadeAnew: a node that says that a known room is new does not make the client
// forget it.
func TestMadeAnew(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.bobs.Close())
	fresh := core.Room{ID: p.room.ID(), Owner: p.bob.User(), Encrypted: true, Rec: core.LegacyRec, State: core.RoomActive}
	p.liar.lie(func(l *lyingAPI) {
		l.creates = &fresh
		l.room = func(r *control.RoomInfo) {
			*r = control.RoomInfo{Room: fresh, Role: core.MemberOwner, Members: 1, Unkeyed: 1}
		}
	})
	_, err := p.bob.CreateRoom(ctx(t), NewRoom{ID: p.room.ID(), Encrypted: true})
	want(t, "a room that is made anew", err, core.KindRefused, seal.ErrRollback)
}

// TestAnotherRoomIsNotTheOneAskedFor: an older room of that id does not pass for one
// that a lost attempt may have created, and its saved state stays.
func TestAnotherRoomIsNotTheOneAskedFor(t *testing.T) {
	t.Parallel()
	l := &lyingAPI{}
	c := newTestUser(t, startNode(t), core.RoleMember).open(between(l))
	for _, encrypted := range []bool{false, true} {
		room := must[*Room](t)(c.CreateRoom(ctx(t), NewRoom{Encrypted: encrypted}))
		ok(t, room.Close())
		ask := func(encrypted bool) error {
			tries := 0
			l.lie(func(l *lyingAPI) {
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
		l.lie(func(l *lyingAPI) { l.creates = &core.Room{ID: room.ID(), Owner: c.User(), Encrypted: encrypted} })
		want(t, "a room of the other kind, as made", ask(!encrypted), core.KindExists, nil)
		l.lie(func(l *lyingAPI) { l.creates = nil })
		room = must[*Room](t)(c.Room(ctx(t), room.ID()))
		if ok(t, room.Send(ctx(t), []byte("as before"))); room.Encrypted() != encrypted {
			t.Errorf("the room is encrypted: %v", room.Encrypted())
		}
		ok(t, ask(encrypted)) // a lost attempt may have created it
		ok(t, room.Archive(ctx(t)))
		want(t, "a room that is archived", ask(encrypted), core.KindExists, nil)
	}
}

// TestNothingIsSentInAFormerEpoch: once a later epoch of the room is known, nothing is
// sent by the old key, also while the records cannot be read. Followed records are
// saved, also if the next record does not fit.
func TestNothingIsSentInAFormerEpoch(t *testing.T) {
	t.Parallel()
	p := newPair(t, func(bob *Client) { bob.timing.renewEvery = time.Hour })
	p.liar.lie(func(l *lyingAPI) { l.broken = core.Errorf(core.KindFailed, "the records cannot be read") })
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

	p.liar.lie(func(l *lyingAPI) {
		l.broken = nil
		l.epochs = func(e *control.Epochs) {
			if e.Records[0].Epoch == 4 {
				e.Records[0].Record = []byte("no record")
			}
		}
	})
	p.bobs.wake()
	awaitEvent(t, p.events, func(e Rekeyed) bool { return e.Epoch == 3 })
	awaitEvent(t, p.events, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrFormat) }) // it comes once the room has the fault
	want(t, "the room", p.bobs.Err(), core.KindInvalid, seal.ErrFormat)
	if m := must[roomState](t)(p.bob.dir.room(p.room.ID())); m.Head == nil || m.Head.Epoch != 3 {
		t.Errorf("on disk is %+v", m.Head)
	}
	p.liar.lie(func(l *lyingAPI) { l.epochs = nil })
	p.bobs.wake()
	p.at(t, 4)
	ok(t, runJob(t, p.bobs, func(_ context.Context, w *reconciler) error {
		if w.mayRenew(p.ann.User()) {
			t.Error("another key is made at once for a member who requests one")
		}
		return nil
	}))
}

// TestHiddenRemoval: Remove makes a new key, also if a node says that none is due.
func TestHiddenRemoval(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, cid)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	ok(t, p.room.Close())
	p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.MustRekey = 0 } })
	ok(t, p.bobs.Remove(ctx(t), cid.User()))
	if at, _ := p.bobs.Epoch(); at != 3 {
		t.Errorf("after the removal bob sends in epoch %d", at)
	}
}

// TestForgedHints: forged events about invented members cost neither unbounded memory
// nor a request each.
func TestForgedHints(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	resume := stall(t, p.bobs) // nothing is looked up meanwhile
	defer resume()
	p.liar.lie(func(l *lyingAPI) { l.asked = 0 })
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
	if lost := awaitEvent(t, p.events, func(EventsLost) bool { return true }); lost.Events != maxUnknown+501-maxNotices {
		t.Errorf("%d events were counted as lost", lost.Events)
	}
	p.liar.lie(func(l *lyingAPI) {
		if l.asked > maxSingle {
			t.Errorf("%d questions were asked one by one", l.asked)
		}
	})
	heard := p.bobs.Chan(t.Context())
	ok(t, p.room.Send(ctx(t), []byte("a member all the same")))
	receiveText(t, heard, "a member all the same")
}

// TestForkLearntFromAMessage: the first message of a member who was shown another
// record of the epoch reveals the fork. The proof is emitted, and the room continues.
func TestForkLearntFromAMessage(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	first := must[core.EpochRecord](t)(p.record(t, 1))
	prev := must[seal.Record](t)(seal.VerifyRecord(first))
	made := must[seal.Rekeyed](t)(seal.MakeRecord(seal.RecordConfig{
		Room: p.room.ID(), Epoch: 2, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: []seal.KEMKey{p.ann.ownKey(), p.bob.ownKey()},
		By: p.ann.id, At: 1, Reason: seal.ReasonOther, Prev: &prev,
	}))
	forked := must[*seal.Sender](t)(seal.NewSender(seal.SenderConfig{Key: made.Key, By: p.ann.id}))
	heard, back := p.bobs.Chan(t.Context()), p.room.Chan(t.Context())
	ok(t, p.ann.nc.Publish(p.room.subject, must[[]byte](t)(forked.Seal([]byte("x"), 1))))
	want(t, "a message of another history", receiveError(t, heard).Err, core.KindRefused, seal.ErrFork)
	awaitEvent(t, p.events, func(e Suspicion) bool { return e.Room == p.room.ID() && core.KindOf(e.Err) == core.KindRefused })
	want(t, "her own, read by her", receiveError(t, back).Err, core.KindRefused, seal.ErrFork)
	ok(t, p.bobs.Send(ctx(t), []byte("on it goes")))
	receiveText(t, back, "on it goes")
	ok(t, p.room.Send(ctx(t), []byte("here too")))
	receiveText(t, heard, "here too")
}

// record is the room's record of an epoch.
func (p *pair) record(t *testing.T, e core.Epoch) (core.EpochRecord, error) {
	page, err := p.ann.api.Epochs(ctx(t), control.EpochsRequest{Room: string(p.room.ID()), Upto: &e, Limit: 1})
	if err != nil || len(page.Records) != 1 {
		return core.EpochRecord{}, core.Errorf(core.KindNotFound, "%d records: %v", len(page.Records), err)
	}
	return page.Records[0], nil
}

// TestClockAnHourOff: changes are refused, and the error names both clocks. Reads and
// messages work.
func TestClockAnHourOff(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		p := newPair(t)
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
		receiveText(t, heard, "whatever the time")
		if _, err := p.ann.api.Room(ctx(t), "never"); core.KindOf(err) != core.KindRefused {
			t.Errorf("the room was made: %v", err)
		}
	}
}

// TestOperatorsAskIsFollowed: a member is removed, and the others wait long before
// they make a key. An operator asks; the asked member makes the key, and the operator
// sees the new epoch.
func TestOperatorsAskIsFollowed(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	patient := func(c *Client) {
		c.timing.ownerDelay, c.timing.adminDelay, c.timing.memberDelay = time.Hour, time.Hour, time.Hour
	}
	ann, bob := newTestUser(t, n, core.RoleMember).open(patient), newTestUser(t, n, core.RoleMember).open(patient)
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	join(t, room, bob)
	ok(t, room.Rekey(ctx(t))) // with these delays no member is given the present key
	events := eventsOf(t, ann)
	removeOnly(t, room, bob.User()) // Room.Remove would make the key at once
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
	e := awaitEvent(t, events, func(e Rekeyed) bool { return e.Epoch == 3 })
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
