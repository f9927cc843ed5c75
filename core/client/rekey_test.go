package client

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// sendBriefly tries to send, and gives up soon.
func sendBriefly(t *testing.T, r *Room) error {
	short, cancel := context.WithTimeout(ctx(t), 20*time.Millisecond)
	defer cancel()
	return r.Send(short, []byte("x"))
}

// TestNothingIsSentAfterARemoval: from the acknowledgement of a removal on, while the
// reconciler is busy, while the key is made, and also if that fails and a node says
// that none is due.
func TestNothingIsSentAfterARemoval(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, cid)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	ok(t, p.room.Close()) // or ann makes the key
	failed := core.Errorf(core.KindFailed, "not now")
	p.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { r.MustRekey = 0 }
		l.rekeys = func() error {
			want(t, "sending while the key is made", sendBriefly(t, p.bobs), core.KindUnavailable, ErrRekeyDue)
			return failed
		}
	})
	resume := stall(t, p.bobs)
	defer resume()
	come := make(chan error, 1)
	go func() { come <- p.bobs.Remove(ctx(t), cid.User()) }()
	nodetest.Wait(t, wait, func() error {
		if err := sendBriefly(t, p.bobs); core.KindOf(err) != core.KindUnavailable {
			return core.Errorf(core.KindFailed, "sending once cid is out: %v", err)
		}
		return nil
	})
	want(t, "sending before the room is read", sendBriefly(t, p.bobs), core.KindUnavailable, ErrRekeyDue)
	resume()
	want(t, "the removal", await(t, "the removal to end", come), core.KindFailed, nil)
	want(t, "sending afterwards", sendBriefly(t, p.bobs), core.KindUnavailable, ErrRekeyDue)
	p.liar.lie(func(l *lyingAPI) { l.rekeys = nil })
	p.at(t, 3) // it is made later
	ok(t, p.bobs.Send(ctx(t), []byte("without cid")))
}

// TestRemovalBesideARekey: a member who was removed while a key was being made may
// have it: nothing is sent by it until the room was read again.
func TestRemovalBesideARekey(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.liar.lie(func(l *lyingAPI) {
		l.rekeys = func() error {
			p.bobs.noteRemoval("cid", true)
			return nil
		}
	})
	ok(t, runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error {
		if err := w.rekey(ctx, seal.ReasonAsked); err != nil {
			return err
		}
		if at, _ := p.bobs.Epoch(); at != 3 {
			t.Errorf("bob is at epoch %d", at)
		}
		want(t, "sending by it", sendBriefly(t, p.bobs), core.KindUnavailable, ErrRekeyDue)
		if err := w.follow(ctx); err != nil {
			return err
		}
		return sendBriefly(t, p.bobs)
	}))
}

// TestNothingIsSentWhileTheNextKeyIsRead: once a node has named a later epoch,
// nothing is sent by the key before it, however long it takes to read the next one.
func TestNothingIsSentWhileTheNextKeyIsRead(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	tried := make(chan error, 10)
	p.liar.lie(func(l *lyingAPI) { l.epochs = func(*control.Epochs) { tried <- sendBriefly(t, p.bobs) } })
	rekeyTwice(t, p)
	p.at(t, 4)
	want(t, "sending while the records are read", await(t, "the records to be read", tried), core.KindUnavailable, ErrNoKey)
	ok(t, p.bobs.Send(ctx(t), []byte("by the next key")))
}

// TestWaitingCostsNothing: senders that wait for a key do not make the client read the
// room over and over.
func TestWaitingCostsNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	patient := func(c *Client) {
		c.timing.ownerDelay, c.timing.adminDelay, c.timing.memberDelay = time.Hour, time.Hour, time.Hour
	}
	l := &lyingAPI{}
	ann, bob := newTestUser(t, n, core.RoleMember).open(patient, between(l)), newTestUser(t, n, core.RoleMember).open()
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	join(t, room, bob)
	ok(t, room.Rekey(ctx(t)))       // with these delays no member is given the present key
	removeOnly(t, room, bob.User()) // Room.Remove would make the key at once
	nodetest.Wait(t, wait, func() error {
		if room.Info().MustRekey == 0 {
			return core.Errorf(core.KindFailed, "ann has not seen it")
		}
		return nil
	})
	l.lie(func(l *lyingAPI) { l.looks = 0 })
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() {
			short, cancel := context.WithTimeout(ctx(t), time.Second)
			defer cancel()
			want(t, "sending", room.Send(short, []byte("x")), core.KindUnavailable, ErrRekeyDue)
		})
	}
	waiting.Wait()
	l.lie(func(l *lyingAPI) {
		if l.looks > 10 {
			t.Errorf("the room was read %d times within a second", l.looks)
		}
	})
}

// TestAKeyThatCannotBeMade is tried again, less and less often, however often the room is reconciled.
func TestAKeyThatCannotBeMade(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	tries := 0
	p.liar.lie(func(l *lyingAPI) {
		l.rekeys = func() error {
			tries++
			return core.Errorf(core.KindFailed, "not now")
		}
	})
	ok(t, runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error {
		var last time.Duration
		for try := 1; try <= 4; try++ {
			inLoop(t, p.bobs, func(l *roomLoop) {
				l.sender.messages.Store(seal.MaxMessages)
				l.rekey.asked, l.rekey.at = true, time.Time{}.Add(1)
			})
			next := w.makeDueKey(ctx)
			for range 3 {
				w.makeDueKey(ctx)
			}
			if tries != try || next <= last {
				return core.Errorf(core.KindFailed, "after %d looks %d tries, and the next in %s, before %s", 4*try, tries, next, last)
			}
			last = next
		}
		return nil
	}))
}

// legacyRoom is ann's encrypted room from a legacy database: three users have a box
// of its own kind, and the third of them is no member any more.
func legacyRoom(t *testing.T) (n *nodetest.Cluster, ann, bob testUser) {
	t.Helper()
	var people []testUser
	var s core.Snapshot
	for _, name := range []string{"ann", "bob", "cid"} {
		seed, id := nodetest.SeedFile(t, name)
		p := testUser{t: t, seed: seed, id: core.UserID(id.Public())}
		p.cfg = Config{Seed: seed, Dir: filepath.Join(t.TempDir(), "keys"), Log: nodetest.Log(t)}
		people = append(people, p)
		s.Users = append(s.Users, core.User{ID: p.id, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
		s.Keys = append(s.Keys, core.SealedKey{Room: "moved", Epoch: 4, Rec: core.LegacyRec, User: p.id, Box: []byte("of another kind"), Created: 1})
	}
	s.Rooms = []core.Room{{ID: "moved", Owner: people[0].id, Encrypted: true, Epoch: 4, Rec: core.LegacyRec, State: core.RoomActive, Created: 1}}
	for i, role := range []core.MemberRole{core.MemberOwner, core.MemberMember} {
		s.Members = append(s.Members, core.Member{Room: "moved", User: people[i].id, Role: role, State: core.MemberActive, Joined: 1})
	}
	s.Sort()
	n = nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: s})
	n.WaitServing(core.BackendSQLite, 0)
	for i := range people {
		people[i].cfg.Servers = []string{n.URL(0)}
	}
	return n, people[0], people[1]
}

// TestMovedRoom: nothing is sent in a room of a legacy database before its owner has founded
// it anew; Send says so. Neither time nor a request makes a key before. The founding replaces
// the keys of the database, and every member reads by the new one.
func TestMovedRoom(t *testing.T) {
	t.Parallel()
	n, annFiles, bobFiles := legacyRoom(t)
	l := &lyingAPI{}
	ann, bob := annFiles.open(), bobFiles.open(between(l))
	room, bobs := must[*Room](t)(ann.Room(ctx(t), "moved")), must[*Room](t)(bob.Room(ctx(t), "moved"))
	err := sendBriefly(t, room)
	want(t, "sending", err, core.KindRefused, ErrNotFounded)
	var e *core.Error
	if !errors.As(err, &e) || !strings.Contains(e.Next, "Client.FoundAnew") {
		t.Errorf("what to do: %+v", e)
	}
	want(t, "a new key", room.Rekey(ctx(t)), core.KindRefused, ErrNotFounded)
	want(t, "an invitation", room.Invite(ctx(t), newTestUser(t, n, core.RoleMember).id, ""), core.KindRefused, ErrNotFounded)
	events, told := eventsOf(t, ann), eventsOf(t, bob)
	bobs.noteEvent(control.Event{Kind: control.EventAsked, Room: "moved", User: bob.User()})
	awaitEvent(t, told, func(RekeyAsked) bool { return true })
	if _, err := n.Client(0, n.Admin).RoomRekey(ctx(t), admin.RekeyRequest{ID: "moved", User: string(ann.User())}); err != nil {
		t.Fatal(err)
	}
	awaitEvent(t, events, func(RekeyAsked) bool { return true })
	stall(t, room)() // the reconcilers have reconciled the room
	stall(t, bobs)()
	if at := must[control.RoomInfo](t)(ann.api.Room(ctx(t), "moved")).Room.Epoch; at != 4 {
		t.Errorf("a key was made before the founding: epoch %d", at)
	}
	want(t, "founding by a member", second(bob.FoundAnew(ctx(t), "moved", must[[]control.Member](t)(bobs.Members(ctx(t))))), core.KindRefused, nil)
	must[*Room](t)(ann.FoundAnew(ctx(t), "moved", must[[]control.Member](t)(room.Members(ctx(t)))))
	made := awaitEvent(t, events, func(Rekeyed) bool { return true })
	if made.Epoch != 5 || made.Maker != ann.User() || made.Members != 2 {
		t.Errorf("the first key: %+v", made)
	}
	if f := awaitEvent(t, told, func(Founded) bool { return true }); f.By != ann.User() || f.Members != 2 {
		t.Errorf("bob is told %+v", f)
	}
	must[*Room](t)(bob.TrustFounder(ctx(t), "moved", ann.User()))
	heard := bobs.Chan(t.Context())
	nodetest.Wait(t, wait, func() error { // one key may be made by the founding, and one by the reconciler
		if at, has := bobs.Epoch(); !has || at < 5 {
			return core.Errorf(core.KindFailed, "bob is at epoch %d", at)
		}
		return nil
	})
	ok(t, room.Send(ctx(t), []byte("at last")))
	receiveText(t, heard, "at last")
	want(t, "founding twice", second(ann.FoundAnew(ctx(t), "moved", nil)), core.KindExists, nil)
}
