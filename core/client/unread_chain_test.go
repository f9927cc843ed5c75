package client

import (
	"context"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/seal"
)

// TestNobodyIsAMemberWithoutAChain: in an encrypted room whose statements are not here, the
// node's list makes nobody a member: no key is made for or given to anybody on it, and
// nobody is read.
func TestNobodyIsAMemberWithoutAChain(t *testing.T) {
	t.Parallel()
	o := newOlderRoom(t)
	room := must[*Room](t)(o.ann.Room(ctx(t), o.id))
	isAt(t, room, 1)
	ok(t, runJob(t, room, func(ctx context.Context, w *reconciler) error {
		for _, c := range []*Client{o.bob, o.ghost} {
			if is, err := w.isMember(ctx, c.User()); err != nil || is {
				t.Errorf("%s is a member by the node's word: %v, %v", c.User().Short(), is, err)
			}
		}
		return nil
	}))
	cfg := seal.RecordConfig{
		Room: o.id, Epoch: 2, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: []seal.KEMKey{o.ann.ownKey(), o.ghost.ownKey()},
		By: o.ann.id, At: 1, Reason: seal.ReasonOther, PrevKey: o.key,
	}
	want(t, "a key for those whom the node lists", second(room.sealRecord(cfg)), core.KindUnavailable, nil)

	heard := room.Chan(t.Context())
	s := must[*seal.Sender](t)(seal.NewSender(seal.SenderConfig{Key: o.key, By: o.ghost.id}))
	data := must[[]byte](t)(s.Seal([]byte("as a member"), core.MillisOf(time.Now())))
	ok(t, o.ghost.nc.Publish(auth.RoomSubject(o.id, string(o.ghost.User())), data))
	want(t, "what a member by the node's word says", await(t, "an answer to it", heard).Err, core.KindRefused, ErrNotMember)
}

// TestEncryptedLater: a node calls a room plain first, and encrypted later. Its answers
// about the members meanwhile count for nothing, and nothing is sent in the clear any more,
// also before the room's keys were followed.
func TestEncryptedLater(t *testing.T) {
	t.Parallel()
	o := newOlderRoom(t)
	ok(t, o.ann.Close())
	l := &lyingAPI{room: func(r *control.RoomInfo) { r.Room.Encrypted = false }}
	ann := o.annFiles.open(between(l))
	room := must[*Room](t)(ann.Room(ctx(t), o.id))
	heard := room.Chan(t.Context())
	publish := func(text string) {
		ok(t, o.ghost.nc.Publish(auth.RoomSubject(o.id, string(o.ghost.User())), []byte(text)))
	}
	publish("in the clear")
	receiveText(t, heard, "in the clear")
	defer stall(t, room)()
	inLoop(t, room, func(l *roomLoop) { l.info.Room.Encrypted = true }) // as it is between the answer and the keys
	if s, err := room.sender(); s == nil && err == nil {
		t.Error("sent in the clear")
	}
	inLoop(t, room, func(l *roomLoop) {
		if known, member := l.statusOf(o.ghost.User()); known && member {
			t.Error("a member by the node's word")
		}
	})
}

// TestJoinedRoomIsKnownAsEncrypted: a member who joins is given the key, also if what is saved
// of the room says by its head or chain alone that it is encrypted.
func TestJoinedRoomIsKnownAsEncrypted(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	inLoop(t, p.room, func(l *roomLoop) {
		l.saved.Encrypted = false
		l.members[p.bob.User()] = &memberStatus{member: true, at: time.Now()}
		l.emit(control.Event{Kind: control.EventMember, Room: l.room.id, User: p.bob.User(), Joined: true})
		if _, noted := l.keyRequests[p.bob.User()]; !noted {
			t.Error("the member who has joined is given no key")
		}
	})
}
