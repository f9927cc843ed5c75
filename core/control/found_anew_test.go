package control

import (
	"testing"

	"unibus/core"
	"unibus/core/seal"
)

// unsignedRoom is a room of before members signed: a member and somebody who is left out.
func (w *world) unsignedRoom(t testing.TB) (id string, owner, member signingUser, left core.UserID) {
	t.Helper()
	owner, member, left = w.signing(t, ""), w.signing(t, ""), w.addUser(t, "")
	id = string(NewRoomID())
	w.must(t, owner.id, methodRoomCreate, CreateRequest{ID: id, Encrypted: true})
	w.join(t, owner.id, id, member.id)
	w.join(t, owner.id, id, left)
	return id, owner, member, left
}

// foundingOf is a request that founds a room anew.
func foundingOf(t testing.TB, id string, by signingUser, people map[core.UserID]core.MemberRole) (FoundAnewRequest, *seal.Membership) {
	t.Helper()
	snapshot, err := seal.MakeSnapshot(core.RoomID(id), true, people)
	if err != nil {
		t.Fatal(err)
	}
	m, err := seal.MakeFounding(seal.FoundingConfig{Room: core.RoomID(id), By: by, At: 1, Encrypted: true, Snapshot: snapshot})
	if err != nil {
		t.Fatal(err)
	}
	return FoundAnewRequest{Room: id, Founding: m.Statements(0)[0], Snapshot: snapshot}, m
}

// TestFoundAnew: the owner of an older room founds it with members whom the node knows.
// Those who are left out are members no more, and the chain goes on from there.
func TestFoundAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, ann, bob, left := w.unsignedRoom(t)
	dot, stranger := w.signing(t, ""), w.addUser(t, "")
	w.must(t, ann.id, methodInvite, inviteRequest{Room: id, User: string(dot.id)}) // pending, and not signed
	good := map[core.UserID]core.MemberRole{ann.id: core.MemberOwner, bob.id: core.MemberMember}
	req, chain := foundingOf(t, id, ann, good)
	theirs, _ := foundingOf(t, id, bob, map[core.UserID]core.MemberRole{ann.id: core.MemberMember, bob.id: core.MemberOwner})
	role, _ := foundingOf(t, id, ann, map[core.UserID]core.MemberRole{ann.id: core.MemberOwner, bob.id: core.MemberAdmin})
	with, _ := foundingOf(t, id, ann, map[core.UserID]core.MemberRole{ann.id: core.MemberOwner, stranger: core.MemberMember})
	plain, err := seal.MakeFounding(seal.FoundingConfig{Room: core.RoomID(id), By: ann, At: 1, Encrypted: true})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		by   core.UserID
		req  FoundAnewRequest
		want core.Kind
	}{
		"by a member":                   {bob.id, theirs, core.KindRefused},
		"by a user-admin":               {w.admin, req, core.KindRefused},
		"in another's name":             {ann.id, theirs, core.KindInvalid},
		"with a role that nobody has":   {ann.id, role, core.KindConflict},
		"with a stranger":               {ann.id, with, core.KindConflict},
		"with other members than named": {ann.id, FoundAnewRequest{id, req.Founding, role.Snapshot}, core.KindRefused},
		"without members":               {ann.id, FoundAnewRequest{id, plain.Statements(0)[0], nil}, core.KindInvalid},
		"with too many":                 {ann.id, FoundAnewRequest{id, req.Founding, make([]byte, maxSnapshot+1)}, core.KindInvalid},
		"what is no statement":          {ann.id, FoundAnewRequest{id, []byte("x"), req.Snapshot}, core.KindInvalid},
		"a statement that is too long":  {ann.id, FoundAnewRequest{id, make([]byte, 513), req.Snapshot}, core.KindInvalid},
	} {
		_, err := w.do(c.by, methodFoundAnew, c.req)
		wantKind(t, what, err, c.want)
	}
	w.must(t, ann.id, methodFoundAnew, req)
	w.must(t, ann.id, methodFoundAnew, req) // the answer was lost
	r := &signedRoom{w, id, chain}
	for user, want := range map[core.UserID]core.MemberState{ann.id: core.MemberActive, bob.id: core.MemberActive, left: core.MemberRemoved, dot.id: core.MemberRemoved} {
		if state, _ := r.state(t, user); state != want {
			t.Errorf("%s is %s", user.Short(), state)
		}
	}
	got := w.must(t, bob.id, methodStatements, StatementsRequest{Room: id}).(Statements)
	read, err := seal.ReadMembership(seal.MembershipSource{Room: core.RoomID(id), State: got.State, Statements: got.Statements})
	if err != nil || read.Head() != chain.Head() || read.Role(bob.id) != core.MemberMember {
		t.Fatalf("what members read: %v", err)
	}
	r.join(t, ann, dot, core.MemberMember) // the chain goes on in the founder's row and others
	r.append(t, ann, seal.StatementRemove, bob.id, "")
	got = w.must(t, dot.id, methodStatements, StatementsRequest{Room: id, From: 0}).(Statements)
	if read, err = seal.ReadMembership(seal.MembershipSource{Room: core.RoomID(id), State: got.State, Statements: got.Statements}); err != nil || read.Head() != r.chain.Head() {
		t.Errorf("what members read afterwards: %v", err)
	}
	w.must(t, ann.id, methodFoundAnew, req) // a repetition that is late changes nothing
	again, _ := foundingOf(t, id, ann, map[core.UserID]core.MemberRole{ann.id: core.MemberOwner})
	_, err = w.do(ann.id, methodFoundAnew, again)
	wantKind(t, "another founding", err, core.KindExists)
	if state, _ := r.state(t, dot.id); state != core.MemberActive {
		t.Errorf("dot is %s after the repetition", state)
	}
	other := string(NewRoomID())
	w.must(t, ann.id, methodRoomCreate, CreateRequest{ID: other})
	req, _ = foundingOf(t, other, ann, map[core.UserID]core.MemberRole{ann.id: core.MemberOwner})
	_, err = w.do(ann.id, methodFoundAnew, req)
	wantKind(t, "a plain room", err, core.KindRefused)
}

// TestInvitationsOfBefore: no user can accept an invitation that is older than the
// founding, also where the founding has not removed it. A row that no statement leads to
// is removed without a statement.
func TestInvitationsOfBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, ghost := w.signing(t, ""), w.addUser(t, "")
	r := w.signedRoom(t, ann)
	by := string(ann.id)
	for _, state := range []core.MemberState{core.MemberInvited, core.MemberActive} {
		if err := w.store.PutMember(t.Context(), core.Member{Room: core.RoomID(r.id), User: ghost, Role: core.MemberMember, State: state, InvitedBy: &by, Joined: 1}); err != nil {
			t.Fatal(err)
		}
		if state == core.MemberInvited {
			_, err := w.do(ghost, methodAccept, roomRequest{r.id})
			wantKind(t, "accepting it", err, core.KindRefused)
		}
		w.must(t, ann.id, methodRemove, memberRequest{r.id, string(ghost)})
		if state, _ := r.state(t, ghost); state != core.MemberRemoved {
			t.Errorf("the ghost is %s", state)
		}
	}
}

// foundChange founds a room anew, for the crash at every write.
func foundChange() change {
	var by signingUser
	return change{"found", methodFoundAnew, func(*world) core.UserID { return by.id }, func(t *testing.T, w *world) any {
		id, owner, member, _ := w.unsignedRoom(t)
		by = owner
		req, _ := foundingOf(t, id, owner, map[core.UserID]core.MemberRole{owner.id: core.MemberOwner, member.id: core.MemberMember})
		return req
	}, "members members rooms_by_member", ""}
}
