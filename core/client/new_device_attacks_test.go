package client

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// oldView is a room as a node can show it later: its chain up to a statement, its epoch, and
// somebody who has the key of that epoch.
type oldView struct {
	info  control.RoomInfo
	chain [][]byte
	row   core.EpochRecord
	key   *seal.EpochKey
	at    time.Time
}

// viewOf is the room as a member knows it now.
func viewOf(t *testing.T, r *Room) oldView {
	t.Helper()
	info := must[control.RoomInfo](t)(r.c.api.Room(ctx(t), r.id))
	rows := must[control.Epochs](t)(r.c.api.Epochs(ctx(t), control.EpochsRequest{Room: string(r.id)}))
	isAt(t, r, info.Room.Epoch)
	return oldView{info, must[[][]byte](t)(r.statementsFrom(ctx(t), 0)), rows.Records[0], r.key(t), time.Now()}
}

// with is the view with other statements.
func (v oldView) with(t *testing.T, m *seal.Membership) oldView {
	t.Helper()
	v.chain = m.Statements(0)
	epoch, record := m.Epoch()
	v.info.Chain = &control.ChainHead{MembershipHead: m.Head(), Epoch: epoch, Record: record}
	return v
}

// member is the chain of a view, to be continued by those who lie.
func (v oldView) membership(t *testing.T) *seal.Membership {
	t.Helper()
	return must[*seal.Membership](t)(seal.ReadMembership(seal.MembershipSource{Room: v.info.Room.ID, Statements: v.chain}))
}

// oldNode shows a device an old view of a room.
type oldNode struct{ *keptAnswerNode }

func newOldNode() oldNode { return oldNode{&keptAnswerNode{lyingAPI: &lyingAPI{}}} }

// open opens a user's client with a new directory.
func (n oldNode) open(t *testing.T, files testUser, change ...func(*Client)) *Client {
	t.Helper()
	files.cfg.Dir = filepath.Join(t.TempDir(), "keys")
	return files.open(append(change, func(c *Client) {
		c.wrap = func(a controlAPI) controlAPI { n.controlAPI = a; return n }
	})...)
}

// shows has the node show a view from now on, and a box that a member has sealed, if any.
func (n oldNode) shows(v oldView, box *core.SealedKey) {
	n.mu.Lock()
	if n.key = nil; box != nil {
		n.key = &control.Key{Key: *box, Record: &v.row}
	}
	n.mu.Unlock()
	n.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { *r = v.info; r.MustRekey = 0 }
		l.key = func(*control.Key) error { return core.Errorf(core.KindNotFound, "there is no box") }
		l.statements = func(req control.StatementsRequest, out *control.Statements) {
			from := min(req.From, uint64(len(v.chain)))
			*out = control.Statements{Statements: v.chain[from:], Head: *v.info.Chain, First: from}
		}
	})
}

// boxBy is a box of the view's key, which a member seals to a device.
func (v oldView) boxBy(t *testing.T, by seal.Signer, to *Client) *core.SealedKey {
	t.Helper()
	box := must[core.SealedKey](t)(seal.MakeLateBox(seal.LateBoxConfig{Epoch: v.key, For: to.ownKey(), By: by, At: core.MillisOf(time.Now())}))
	return &box
}

// beat has a device hear a heartbeat of somebody who has followed a view.
func (v oldView) beat(t *testing.T, r *Room, by keys.Identity) {
	t.Helper()
	kem := must[*seal.KEM](t)(seal.NewKEM())
	k := must[seal.KEMKey](t)(seal.ParseKEMKey(core.UserID(by.Public()), must[[]byte](t)(kem.Publish(by, core.MillisOf(time.Now())))))
	rec := v.key.Record()
	b := must[[]byte](t)(seal.Heartbeat{
		Room: r.id, User: core.UserID(by.Public()), Time: core.MillisOf(time.Now()), Members: v.info.Chain.MembershipHead,
		Epoch: rec.Epoch, Record: rec.Hash, KEMTime: k.Time, KEMHash: k.Hash,
	}.Sign(by))
	r.onHeartbeat(&nats.Msg{Subject: auth.HeartbeatSubject(r.id, by.Public()), Data: b})
}

// isOld waits until a view is so old that none of its signatures counts as made now.
func (v oldView) isOld(t *testing.T) {
	t.Helper()
	nodetest.Wait(t, wait, func() error {
		if time.Since(v.at) < witnessSlack+100*time.Millisecond {
			return core.Errorf(core.KindConflict, "it is too young")
		}
		return nil
	})
}

// puppets are users of mallory's who are invited in a history that only a node keeps.
func puppets(t *testing.T, m *seal.Membership, by keys.Identity, n int) (out []keys.Identity) {
	t.Helper()
	for range n {
		p := nodetest.Identity(t)
		add(t, m, seal.StatementConfig{Kind: seal.StatementInvite, By: by, Subject: core.UserID(p.Public()), Role: core.MemberMember, At: core.MillisOf(time.Now())})
		add(t, m, seal.StatementConfig{Kind: seal.StatementAccept, By: p, At: core.MillisOf(time.Now())})
		out = append(out, p)
	}
	return out
}

// removedAdmin is a room of ann, bob, cid and mallory, who was an admin of some role and was
// removed. view is the room before that.
func removedAdmin(t *testing.T, role core.MemberRole) (p *pair, mallory *Client, view oldView) {
	t.Helper()
	p = newPair(t)
	mallory = newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, mallory)
	join(t, p.room, newTestUser(t, p.cluster, core.RoleMember).open())
	awaitKeys(t, p.room)
	ok(t, p.room.appendSigned(ctx(t), func(*seal.Membership) ([]seal.StatementConfig, error) {
		return []seal.StatementConfig{{Kind: seal.StatementRole, Subject: mallory.User(), Role: role}}, nil
	}))
	view = viewOf(t, must[*Room](t)(mallory.Room(ctx(t), p.room.ID())))
	ok(t, p.room.Remove(ctx(t), mallory.User()))
	ok(t, p.bob.Close())
	view.isOld(t)
	return p, mallory, view
}

// TestPuppetsProveNothing: bob's new device is shown the room as it was before mallory's
// removal, and a history of mallory's after it: users of mallory's own, or the removal of all
// the others. Neither they nor mallory prove to the device that it is shown the room as it is.
func TestPuppetsProveNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		role  core.MemberRole
		forge func(t *testing.T, m *seal.Membership, bob core.UserID, mallory keys.Identity) []keys.Identity
	}{
		{"mallory and a puppet", core.MemberAdmin, func(t *testing.T, m *seal.Membership, _ core.UserID, mallory keys.Identity) []keys.Identity {
			return append(puppets(t, m, mallory, 1), mallory)
		}},
		{"two puppets", core.MemberAdmin, func(t *testing.T, m *seal.Membership, _ core.UserID, mallory keys.Identity) []keys.Identity {
			return puppets(t, m, mallory, 2)
		}},
		{"the others are removed", core.MemberOwner, func(t *testing.T, m *seal.Membership, bob core.UserID, mallory keys.Identity) []keys.Identity {
			for user := range m.People() {
				if user != core.UserID(mallory.Public()) && user != bob {
					add(t, m, seal.StatementConfig{Kind: seal.StatementRemove, By: mallory, Subject: user, At: core.MillisOf(time.Now())})
				}
			}
			return []keys.Identity{mallory}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, mallory, view := removedAdmin(t, c.role)
			m := view.membership(t)
			liars := c.forge(t, m, p.bobFiles.id, mallory.id)
			view = view.with(t, m)
			n := newOldNode()
			n.shows(view, nil)
			bob := n.open(t, p.bobFiles)
			n.shows(view, view.boxBy(t, mallory.id, bob))
			room := must[*Room](t)(bob.Room(ctx(t), p.room.ID()))
			isAt(t, room, view.info.Room.Epoch)
			for _, by := range liars {
				view.beat(t, room, by)
			}
			want(t, "sending to mallory", sendBriefly(t, room), core.KindUnavailable, ErrUnproven)
		})
	}
}

// TestRoomIsShownInSteps: the founder's new device is shown the founding alone at first, when
// there is nobody to be heard, and then the room as it was before mallory's removal.
func TestRoomIsShownInSteps(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} { // whether the room is opened again between the steps
		t.Run(map[bool]string{false: "at once", true: "later"}[again], func(t *testing.T) {
			t.Parallel()
			p := newPair(t) // bob will be removed
			join(t, p.room, newTestUser(t, p.cluster, core.RoleMember).open())
			awaitKeys(t, p.room)
			ok(t, runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) }))
			view := viewOf(t, p.bobs)
			ok(t, p.room.Remove(ctx(t), p.bob.User()))
			ok(t, p.ann.Close())
			view.isOld(t)
			first := view.with(t, must[*seal.Membership](t)(seal.ReadMembership(seal.MembershipSource{Room: p.room.ID(), Statements: view.chain[:1]})))
			n := newOldNode()
			n.shows(first, nil)
			ann := n.open(t, p.annFiles)
			room := must[*Room](t)(ann.Room(ctx(t), p.room.ID()))
			if again {
				ok(t, room.Close())
			}
			n.shows(view, view.boxBy(t, p.bob.id, ann))
			if again {
				room = must[*Room](t)(ann.Room(ctx(t), p.room.ID()))
			}
			ok(t, runJob(t, room, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) }))
			isAt(t, room, view.info.Room.Epoch)
			want(t, "sending to bob", sendBriefly(t, room), core.KindUnavailable, ErrUnproven)
		})
	}
}

// TestNewDeviceSignsNothing: a statement that an unproven device signed over an old head
// would lead whom it invites into the old room.
func TestNewDeviceSignsNothing(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	mallory, cid := newTestUser(t, p.cluster, core.RoleMember).open(), newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, mallory)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	awaitKeys(t, p.room)
	view := viewOf(t, must[*Room](t)(mallory.Room(ctx(t), p.room.ID())))
	ok(t, p.room.Remove(ctx(t), mallory.User()))
	ok(t, p.bob.Close())
	view.isOld(t)
	n := newOldNode()
	n.shows(view, nil)
	bob := n.open(t, p.bobFiles)
	n.lie(func(l *lyingAPI) {
		l.append = func(signed [][]byte) (control.ChainHead, error) {
			t.Errorf("the node has %s", must[seal.Statement](t)(seal.VerifyStatement(p.room.ID(), signed[0])))
			return control.ChainHead{}, core.Errorf(core.KindRefused, "no")
		}
	})
	room := must[*Room](t)(bob.Room(ctx(t), p.room.ID()))
	want(t, "inviting", room.Invite(ctx(t), cid.User(), ""), core.KindUnavailable, ErrUnproven)
}

// TestNoKeyIsGivenAfterARemoval: between a removal and the key that follows it, nobody is
// given the key that the removed member has: what they would send is for that member, too.
func TestNoKeyIsGivenAfterARemoval(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid, dot := newTestUser(t, p.cluster, core.RoleMember).open(), newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, cid)
	join(t, p.room, dot)
	awaitKeys(t, p.room)
	p.liar.lie(func(l *lyingAPI) { l.rekeys = func() error { return core.Errorf(core.KindUnavailable, "not now") } })
	defer stall(t, p.room)() // and ann makes none
	resume := stall(t, p.bobs)
	ok(t, p.room.change(ctx(t), removalPlan(p.room.ID(), dot.User(), new(bool)), nil))
	resume()
	err := runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error {
		if err := w.follow(ctx); err != nil {
			return err
		}
		return w.giveKey(ctx, cid.User())
	})
	want(t, "giving the key that dot has", err, core.KindUnavailable, ErrRekeyDue)
}

// TestConfirmedNumberIsTheNewest: a number of an earlier statement says nothing of what came
// after it on this device.
func TestConfirmedNumberIsTheNewest(t *testing.T) {
	t.Parallel()
	p, mallory, view := removedAdmin(t, core.MemberAdmin)
	before := view.membership(t)
	m := view.membership(t)
	puppets(t, m, mallory.id, 1)
	n := newOldNode()
	n.shows(view.with(t, m), nil)
	bob := n.open(t, p.bobFiles)
	room := must[*Room](t)(bob.Room(ctx(t), p.room.ID()))
	ok(t, p.room.fetchStatements(ctx(t)))
	ann := must[seal.RoomNumber](t)(p.room.SafetyNumberAt(before.Head().Seq))
	if here := must[seal.RoomNumber](t)(room.SafetyNumberAt(ann.Seq)); here != ann {
		t.Fatalf("ann has %+v, bob %+v", ann, here)
	}
	want(t, "a number of before", room.ConfirmNumber(ctx(t), ann), core.KindConflict, nil)
	if err := sendBriefly(t, room); err == nil {
		t.Error("the device sends")
	}
}

// TestMembersOfAFoundingAreProven: a member of a room that was founded anew, who has signed
// nothing, sends once the founder whom it has named is heard: no other member is proven before
// and could be the second one to be heard.
func TestMembersOfAFoundingAreProven(t *testing.T) {
	t.Parallel()
	o := newOlderRoom(t)
	room := must[*Room](t)(o.ann.Room(ctx(t), o.id))
	must[*Room](t)(o.ann.FoundAnew(ctx(t), o.id, must[[]control.Member](t)(room.Members(ctx(t)))))
	nodetest.Wait(t, wait, func() error { // so that her record is no news
		if r := room.key(t).Record(); time.Since(r.Time.Time()) < witnessSlack+100*time.Millisecond {
			return core.Errorf(core.KindConflict, "it is too young")
		}
		return nil
	})
	heard := room.Chan(t.Context())
	bobs := must[*Room](t)(o.bob.TrustFounder(ctx(t), o.id, o.ann.User()))
	ok(t, bobs.Send(ctx(t), []byte("bob")))
	receiveText(t, heard, "bob")
}
