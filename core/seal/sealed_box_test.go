package seal

import (
	"errors"
	"testing"

	"unibus/core"
)

func TestEveryMemberOpensItsBox(t *testing.T) {
	t.Parallel()
	people := roster(t, "ann", "bob", "cid", "dot", "eve")
	r := rekey(t, nil, people[2], people...)
	for _, p := range people {
		o, err := OpenBox(r.Key.record, boxOf(t, r, p), p.user, p.kem)
		ok(t, err)
		if o.Key.RoomKey() != r.Key.RoomKey() || o.By != people[2].user || o.Late {
			t.Errorf("%s opened %+v", p.user, o)
		}
	}
	for i := 1; i < len(r.Keys); i++ {
		if r.Keys[i-1].User >= r.Keys[i].User {
			t.Error("the boxes are not in the order of their members")
		}
	}
}

// TestSwappedBoxIsFound: a server may hand out any other box in place of the right one.
func TestSwappedBoxIsFound(t *testing.T) {
	t.Parallel()
	ann, bob, eve := newPerson(t, "ann"), newPerson(t, "bob"), newPerson(t, "eve")
	first := rekey(t, nil, ann, ann, bob, eve)
	second := rekey(t, first.Key, ann, ann, bob)
	mine := boxOf(t, first, bob)
	with := func(change func(k *core.SealedKey)) core.SealedKey {
		k := mine
		change(&k)
		return k
	}
	forged := forgedBox(t, first.Key.record, bob)
	for name, k := range map[string]core.SealedKey{
		"another member's row":      boxOf(t, first, eve),
		"another member's box":      with(func(k *core.SealedKey) { k.Box = boxOf(t, first, eve).Box }),
		"another epoch's row":       boxOf(t, second, bob),
		"another epoch's box":       with(func(k *core.SealedKey) { k.Box = boxOf(t, second, bob).Box }),
		"another room's row":        with(func(k *core.SealedKey) { k.Room = "attic" }),
		"another rec's row":         with(func(k *core.SealedKey) { k.Rec = second.Record.Rec }),
		"one that the server made":  with(func(k *core.SealedKey) { k.Box = forged }),
		"a late one of nobody here": with(func(k *core.SealedKey) { k.Box = lateBy(t, second.Key, ann, bob).Box }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := OpenBox(first.Key.record, k, bob.user, bob.kem)
			refused(t, err, ErrBox)
		})
	}
	_, err := OpenBox(first.Key.record, mine, bob.user, eve.kem)
	refused(t, err, ErrKey)
}

// forgedBox is what a server can make: sealed well, and in no tree.
func forgedBox(t *testing.T, r Record, to person) []byte {
	t.Helper()
	ct, err := sealTo(r.Place, NewRoomKey(), to.key)
	ok(t, err)
	return recordBox(newBoxCore(boxOfRecord, to.key.Hash, ct), 0, make([]Hash, 2))
}

func lateBy(t testing.TB, e *EpochKey, by, to person) core.SealedKey {
	t.Helper()
	k, err := MakeLateBox(LateBoxConfig{Epoch: e, For: to.key, By: by, At: start + 1})
	ok(t, err)
	return k
}

func TestSealedToASwappedKeyIsFound(t *testing.T) {
	t.Parallel()
	ann, bob := newPerson(t, "ann"), newPerson(t, "bob")
	fresh, err := NewKEM()
	ok(t, err)
	r := rekey(t, nil, ann, ann, bob)
	_, err = OpenBox(r.Key.record, boxOf(t, r, bob), bob.user, fresh)
	refused(t, err, ErrKey)
}

// TestLyingMakerIsFound: a maker who seals something else than what the record commits to.
func TestLyingMakerIsFound(t *testing.T) {
	t.Parallel()
	ann, bob := newPerson(t, "ann"), newPerson(t, "bob")
	m, err := newRecordMaker(RecordConfig{
		Room: "lobby", Epoch: 1, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(ann, bob), By: ann, At: start, Reason: ReasonFirst,
	})
	ok(t, err)
	cores := make([][]byte, 2)
	for i, to := range m.members {
		ct, err := sealTo(m.record.Place, NewRoomKey(), to)
		ok(t, err)
		cores[i] = newBoxCore(boxOfRecord, to.Hash, ct)
	}
	r, err := m.finish(cores)
	ok(t, err)
	_, err = OpenBox(r.Key.record, boxOf(t, r, bob), bob.user, bob.kem)
	refused(t, err, ErrCommitment)

	elsewhere, err := sealTo(Place{"attic", 1, "a"}, r.Key.key, bob.key)
	ok(t, err)
	for i, to := range m.members {
		cores[i] = newBoxCore(boxOfRecord, to.Hash, elsewhere)
	}
	r, err = m.finish(cores)
	ok(t, err)
	_, err = OpenBox(r.Key.record, boxOf(t, r, bob), bob.user, bob.kem)
	refused(t, err, ErrBox)
}

func TestEveryBitOfABoxCounts(t *testing.T) {
	t.Parallel()
	ann, bob, cid := newPerson(t, "ann"), newPerson(t, "bob"), newPerson(t, "cid")
	r := rekey(t, nil, ann, ann, bob, cid)
	for name, k := range map[string]core.SealedKey{"record": boxOf(t, r, bob), "late": lateBy(t, r.Key, ann, bob)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := k
			_, err := OpenBox(r.Key.record, row, bob.user, bob.kem)
			ok(t, err)
			eachBit(k.Box, func(what string, flipped []byte) {
				row.Box = flipped
				if _, err := OpenBox(r.Key.record, row, bob.user, bob.kem); !errors.Is(err, ErrBox) && !errors.Is(err, ErrFormat) {
					t.Errorf("%s: %v", what, err)
				}
			})
			cuts(k.Box, func(what string, cut []byte) {
				row.Box = cut
				if _, err := OpenBox(r.Key.record, row, bob.user, bob.kem); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrBox) {
					t.Errorf("%s: %v", what, err)
				}
			})
		})
	}
}

func TestInvitedLater(t *testing.T) {
	t.Parallel()
	ann, bob, cid := newPerson(t, "ann"), newPerson(t, "bob"), newPerson(t, "cid")
	r := rekey(t, nil, ann, ann, bob)
	k := lateBy(t, opened(t, r, bob), bob, cid)
	o, err := OpenBox(r.Key.record, k, cid.user, cid.kem)
	ok(t, err)
	if o.By != bob.user || !o.Late || o.Key.RoomKey() != r.Key.RoomKey() || len(k.Box) != 1363 {
		t.Errorf("%+v, %d bytes", o, len(k.Box))
	}
	// Of a record with the same name that another maker made, it is worth nothing.
	again, err := MakeRecord(RecordConfig{
		Room: "lobby", Epoch: 1, Rec: r.Record.Rec, Key: r.Key.RoomKey(), Members: keysOf(bob), By: bob, At: start, Reason: ReasonFirst,
	})
	ok(t, err)
	_, err = OpenBox(again.Key.record, k, cid.user, cid.kem)
	refused(t, err, ErrBox)
	// A record's box is not in the tree of anybody invited later.
	k.Box = boxOf(t, r, bob).Box
	_, err = OpenBox(r.Key.record, k, cid.user, cid.kem)
	refused(t, err, ErrBox)

	_, err = MakeLateBox(LateBoxConfig{For: cid.key, By: bob})
	invalid(t, err)
	_, err = MakeLateBox(LateBoxConfig{Epoch: r.Key, By: bob})
	invalid(t, err)
	_, err = MakeLateBox(LateBoxConfig{Epoch: r.Key, For: cid.key})
	invalid(t, err)
}

// TestRemovedMemberOpensNothing of the next epoch, with everything that it has and every box that there is.
func TestRemovedMemberOpensNothing(t *testing.T) {
	t.Parallel()
	ann, bob, eve := newPerson(t, "ann"), newPerson(t, "bob"), newPerson(t, "eve")
	before := rekey(t, nil, ann, ann, bob, eve)
	old := opened(t, before, eve)
	after := rekey(t, before.Key, ann, ann, bob)
	c := NewChain("lobby")
	_, err := c.TrustFirst(before.Record)
	ok(t, err)
	record, err := c.Advance(after.Record, old) // it can follow the chain
	ok(t, err)
	for _, k := range after.Keys {
		for _, as := range []core.UserID{k.User, eve.user} {
			k.User = as
			if _, err := OpenBox(record, k, as, eve.kem); err == nil {
				t.Errorf("opened the box of %s", as)
			}
		}
	}
	_, err = NewEpochKey(record, old.RoomKey())
	refused(t, err, ErrCommitment)
	r := NewReceiver(ReceiverConfig{Room: "lobby"})
	ok(t, r.Advance(old))
	msg := sealed(t, opened(t, after, bob), bob, "without eve")
	_, err = r.Open(bob.user, msg)
	refused(t, err, ErrFutureEpoch)
	m, _ := parseMessage(msg)
	aead, err := old.session(bob.user, m.session)
	ok(t, err)
	if _, err := aead.Open(nil, m.nonce(), m.sealed, associatedData(messageBinding("lobby", bob.user), m.raw)); err == nil {
		t.Error("the old key opens a message of the next epoch")
	}
}
