package control

import (
	"context"
	"testing"

	"unibus/core"
)

// meddled is a store in which others do something just before a room's boxes are read.
type meddled struct {
	core.Store
	holders []func() // before the first read, the second…
	reads   int      // of boxes
	lagging []core.Member
	until   int // so many reads of members give those that lag, unless a later proof is asked for
	members int
}

func (m *meddled) KeyHolders(ctx context.Context, id core.RoomID) ([]core.UserID, error) {
	if m.reads++; m.reads <= len(m.holders) {
		m.holders[m.reads-1]()
	}
	return m.Store.KeyHolders(ctx, id)
}

func (m *meddled) Members(ctx context.Context, id core.RoomID) ([]core.Member, error) {
	if m.members++; m.members <= m.until {
		return m.lagging, nil
	}
	return m.Store.Members(ctx, id)
}

func (m *meddled) RoomMembers(ctx context.Context, id core.RoomID) ([]core.Member, error) {
	if m.members++; m.members <= m.until {
		return m.lagging, nil
	}
	return m.Store.RoomMembers(ctx, id)
}

// look has the owner read a room through a store that others meddle with.
func (m *meddled) look(t *testing.T, w *world, room string) (RoomInfo, error) {
	t.Helper()
	m.Store = w.store
	w.holder.Publish(m)
	defer w.holder.Publish(w.store)
	info, err := w.do(w.owner, methodRoomGet, roomRequest{room})
	if err != nil {
		return RoomInfo{}, err
	}
	return info.(RoomInfo), nil
}

// keyed is a room of the owner and a member at epoch 1, with a box for each.
func (w *world) keyed(t *testing.T) string {
	t.Helper()
	r := w.room(t, true)
	w.rekey(t, r, 0, rec1, w.owner, w.member)
	return r
}

func (w *world) rekey(t *testing.T, room string, from core.Epoch, rec string, users ...core.UserID) {
	t.Helper()
	p := rekeyPart{Room: room, From: from, Rec: rec}
	for _, u := range users {
		p.Boxes = append(p.Boxes, Box{string(u), []byte("box")})
	}
	w.must(t, w.owner, methodRekeyPart, p)
	w.must(t, w.owner, methodRekeyCommit, rekeyCommit{Room: room, From: from, Rec: rec, Boxes: len(users), Record: []byte("record")})
}

// TestRoomIsShownAtOneEpoch: a rekey between the reads of one answer never lets
// the former epoch pass for one that nobody must leave.
func TestRoomIsShownAtOneEpoch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.keyed(t)
	w.must(t, w.owner, methodRemove, memberRequest{r, string(w.member)})
	m := &meddled{holders: []func(){func() { w.rekey(t, r, 1, "00000000000000a2", w.owner) }}}
	info, err := m.look(t, w, r)
	if err != nil || info.Room.Epoch != 2 || info.Room.Rec != "00000000000000a2" || info.MustRekey != 0 || info.Unkeyed != 0 || info.Members != 1 {
		t.Errorf("a room that was rekeyed while it was read is shown as %+v, %v", info, err)
	}
	if m.reads != 2 {
		t.Errorf("the boxes were read %d times, want again once", m.reads)
	}
	for i := range core.EpochTries {
		m.holders = append(m.holders, func() { w.rekey(t, r, core.Epoch(i+2), "00000000000000b"+string(rune('0'+i)), w.owner) })
	}
	m.holders, m.reads = m.holders[1:], 0
	_, err = m.look(t, w, r)
	wantKind(t, "a room that gets one key after the other", err, core.KindUnavailable)
}

// TestWhoIsGivenAKeyMeanwhileCounts: somebody who is invited and given the key
// while the room is read is no stranger with a key.
func TestWhoIsGivenAKeyMeanwhileCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.keyed(t)
	before, err := w.store.Members(t.Context(), core.RoomID(r))
	if err != nil {
		t.Fatal(err)
	}
	m := &meddled{lagging: before, holders: []func(){func() {
		w.join(t, w.owner, r, w.other)
		w.must(t, w.owner, methodBox, boxRequest{Box: Box{string(w.other), []byte("box")}, Room: r, Epoch: 1, Rec: rec1})
	}}}
	check := func(what string, members, must int) {
		t.Helper()
		info, err := m.look(t, w, r)
		if err != nil || info.Members != members || info.MustRekey != must || info.Unkeyed != 0 {
			t.Errorf("%s the room is shown as %+v, %v", what, info, err)
		}
	}
	check("after an invitation meanwhile", 3, 0)
	// This node's watch of members may be behind that of keys: then it is proven again.
	m.until, m.members = 1, 0
	check("with members as of a moment ago", 3, 0)
	m.until, m.members, m.reads = 0, 0, 1
	check("without anything new", 3, 0)
	if m.reads != 2 || m.members != 1 {
		t.Errorf("a room in which nothing changed cost %d reads of boxes and %d of members", m.reads-1, m.members)
	}
	w.must(t, w.owner, methodRemove, memberRequest{r, string(w.member)})
	check("after a removal", 2, 1)
}
