package control

import (
	"testing"

	"unibus/core"
	"unibus/core/request"
)

// TestArchivedRoom: in an archived room nothing is changed, but it can be read and left, by its owner too.
func TestArchivedRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.room(t, true)
	w.must(t, w.owner, methodRoomArchive, roomRequest{r})
	for m, rule := range Rules() {
		if !rule.inRoom() || !rule.Acts || m == methodLeave {
			continue
		}
		_, err := w.do(w.owner, m, roomRequest{r})
		wantKind(t, string(m)+" in an archived room", err, core.KindRefused)
	}
	w.must(t, w.member, methodMembers, membersRequest{Room: r})
	w.must(t, w.member, methodLeave, roomRequest{r})
	w.must(t, w.owner, methodLeave, roomRequest{r})
	if mine := w.must(t, w.owner, methodRooms, request.Page{}).(roomsPage); len(mine.Rooms) != 0 {
		t.Errorf("after the owner left the rooms are %+v", mine.Rooms)
	}
	if info := w.must(t, w.owner, methodRoomGet, roomRequest{r}).(RoomInfo); info.Members != 0 || info.Role != core.MemberOwner {
		t.Errorf("a room that all have left is shown as %+v", info)
	}
	_, err := w.do(w.owner, methodLeave, roomRequest{r})
	wantKind(t, "leaving it twice", err, core.KindNotFound)
	live := w.room(t, false)
	_, err = w.do(w.owner, methodLeave, roomRequest{live})
	wantKind(t, "the owner of a room in use leaves", err, core.KindRefused)
}

// TestRekeyRaces: too few boxes, a removal in the middle, two at once, and an invitation in between.
func TestRekeyRaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.room(t, true)
	part := func(by core.UserID, rec string, users ...core.UserID) {
		t.Helper()
		p := rekeyPart{Room: r, Rec: rec}
		for _, u := range users {
			p.Boxes = append(p.Boxes, Box{string(u), []byte(rec)})
		}
		w.must(t, by, methodRekeyPart, p)
	}
	commit := func(by core.UserID, rec string, boxes int) error {
		_, err := w.do(by, methodRekeyCommit, rekeyCommit{Room: r, Rec: rec, Boxes: boxes, Record: []byte(rec)})
		return err
	}
	const lost, won = "00000000000000b1", "00000000000000b2"
	part(w.owner, rec1, w.owner, w.member)
	wantKind(t, "a commit that misses a box", commit(w.owner, rec1, 3), core.KindConflict)
	w.must(t, w.owner, methodRemove, memberRequest{r, string(w.member)})
	wantKind(t, "a commit with a box for who was removed", commit(w.owner, rec1, 2), core.KindConflict)

	w.join(t, w.owner, r, w.member)
	part(w.owner, lost, w.owner, w.member)
	part(w.member, won, w.owner, w.member)
	w.join(t, w.owner, r, w.other)
	if err := commit(w.member, won, 2); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "the rekey that was slower", commit(w.owner, lost, 2), core.KindConflict)
	if k := w.must(t, w.owner, methodKey, keyRequest{r, 1}).(Key); string(k.Key.Box) != won || string(k.Record.Record) != won {
		t.Errorf("the owner's key is %+v", k)
	}
	// A member who was invited in between has no box, and is given one once.
	if info := w.must(t, w.other, methodRoomGet, roomRequest{r}).(RoomInfo); info.Unkeyed != 1 {
		t.Errorf("the room is shown as %+v", info)
	}
	give := boxRequest{Box: Box{string(w.other), []byte("late")}, Room: r, Epoch: 1, Rec: won}
	stale := give
	stale.Rec = lost
	_, err := w.do(w.member, methodBox, stale)
	wantKind(t, "a box under another record", err, core.KindConflict)
	w.must(t, w.member, methodBox, give)
	_, err = w.do(w.member, methodBox, give)
	wantKind(t, "another's box, replaced by a plain member", err, core.KindExists)
}

// TestAdminsRevokeEachOther: of two at once one is refused.
func TestAdminsRevokeEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pair := [2]core.UserID{w.admin, w.addUser(t, core.RoleAdmin)}
	done := make(chan error, 2)
	for i := range pair {
		go func() {
			_, err := w.do(pair[i], methodUserRevoke, userRequest{string(pair[1-i])})
			done <- err
		}()
	}
	kinds := map[core.Kind]int{}
	for range pair {
		kinds[core.KindOf(<-done)]++
	}
	if kinds[""] != 1 || kinds[core.KindRefused] != 1 {
		t.Errorf("two admins who revoke each other: %v", kinds)
	}
}
