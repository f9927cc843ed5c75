package control

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/request"
	"unibus/core/seal"
	"unibus/core/store/storetest"
)

// TestFloodOfInvitations: somebody who invites a victim into as many rooms as
// they like spends their own invitations, and nothing of the victim's.
func TestFloodOfInvitations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Quotas = Quotas{Invitations: 5, Rooms: 20, Members: 10, Rekeys: 10, Bytes: 1 << 20}
	var refused error
	for range 8 {
		room := w.room(t, false)
		if _, err := w.do(w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other)}); err != nil {
			refused = err
		}
	}
	wantKind(t, "one invitation too many", refused, core.KindRefused)
	if !strings.Contains(fmt.Sprint(refused), "has 5 pending invitations, and may have 5") {
		t.Errorf("%v", refused)
	}
	if rooms, err := w.store.RoomsOf(t.Context(), w.other); err != nil || len(rooms) != 0 {
		t.Errorf("the victim is in %v, %v", rooms, err)
	}
	got := w.must(t, w.other, methodInvitations, request.Page{}).(invitationsPage)
	if len(got.Invitations) != 5 || got.Invitations[0].By != w.owner {
		t.Errorf("the victim is invited to %+v", got)
	}
	// Others are not kept from inviting, nor the victim from answering.
	id := string(NewRoomID())
	w.must(t, w.member, methodRoomCreate, CreateRequest{ID: id})
	w.join(t, w.member, id, w.other)
	w.must(t, w.other, methodDecline, roomRequest{string(got.Invitations[0].Room)})
	w.must(t, w.owner, methodRemove, memberRequest{string(got.Invitations[1].Room), string(w.other)}) // taken back
	w.must(t, w.owner, methodInvite, inviteRequest{Room: string(got.Invitations[0].Room), User: string(w.other)})
	w.must(t, w.owner, methodInvite, inviteRequest{Room: string(got.Invitations[0].Room), User: string(w.other)}) // again is once
	if left := w.must(t, w.other, methodInvitations, request.Page{}).(invitationsPage); len(left.Invitations) != 4 {
		t.Errorf("left: %+v", left)
	}
}

// TestInvitationsAreAnswered by who is invited alone, while who sent them may invite.
func TestInvitationsAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room := w.room(t, true)
	w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberAdmin})
	for what, c := range map[string]struct {
		m  Method
		by core.UserID
	}{"accepting without one": {methodAccept, w.other}, "declining without one": {methodDecline, w.other}, "a member's": {methodAccept, w.member}} {
		_, err := w.do(c.by, c.m, roomRequest{room})
		wantKind(t, what, err, core.KindNotFound)
	}
	w.must(t, w.member, methodInvite, inviteRequest{Room: room, User: string(w.other)})
	for what, m := range map[string]Method{"the members": methodMembers, "the room": methodRoomGet, "its key": methodKey} {
		_, err := w.do(w.other, m, roomRequest{room})
		wantKind(t, "who is invited asks for "+what, err, core.KindRefused)
	}
	if info := w.must(t, w.owner, methodRoomGet, roomRequest{room}).(RoomInfo); info.Members != 2 {
		t.Errorf("who is invited is counted: %+v", info)
	}
	_, err := w.do(w.owner, methodBox, boxRequest{Box: Box{string(w.other), []byte("box")}, Room: room, Rec: core.LegacyRec})
	wantKind(t, "a key for who is invited", err, core.KindNotFound)

	w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberMember})
	_, err = w.do(w.other, methodAccept, roomRequest{room})
	wantKind(t, "an invitation by who may not invite any more", err, core.KindRefused)
	w.must(t, w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other), Role: core.MemberAdmin}) // another role: another's invitation now
	if m := w.must(t, w.other, methodAccept, roomRequest{room}).(core.Member); m.Role != core.MemberAdmin || m.State != core.MemberActive || *m.InvitedBy != string(w.owner) {
		t.Errorf("%+v", m)
	}
	late := w.addUser(t, "")
	w.must(t, w.owner, methodInvite, inviteRequest{Room: room, User: string(late)})
	w.must(t, w.owner, methodRoomArchive, roomRequest{room})
	_, err = w.do(late, methodAccept, roomRequest{room})
	wantKind(t, "an invitation to an archived room", err, core.KindRefused)
	if got := w.must(t, late, methodInvitations, request.Page{}).(invitationsPage); len(got.Invitations) != 0 {
		t.Errorf("an archived room is offered: %+v", got)
	}
}

// TestQuotas: each is refused with the number, and nothing is kept of what is over.
func TestQuotas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Quotas = Quotas{Invitations: 50, Rooms: 2, Members: 3, Rekeys: 1, Bytes: 100}
	w.now.Store(int64(core.MillisOf(time.Now())))
	room := w.room(t, true)
	w.must(t, w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other)})
	over := func(what string, m Method, req any, says string) {
		t.Helper()
		_, err := w.do(w.owner, m, req)
		wantKind(t, what, err, core.KindRefused)
		if !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	over("a fourth in a room of three", methodInvite, inviteRequest{Room: room, User: string(storeUser(t, w))}, "has 3 members and invitations, and may have 3")
	w.must(t, w.owner, methodRoomCreate, CreateRequest{ID: "second"})
	over("a third room", methodRoomCreate, CreateRequest{ID: "third"}, "has 2 rooms of their own, and may have 2")
	part := func(n int) rekeyPart {
		return rekeyPart{Room: room, Rec: rec1, Boxes: []Box{{string(w.owner), make([]byte, n)}}}
	}
	over("a box over the bytes", methodRekeyPart, part(100), "may store 100")
	w.must(t, w.owner, methodRekeyPart, part(10))
	w.must(t, w.owner, methodRekeyCommit, rekeyCommit{Room: room, Rec: rec1, Boxes: 1, Record: []byte{1}})
	const rec2 = "00000000000000c2"
	over("a second key within the hour", methodRekeyCommit, func() rekeyCommit {
		p := part(1)
		p.From, p.Rec = 1, rec2
		w.usage.by[w.owner] = userUsage{rekeys: 1}
		w.must(t, w.owner, methodRekeyPart, p)
		return rekeyCommit{Room: room, From: 1, Rec: rec2, Boxes: 1, Record: []byte{1}}
	}(), "has made 1 new keys within the hour, and may make 1")
	w.now.Add(int64(usagePeriod / time.Millisecond))
	w.must(t, w.owner, methodRekeyCommit, rekeyCommit{Room: room, From: 1, Rec: rec2, Boxes: 1, Record: []byte{1}})
}

func storeUser(t *testing.T, w *world) core.UserID {
	t.Helper()
	u := storetest.NewUser(t, "another")
	if err := w.store.AddUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return u.ID
}

// TestInvitationIsReplaced invites somebody again whose inviter may not invite any
// more: the new invitation counts.
func TestInvitationIsReplaced(t *testing.T) {
	for name, end := range map[string]func(w *world, room string){
		"demoted": func(w *world, room string) {
			w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberMember})
		},
		"revoked": func(w *world, _ string) {
			w.must(t, w.admin, methodUserRevoke, userRequest{User: string(w.member)})
		},
		"removed": func(w *world, room string) {
			w.must(t, w.owner, methodRemove, memberRequest{room, string(w.member)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			room := w.room(t, true)
			w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberAdmin})
			w.must(t, w.member, methodInvite, inviteRequest{Room: room, User: string(w.other)})
			end(w, room)
			if _, err := w.do(w.other, methodAccept, roomRequest{room}); core.KindOf(err) != core.KindRefused {
				t.Fatalf("accepting what nobody may offer: %v", err)
			}
			w.must(t, w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other)})
			w.must(t, w.other, methodAccept, roomRequest{room})
		})
	}
}

// TestHandingOverKeepsTheQuota hands rooms to somebody until they own as many as
// they may; the next one stays whose it is.
func TestHandingOverKeepsTheQuota(t *testing.T) {
	w := newWorld(t)
	w.cfg.Quotas = Quotas{Invitations: 50, Rooms: 2, Members: 9, Rekeys: 9, Bytes: 1 << 20}
	for range 2 {
		w.must(t, w.owner, methodRole, roleRequest{w.room(t, true), string(w.member), core.MemberOwner})
	}
	room := w.room(t, true)
	if _, err := w.do(w.owner, methodRole, roleRequest{room, string(w.member), core.MemberOwner}); core.KindOf(err) != core.KindRefused {
		t.Errorf("the third room was handed over: %v", err)
	}
	if r, err := w.store.Room(t.Context(), core.RoomID(room)); err != nil || r.Owner != w.owner {
		t.Errorf("the third room is %s's (%v)", r.Owner, err)
	}
}

// TestReplacedInvitationCountsOnce: an invitation to another role takes the place
// of the one that is pending, so no quota is used up by it.
func TestReplacedInvitationCountsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Quotas = Quotas{Invitations: 1, Rooms: 9, Members: 2, Rekeys: 9, Bytes: 1 << 20}
	room := w.room(t, false)
	w.must(t, w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other)})
	w.must(t, w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other), Role: core.MemberAdmin})
	if m := w.must(t, w.other, methodAccept, roomRequest{room}).(core.Member); m.Role != core.MemberAdmin {
		t.Errorf("accepted %+v", m)
	}
	_, err := w.do(w.owner, methodInvite, inviteRequest{Room: room, User: string(w.member)})
	wantKind(t, "a third in a room of two", err, core.KindRefused)
}

// TestRowsAreCounted: each statement writes the row of its subject and the founder's anew, and
// a signer pays for large ones. A removal is never held up by it.
func TestRowsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.signing(t, ""), w.signing(t, "")
	r := w.signedRoom(t, ann)
	r.join(t, ann, bob, core.MemberAdmin)
	for range 40 { // the row grows to 25 KB
		r.append(t, ann, seal.StatementRole, bob.id, core.MemberOwner)
		r.append(t, ann, seal.StatementRole, bob.id, core.MemberAdmin)
	}
	w.cfg.Quotas = Quotas{Invitations: 50, Rooms: 9, Members: 9, Rekeys: 9, Bytes: 512 << 10}
	w.usage.by = nil
	stored, most := 0, int64(0)
	for range 100 {
		raised := r.sign(t, ann, seal.StatementRole, bob.id, core.MemberOwner)
		if _, err := w.do(ann.id, methodAppend, appendRequest{r.id, [][]byte{raised}}); err != nil {
			wantKind(t, "the last one", err, core.KindRefused)
			break
		}
		if _, err := r.chain.Append(raised); err != nil {
			t.Fatal(err)
		}
		stored++
		r.append(t, ann, seal.StatementRole, bob.id, core.MemberAdmin)
		rows, err := w.store.RoomMembers(t.Context(), core.RoomID(r.id))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rows {
			most += int64(len(m.Proof))
		}
	}
	if most > 3*w.cfg.Quotas.Bytes {
		t.Errorf("%d statements were kept, which have written %d bytes", stored, most)
	}
	r.append(t, ann, seal.StatementRemove, bob.id, "")
}
