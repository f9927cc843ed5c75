package client

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// acceptingAPI is a lyingAPI that calls every unsigned acceptance done, and can hide the
// invitations.
type acceptingAPI struct {
	*lyingAPI
	shows    []control.Invitation // instead of the node's, if any
	hides    atomic.Bool
	accepted atomic.Bool
}

func (a *acceptingAPI) Invitations(ctx context.Context) ([]control.Invitation, error) {
	if a.hides.Load() {
		return nil, nil
	}
	if a.shows != nil {
		return a.shows, nil
	}
	return a.lyingAPI.Invitations(ctx)
}

func (a *acceptingAPI) Accept(context.Context, core.RoomID) (core.Member, error) {
	a.accepted.Store(true)
	return core.Member{}, nil
}

func newAcceptingAPI() *acceptingAPI { return &acceptingAPI{lyingAPI: &lyingAPI{}} }

func (a *acceptingAPI) open(u testUser) *Client {
	return u.open(func(c *Client) {
		c.wrap = func(p controlAPI) controlAPI { a.controlAPI = p; return a }
	})
}

// TestSignedInvitationIsAnsweredSigned: a node that shows a signed invitation gets no
// acceptance without a signature, whether it hides the head of the chain or the invitation.
func TestSignedInvitationIsAnsweredSigned(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := newAcceptingAPI()
	cid := l.open(newTestUser(t, p.cluster, core.RoleMember))
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	if all := must[[]Invitation](t)(cid.Invitations(ctx(t))); len(all) != 1 || !all[0].Signed {
		t.Fatalf("%+v", all)
	}
	l.lie(func(l *lyingAPI) { l.invited = func(i *control.Invitation) { i.Chain = nil } })
	want(t, "without a head", second(cid.Accept(ctx(t), p.room.ID())), core.KindRefused, seal.ErrGap)
	want(t, "without a head, declined", cid.Decline(ctx(t), p.room.ID()), core.KindRefused, seal.ErrGap)
	l.lie(func(l *lyingAPI) { l.invited = nil })
	l.hides.Store(true)
	want(t, "hidden", second(cid.Accept(ctx(t), p.room.ID())), core.KindNotFound, nil)
	if l.accepted.Load() {
		t.Error("the client has accepted without a signature")
	}
	l.hides.Store(false)
	must[*Room](t)(cid.Accept(ctx(t), p.room.ID()))
}

// TestUnsignedInvitationHasNoSafetyNumber: a node that invites in a known person's name
// gets no number shown beside that name.
func TestUnsignedInvitationHasNoSafetyNumber(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := &lyingAPI{}
	cid := newTestUser(t, p.cluster, core.RoleMember).open(between(l))
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	all := must[[]Invitation](t)(cid.Invitations(ctx(t)))
	if len(all) != 1 || !all[0].Signed || all[0].SafetyNumber != number(t, p.ann, cid.User()) {
		t.Fatalf("signed: %+v", all)
	}
	l.lie(func(l *lyingAPI) { l.invited = func(i *control.Invitation) { i.Statement, i.Chain = nil, nil } })
	all = must[[]Invitation](t)(cid.Invitations(ctx(t)))
	if len(all) != 1 || all[0].Signed || all[0].By != p.ann.User() || all[0].SafetyNumber != "" {
		t.Errorf("unsigned: %+v", all)
	}
}

// TestAcceptedRoomStaysEncrypted: to somebody who has accepted a signed invitation to an
// encrypted room, a node can deny neither that it is encrypted nor that its members sign.
// Nothing is sent, and a later process knows it, too.
func TestAcceptedRoomStaysEncrypted(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for name, lie := range map[string]func(*control.RoomInfo){
		"plain":                 func(r *control.RoomInfo) { r.Room.Encrypted = false },
		"plain and unsigned":    func(r *control.RoomInfo) { r.Room.Encrypted, r.Chain = false, nil },
		"encrypted as formerly": func(r *control.RoomInfo) { r.Chain = nil },
	} {
		t.Run(name, func(t *testing.T) {
			l := &lyingAPI{}
			files := newTestUser(t, p.cluster, core.RoleMember)
			cid := files.open(between(l))
			ok(t, p.room.Invite(ctx(t), cid.User(), ""))
			must[[]Invitation](t)(cid.Invitations(ctx(t)))
			l.lie(func(l *lyingAPI) { l.room = lie })
			want(t, "accepting", second(cid.Accept(ctx(t), p.room.ID())), core.KindRefused, seal.ErrRollback)
			ok(t, cid.Close())
			cid = files.open(between(l))
			want(t, "opening it later", second(cid.Room(ctx(t), p.room.ID())), core.KindRefused, seal.ErrRollback)
			l.lie(func(l *lyingAPI) { l.room = nil })
			if room := must[*Room](t)(cid.Room(ctx(t), p.room.ID())); !room.Encrypted() {
				t.Error("the room is plain")
			}
			ok(t, cid.Close())
		})
	}
}

// TestUnsignedInvitationStaysEncrypted: a room that was shown as encrypted is so for good,
// also if the invitation was not signed.
func TestUnsignedInvitationStaysEncrypted(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	files := newTestUser(t, p.cluster, core.RoleMember)
	first := files.open() // the room's row, which the node of this test does not make
	join(t, p.room, first)
	ok(t, first.Close())
	files.cfg.Dir = filepath.Join(t.TempDir(), "keys")
	for _, hidden := range []bool{false, true} { // whether the list has it when it is accepted
		l := newAcceptingAPI()
		l.shows = []control.Invitation{{Room: p.room.ID(), Encrypted: true, Role: core.MemberMember, By: p.ann.User()}}
		cid := l.open(files)
		if all := must[[]Invitation](t)(cid.Invitations(ctx(t))); len(all) != 1 || all[0].Signed || !all[0].Encrypted {
			t.Fatalf("%+v", all)
		}
		l.hides.Store(hidden)
		l.lie(func(l *lyingAPI) {
			l.room = func(r *control.RoomInfo) { r.Room.Encrypted, r.Chain = false, nil }
		})
		want(t, "accepting", second(cid.Accept(ctx(t), p.room.ID())), core.KindRefused, seal.ErrRollback)
		ok(t, cid.Close())
		files.cfg.Dir = filepath.Join(t.TempDir(), "keys")
	}
}

// TestReadChainMakesARoomEncrypted: a user with a new directory, to whom a node shows the
// chain of an encrypted room and says that the room is plain, sends nothing there.
func TestReadChainMakesARoomEncrypted(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	files := p.bobFiles
	files.cfg.Dir = filepath.Join(t.TempDir(), "keys")
	ok(t, p.bob.Close())
	l := &lyingAPI{room: func(r *control.RoomInfo) { r.Room.Encrypted = false }}
	want(t, "opening it", second(files.open(between(l)).Room(ctx(t), p.room.ID())), core.KindRefused, seal.ErrRollback)
}

// TestEncryptedOnly: a program that uses encrypted rooms alone sends nothing in the clear on a
// new device, whatever a node says of the room.
func TestEncryptedOnly(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	files := p.bobFiles
	files.cfg.Dir = filepath.Join(t.TempDir(), "keys")
	files.cfg.EncryptedOnly = true
	ok(t, p.bob.Close())
	l := &lyingAPI{room: func(r *control.RoomInfo) { r.Room.Encrypted, r.Chain = false, nil }}
	bob := files.open(between(l))
	want(t, "opening it", second(bob.Room(ctx(t), p.room.ID())), core.KindRefused, seal.ErrRollback)
	l.lie(func(l *lyingAPI) { l.room = nil })
	must[*Room](t)(bob.Room(ctx(t), p.room.ID()))
	want(t, "making a plain room", second(bob.CreateRoom(ctx(t), NewRoom{ID: "lobby"})), core.KindRefused, nil)
	plain := must[*Room](t)(p.ann.CreateRoom(ctx(t), NewRoom{ID: "lobby"}))
	ok(t, plain.Invite(ctx(t), bob.User(), ""))
	want(t, "joining a plain room", second(bob.Accept(ctx(t), "lobby")), core.KindRefused, nil)
	ok(t, bob.Decline(ctx(t), "lobby"))
	want(t, "joining no room", second(bob.Accept(ctx(t), "none")), core.KindNotFound, nil)
}
