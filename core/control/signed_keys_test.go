package control

import (
	"testing"

	"unibus/core"
	"unibus/core/seal"
)

// kemOf is a published encryption key of a user.
func kemOf(t testing.TB, u signingUser) seal.KEMKey {
	t.Helper()
	kem, err := seal.NewKEM()
	if err != nil {
		t.Fatal(err)
	}
	b, err := kem.Publish(u, 1)
	if err != nil {
		t.Fatal(err)
	}
	k, err := seal.ParseKEMKey(u.id, b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// makeRecord is a record with its boxes, over a chain or, with nil, without one.
func makeRecord(t testing.TB, cfg seal.RecordConfig, to ...signingUser) seal.Rekeyed {
	t.Helper()
	cfg.Rec, cfg.Key, cfg.At, cfg.Reason = seal.NewRec(), seal.NewRoomKey(), 1, seal.ReasonAsked
	for _, u := range to {
		cfg.Members = append(cfg.Members, kemOf(t, u))
	}
	made, err := seal.MakeRecord(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// sendRecord sends a record with its boxes as a user.
func (w *world) sendRecord(by core.UserID, made seal.Rekeyed) error {
	r := made.Record
	part := rekeyPart{Room: string(r.Room), From: r.Epoch - 1, Rec: r.Rec}
	for _, k := range made.Keys {
		part.Boxes = append(part.Boxes, Box{string(k.User), k.Box})
	}
	if _, err := w.do(by, methodRekeyPart, part); err != nil {
		return err
	}
	_, err := w.do(by, methodRekeyCommit, rekeyCommit{Room: string(r.Room), From: r.Epoch - 1, Rec: r.Rec, Boxes: len(made.Keys), Record: r.Record})
	return err
}

// TestKeysAreForTheSigned: a node keeps a box or a record only if the members' statements
// lead to its user and to its maker, and if the record names them.
func TestKeysAreForTheSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob, cid, ghost := w.signing(t, ""), w.signing(t, ""), w.signing(t, ""), w.signing(t, "")
	r := w.signedRoom(t, ann)
	room := core.RoomID(r.id)
	older, err := seal.ReadMembership(seal.MembershipSource{Room: room, Statements: r.chain.Statements(0)})
	if err != nil {
		t.Fatal(err)
	}
	r.join(t, ann, bob, core.MemberMember)
	r.join(t, ann, cid, core.MemberMember)
	if err := w.store.PutMember(t.Context(), core.Member{Room: room, User: ghost.id, Role: core.MemberAdmin, State: core.MemberActive, Joined: 1}); err != nil {
		t.Fatal(err)
	}
	first := seal.RecordConfig{Room: room, Epoch: 1}
	with := func(by signingUser, chain *seal.Membership) seal.RecordConfig {
		c := first
		c.By, c.Chain = by, chain
		return c
	}
	forged, err := seal.MakeFounding(seal.FoundingConfig{Room: room, By: ghost, At: 1, Encrypted: true})
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, "a box of the record for a ghost", w.sendRecord(ann.id, makeRecord(t, with(ann, nil), ann, ghost)), core.KindConflict)
	wantKind(t, "a ghost's record over members of its own", w.sendRecord(ghost.id, makeRecord(t, with(ghost, forged), ghost)), core.KindConflict)
	wantKind(t, "a record without members, of an older client", w.sendRecord(ann.id, makeRecord(t, with(ann, nil), ann, bob)), core.KindRefused)
	wantKind(t, "a record of somebody else", w.sendRecord(bob.id, makeRecord(t, with(ann, r.chain), ann, bob)), core.KindRefused)
	wantKind(t, "what is no record", func() error {
		made := makeRecord(t, with(ann, r.chain), ann)
		made.Record.Record = []byte("record")
		return w.sendRecord(ann.id, made)
	}(), core.KindInvalid)
	wantKind(t, "boxes that are not the record's", func() error {
		made := makeRecord(t, with(ann, r.chain), ann, bob)
		made.Keys = made.Keys[:1]
		return w.sendRecord(ann.id, made)
	}(), core.KindInvalid)
	good := makeRecord(t, with(ann, r.chain), ann, bob)
	wantKind(t, "the record of a member", w.sendRecord(ann.id, good), "")
	wantKind(t, "a record over older members", w.sendRecord(ann.id, makeRecord(t, seal.RecordConfig{Room: room, Epoch: 2, By: ann, Chain: older, PrevKey: good.Key}, ann)), core.KindRefused)

	late := func(by, to signingUser) error {
		k, err := seal.MakeLateBox(seal.LateBoxConfig{Epoch: good.Key, For: kemOf(t, to), By: by, At: 1})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.do(by.id, methodBox, boxRequest{Box: Box{string(to.id), k.Box}, Room: r.id, Epoch: 1, Rec: good.Record.Rec})
		return err
	}
	wantKind(t, "a box for a ghost", late(bob, ghost), core.KindConflict)
	wantKind(t, "a box by a ghost", late(ghost, cid), core.KindConflict)
	_, err = w.store.Key(t.Context(), room, 1, ghost.id)
	wantKind(t, "the ghost's box", err, core.KindNotFound)
	wantKind(t, "a box for a member", late(bob, cid), "")
}
