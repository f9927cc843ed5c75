package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestOneWhoComesLater: a user who was invited before their first start has no key to
// seal to. They request the room's key once they start, are given it, and read from
// that epoch on.
func TestOneWhoComesLater(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	ann, files := newTestUser(t, n, core.RoleMember).open(), newTestUser(t, n, core.RoleMember)
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	ok(t, room.Invite(ctx(t), files.id, ""))
	ok(t, room.Rekey(ctx(t)))
	given := eventsOf(t, ann)
	bob := files.open()
	bobs := must[*Room](t)(bob.Accept(ctx(t), room.ID()))
	e := awaitEvent(t, given, func(e KeyGiven) bool { return e.To == files.id })
	if e.By != ann.User() || e.Epoch != 2 {
		t.Errorf("given: %+v", e)
	}
	heard := room.Chan(t.Context())
	ok(t, bobs.Send(ctx(t), []byte("here I am"))) // waits for the key
	if m := receiveText(t, heard, "here I am"); m.Epoch != 2 {
		t.Errorf("bob writes in epoch %d", m.Epoch)
	}
}

// TestNobodyToGiveTheKey: a member who waits for a key gets an error that says so at the timeout.
func TestNobodyToGiveTheKey(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	ann, files := newTestUser(t, n, core.RoleMember).open(), newTestUser(t, n, core.RoleMember)
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	ok(t, room.Invite(ctx(t), files.id, ""))
	ok(t, room.Close())
	l := &lyingAPI{}
	bobs := must[*Room](t)(files.open(between(l)).Accept(ctx(t), room.ID()))
	short, cancel := context.WithTimeout(ctx(t), 100*time.Millisecond)
	defer cancel()
	want(t, "sending without a key", bobs.Send(short, []byte("x")), core.KindUnavailable, ErrNoKey)
	l.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Room.Encrypted = false } })
	bobs.wake()
	want(t, "sending in a room of which a node denies that it is encrypted", bobs.Send(ctx(t), []byte("x")), core.KindRefused, seal.ErrRollback)
}

// TestComeBack: a member who was removed and invited again continues from their old
// box. If a whole epoch is missing in between, a person decides.
func TestComeBack(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	again := func() *Room {
		t.Helper()
		join(t, p.room, p.bob)
		return must[*Room](t)(p.bob.Room(ctx(t), p.room.ID()))
	}
	out := func() {
		t.Helper()
		ok(t, p.room.Remove(ctx(t), p.bob.User()))
		nodetest.Wait(t, wait, func() error {
			if r := p.bobs.Err(); !errors.Is(r, ErrNotMember) {
				return fmt.Errorf("bob has not noticed: %v", r)
			}
			return nil
		})
	}
	heard := p.room.Chan(t.Context())
	out()
	p.bobs = again()
	ok(t, p.bobs.Send(ctx(t), []byte("once")))
	receiveText(t, heard, "once")

	out()
	ok(t, p.room.Rekey(ctx(t))) // an epoch of which bob will never have a key
	ok(t, p.room.Rekey(ctx(t)))
	join(t, p.room, p.bob)
	_, err := p.bob.Room(ctx(t), p.room.ID())
	want(t, "an epoch without a link", err, core.KindRefused, ErrUnlinked)
	if !strings.Contains(err.Error(), string(p.ann.User())) {
		t.Errorf("the maker is not named: %v", err)
	}
	p.bobs = must[*Room](t)(p.bob.RoomTrusting(ctx(t), p.room.ID(), p.ann.User()))
	ok(t, p.bobs.Send(ctx(t), []byte("twice")))
	receiveText(t, heard, "twice")
}

// TestTwoRekeyAtOnce: one of two rekeys counts, the other one follows it, and the messages of both arrive.
func TestTwoRekeyAtOnce(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	heard, heardToo := p.room.Chan(t.Context()), p.bobs.Chan(t.Context())
	var both sync.WaitGroup
	for _, r := range []*Room{p.room, p.bobs} {
		both.Go(func() {
			if err := r.Rekey(ctx(t)); err != nil {
				t.Errorf("a rekey beside another: %v", err)
			}
		})
	}
	both.Wait()
	ok(t, p.room.Send(ctx(t), []byte("from ann")))
	ok(t, p.bobs.Send(ctx(t), []byte("from bob")))
	receiveText(t, heardToo, "from ann")
	receiveText(t, heard, "from bob")
	info := must[control.RoomInfo](t)(p.ann.api.Room(ctx(t), p.room.ID()))
	if info.Room.Epoch < 3 || info.Room.Epoch > 4 || info.Unkeyed != 0 {
		t.Errorf("after both: %+v", info)
	}
}

// TestWithdrawnInvitation: an invited user never had the key, so withdrawing the
// invitation leaves the room at its epoch. A user who has joined had it, also
// if a node denies that a member whom this client knows has joined.
func TestWithdrawnInvitation(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	ok(t, p.room.Remove(ctx(t), cid.User()))
	want(t, "accepting a withdrawn invitation", second(cid.Accept(ctx(t), p.room.ID())), core.KindNotFound, nil)
	ok(t, p.room.Send(ctx(t), []byte("by the same key")))
	if at, _ := p.room.Epoch(); at != 2 {
		t.Errorf("the withdrawal has moved the room to epoch %d", at)
	}

	heard := p.bobs.Chan(t.Context())
	join(t, p.room, cid)
	cids := must[*Room](t)(cid.Room(ctx(t), p.room.ID()))
	ok(t, cids.Send(ctx(t), []byte("in"))) // bob knows cid as a member from now on
	receiveText(t, heard, "in")
	p.liar.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member {
			return slices.DeleteFunc(all, func(m control.Member) bool { return m.User == cid.User() })
		}
		l.room = func(r *control.RoomInfo) { r.MustRekey = 0 }
	})
	ok(t, p.room.Close()) // or ann makes the key
	ok(t, p.bobs.Remove(ctx(t), cid.User()))
	p.at(t, 3)
}

// TestRemovalDuringARekey: a member who is removed while a key is being made does not get it.
func TestRemovalDuringARekey(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, cid)
	awaitKeys(t, p.room) // no member lists the members for a key any more
	p.liar.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member { // bob has read the members; now one of them is removed
			l.members = nil
			if removeOnly(t, p.room, cid.User()); len(all) != 3 {
				t.Errorf("cid goes of %d members", len(all))
			}
			return all
		}
	})
	ok(t, p.bobs.Rekey(ctx(t)))
	kept := must[roomState](t)(p.bob.dir.room(p.room.ID()))
	if at, _ := p.bobs.Epoch(); kept.Head == nil || kept.Head.Epoch != at {
		t.Errorf("bob is at epoch %d, and on disk is %+v", at, kept.Head)
	}
	info := must[control.RoomInfo](t)(p.ann.api.Room(ctx(t), p.room.ID()))
	if info.MustRekey != 0 || info.Members != 2 || info.Unkeyed != 0 {
		t.Errorf("after the rekey: %+v", info)
	}
}

// TestInvitationDuringARekey: a user who joins while a key is being made has no box in
// its record, and is given the key afterwards.
func TestInvitationDuringARekey(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	p.liar.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member { // bob has read the members; now there is one more
			l.members = nil
			if join(t, p.room, cid); len(all) != 2 {
				t.Errorf("cid comes to %d members", len(all))
			}
			return all
		}
	})
	ok(t, p.bobs.Rekey(ctx(t)))
	cids := must[*Room](t)(cid.Room(ctx(t), p.room.ID()))
	heard := p.bobs.Chan(t.Context())
	ok(t, cids.Send(ctx(t), []byte("in time")))
	if m := receiveText(t, heard, "in time"); m.Epoch != 3 {
		t.Errorf("cid sends in epoch %d", m.Epoch)
	}
	info := must[control.RoomInfo](t)(p.ann.api.Room(ctx(t), p.room.ID()))
	if info.MustRekey != 0 || info.Members != 3 || info.Unkeyed != 0 || info.Room.Epoch != 3 {
		t.Errorf("after both: %+v", info)
	}
}

// TestRevocationIsFollowedByANewKey: members make it without a request, and the
// revoked member's messages are refused. An invitation of them is refused.
func TestRevocationIsFollowedByANewKey(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	chief := newTestUser(t, p.cluster, core.RoleAdmin).open()
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, cid)
	awaitKeys(t, p.room)
	events := eventsOf(t, p.ann)
	if _, err := chief.Revoke(ctx(t), cid.User()); err != nil {
		t.Fatal(err)
	}
	awaitEvent(t, events, func(e UserRevoked) bool { return e.User == cid.User() })
	p.at(t, 3)
	info := must[control.RoomInfo](t)(p.ann.api.Room(ctx(t), p.room.ID()))
	if info.MustRekey != 0 {
		t.Errorf("after the revocation: %+v", info)
	}
	dan := newTestUser(t, p.cluster, core.RoleMember).open()
	if _, err := chief.Revoke(ctx(t), dan.User()); err != nil {
		t.Fatal(err)
	}
	want(t, "an invitation of a revoked user", p.room.Invite(ctx(t), dan.User(), ""), core.KindRefused, nil)
}

// TestDue: the number of messages makes a new key due, and nothing is sent by the old one.
func TestDue(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	heard := p.bobs.Chan(t.Context())
	p.room.view.Load().sender.messages.Store(seal.MaxMessages)
	ok(t, p.room.Send(ctx(t), []byte("by the next key")))
	if m := receiveText(t, heard, "by the next key"); m.Epoch != 3 {
		t.Errorf("message %d of an epoch is of epoch %d", seal.MaxMessages+1, m.Epoch)
	}

	// An event alone makes none due: an operator's request without need has no effect.
	events := eventsOf(t, p.ann)
	p.room.noteEvent(control.Event{Kind: control.EventAsked, Room: p.room.ID(), User: p.ann.User()})
	awaitEvent(t, events, func(e RekeyAsked) bool { return e.User == p.ann.User() })
	ok(t, p.room.Send(ctx(t), []byte("still")))
	if m := receiveText(t, heard, "still"); m.Epoch != 3 {
		t.Errorf("a hint alone has moved the room to epoch %d", m.Epoch)
	}
}

// TestAge: a key of seven days is replaced; clocks that are weeks apart do not outbid each other.
func TestAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for what, c := range map[string]struct {
		maker core.UserID
		made  time.Duration // ago
		want  bool
	}{
		"another's":                  {"someone", 0, true},
		"one's own, of a former day": {"me", 2 * time.Hour, true},
		"one's own, of a moment ago": {"me", time.Minute, false},
	} {
		v, me := roomView{sender: agedSender(t, now.Add(-8*24*time.Hour))}, core.UserID("me")
		v.rekey.made = now.Add(-c.made)
		if c.maker == "me" {
			me = v.sender.Record().Maker
		}
		if _, due := v.rekeyDue(now, me); due != c.want {
			t.Errorf("%s: due %v, want %v", what, due, c.want)
		}
	}
}

// agedSender makes a sender in an epoch of a given time.
func agedSender(t *testing.T, at time.Time) *epochSender {
	t.Helper()
	id := nodetest.Identity(t)
	kem := must[*seal.KEM](t)(seal.NewKEM())
	own := must[seal.KEMKey](t)(seal.ParseKEMKey(core.UserID(id.Public()), must[[]byte](t)(kem.Publish(id, 1))))
	made := must[seal.Rekeyed](t)(seal.MakeRecord(seal.RecordConfig{
		Room: "r", Epoch: 1, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: []seal.KEMKey{own}, By: id, At: core.MillisOf(at), Reason: seal.ReasonFirst,
	}))
	return &epochSender{Sender: must[*seal.Sender](t)(seal.NewSender(seal.SenderConfig{Key: made.Key, By: id}))}
}

// TestLostDirectory: a member without the key for their box requests another box. An
// owner's box may not be replaced, so the room gets a new key.
func TestLostDirectory(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"a member", "the owner"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			files, loser, other := &p.bobFiles, p.bob, p.room
			if who == "the owner" {
				files, loser, other = &p.annFiles, p.ann, p.bobs
			}
			ok(t, loser.Close())
			files.cfg.Dir = t.TempDir()
			heard := other.Chan(t.Context())
			c := files.open()

			room := must[*Room](t)(c.Room(ctx(t), p.room.ID()))
			ok(t, room.Send(ctx(t), []byte("I have lost it")))
			receiveText(t, heard, "I have lost it")
			if room.Err() != nil {
				t.Errorf("afterwards: %v", room.Err())
			}
		})
	}
}
