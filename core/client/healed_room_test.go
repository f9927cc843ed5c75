package client

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestJoinerIsNotTakenBack: a thief has the key of epoch 2. The room was healed: it is at epoch 3, which ann's
// statements name, the invitation of cid among them. The node says to cid that the room is at epoch 2, with a late box
// that a ghost of the thief has made.
func TestJoinerIsNotTakenBack(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	id := p.room.ID()
	stolen := p.bobs.key(t) // epoch 2
	rows := must[control.Epochs](t)(p.bob.api.Epochs(ctx(t), control.EpochsRequest{Room: string(id)}))
	ok(t, p.room.Rekey(ctx(t)))
	isAt(t, p.room, 3)
	n := &keptAnswerNode{lyingAPI: &lyingAPI{}}
	cid := newTestUser(t, p.cluster, core.RoleMember).open(func(c *Client) {
		c.wrap = func(a controlAPI) controlAPI { n.controlAPI = a; return n }
	})
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	ghost := nodetest.Identity(t)
	box := must[core.SealedKey](t)(seal.MakeLateBox(seal.LateBoxConfig{Epoch: stolen, For: cid.ownKey(), By: ghost, At: core.MillisOf(time.Now())}))
	n.key = &control.Key{Key: box, Record: &rows.Records[0]}
	n.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { r.Room.Epoch, r.Room.Rec, r.MustRekey = 2, rows.Records[0].Rec, 0 }
	})
	must[[]Invitation](t)(cid.Invitations(ctx(t)))
	room, err := cid.Accept(ctx(t), id)
	if err != nil {
		return
	}
	var named core.Epoch
	room.members.use(func(m *seal.Membership) { named, _ = m.Epoch() })
	if err := room.Send(ctx(t), []byte("secret")); err == nil {
		t.Errorf("cid follows statements that name epoch %d, and sends in epoch %d, whose key the thief has", named, room.view.Load().sender.Record().Epoch)
	}
}

// earlierState is a room's file as a release before members signed knows it.
type earlierState struct {
	V         int                         `json:"v"`
	Encrypted bool                        `json:"encrypted"`
	Head      *earlierHead                `json:"head,omitempty"`
	Marks     map[core.UserID]core.Millis `json:"marks,omitempty"`
}

type earlierHead struct {
	Room  core.RoomID `json:"room"`
	Epoch core.Epoch  `json:"epoch"`
	Rec   string      `json:"rec"`
	Hash  seal.Hash   `json:"hash"`
}

// TestEarlierReleaseDoesNotForget: a program of an earlier release opens the same directory, and saves the room.
// It refuses files of a newer version only.
func TestEarlierReleaseDoesNotForget(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.bob.Close())
	path := p.bob.dir.path(roomFile(p.room.ID()))
	var e earlierState
	ok(t, json.Unmarshal(must[[]byte](t)(os.ReadFile(path)), &e))
	if e.V > 1 {
		return // it says that it is of a newer version
	}
	ok(t, os.WriteFile(path, must[[]byte](t)(json.Marshal(e)), 0o600))
	var s roomState
	ok(t, json.Unmarshal(must[[]byte](t)(os.ReadFile(path)), &s))
	if !s.isSigned() {
		t.Error("what the members signed and this user has followed is forgotten: the room is one without saved state again")
	}
}

// TestFrozenEpoch: the room was healed by a new key; bob is shown the statements since, which name epoch 3, and
// the node says that the room is at epoch 2 still.
func TestFrozenEpoch(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	rec := p.bobs.Info().Room.Rec
	p.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { r.Room.Epoch, r.Room.Rec, r.MustRekey = 2, rec, 0 }
	})
	ok(t, p.room.Rekey(ctx(t)))
	isAt(t, p.room, 3)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	var named core.Epoch
	nodetest.Wait(t, wait, func() error {
		p.bobs.wake()
		p.bobs.members.use(func(m *seal.Membership) { named, _ = m.Epoch() })
		if named != 3 {
			return core.Errorf(core.KindConflict, "bob has not followed the statement")
		}
		return nil
	})
	p.bobs.wake()
	if err := sendBriefly(t, p.bobs); err == nil {
		t.Errorf("bob has followed a statement that names epoch %d, and sends in epoch %d", named, p.bobs.view.Load().sender.Record().Epoch)
	}
}
