package control

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/request"
	"unibus/core/seal"
	"unibus/core/store/storetest"
)

// signingUser is a user whose identity is here.
type signingUser struct {
	nkeys.KeyPair
	id core.UserID
}

func (u signingUser) Public() string { return string(u.id) }

func (w *world) signing(t testing.TB, role core.UserRole) signingUser {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	u := storetest.NewUser(t, "user")
	u.ID = core.UserID(pub)
	if role != "" {
		u.Role = role
	}
	if err := w.store.AddUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return signingUser{kp, u.ID}
}

// signedRoom is a room whose members sign, and its chain as the test follows it.
type signedRoom struct {
	*world
	id    string
	chain *seal.Membership
}

func (w *world) signedRoom(t testing.TB, owner signingUser) *signedRoom {
	t.Helper()
	id := NewRoomID()
	chain, err := seal.MakeFounding(seal.FoundingConfig{Room: id, By: owner, At: 1, Encrypted: true})
	if err != nil {
		t.Fatal(err)
	}
	w.must(t, owner.id, methodRoomCreate, CreateRequest{ID: string(id), Encrypted: true, Founding: chain.Statements(0)[0]})
	return &signedRoom{w, string(id), chain}
}

// sign signs over the head that the test has followed.
func (r *signedRoom) sign(t testing.TB, by signingUser, kind seal.StatementKind, about core.UserID, role core.MemberRole) []byte {
	t.Helper()
	s, err := r.chain.Sign(seal.StatementConfig{Kind: kind, By: by, Subject: about, Role: role, At: 2})
	if err != nil {
		t.Fatal(err)
	}
	return s.Bytes()
}

// append sends statements and follows them.
func (r *signedRoom) append(t testing.TB, by signingUser, kind seal.StatementKind, about core.UserID, role core.MemberRole) []byte {
	t.Helper()
	b := r.sign(t, by, kind, about, role)
	r.must(t, by.id, methodAppend, appendRequest{r.id, [][]byte{b}})
	if _, err := r.chain.Append(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func (r *signedRoom) join(t testing.TB, by, who signingUser, role core.MemberRole) {
	t.Helper()
	r.append(t, by, seal.StatementInvite, who.id, role)
	r.append(t, who, seal.StatementAccept, who.id, "")
}

// state is the state of a user's row.
func (r *signedRoom) state(t testing.TB, user core.UserID) (core.MemberState, core.MemberRole) {
	t.Helper()
	rows, err := r.store.RoomMembers(t.Context(), core.RoomID(r.id))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range rows {
		if m.User == user {
			return m.State, m.Role
		}
	}
	return "", ""
}

// TestMembersSignTheirChanges: the rows follow the statements, and anybody in the room
// reads the whole chain.
func TestMembersSignTheirChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob, cid := w.signing(t, ""), w.signing(t, ""), w.signing(t, "")
	r := w.signedRoom(t, ann)
	b := r.append(t, ann, seal.StatementInvite, bob.id, core.MemberAdmin)
	if state, role := r.state(t, bob.id); state != core.MemberInvited || role != core.MemberAdmin {
		t.Errorf("invited: %s %s", state, role)
	}
	pending := w.must(t, bob.id, methodInvitations, nil).(invitationsPage).Invitations
	if len(pending) != 1 || string(pending[0].Statement) != string(b) || pending[0].Chain.MembershipHead != r.chain.Head() {
		t.Fatalf("%+v", pending)
	}
	r.append(t, bob, seal.StatementAccept, bob.id, "")
	r.join(t, bob, cid, core.MemberMember)
	again := r.append(t, bob, seal.StatementRemove, cid.id, "")
	w.must(t, bob.id, methodAppend, appendRequest{r.id, [][]byte{again}}) // the answer was lost
	r.join(t, bob, cid, core.MemberMember)
	if state, _ := r.state(t, cid.id); state != core.MemberActive {
		t.Errorf("removed and invited again: %s", state)
	}
	r.append(t, ann, seal.StatementRole, bob.id, core.MemberOwner)
	r.append(t, ann, seal.StatementRole, ann.id, core.MemberAdmin)
	info := w.must(t, cid.id, methodRoomGet, roomRequest{r.id}).(RoomInfo)
	if info.Room.Owner != bob.id || info.Chain == nil || info.Chain.MembershipHead != r.chain.Head() || info.Members != 3 {
		t.Errorf("%+v", info)
	}
	r.append(t, ann, seal.StatementLeave, ann.id, "")
	got := w.must(t, cid.id, methodStatements, StatementsRequest{Room: r.id}).(Statements)
	read, err := seal.ReadMembership(seal.MembershipSource{Room: core.RoomID(r.id), Statements: got.Statements})
	if err != nil || read.Head() != r.chain.Head() || got.Head.MembershipHead != r.chain.Head() {
		t.Errorf("the chain as it is kept: %v", err)
	}
	rest := w.must(t, cid.id, methodStatements, StatementsRequest{Room: r.id, From: 3}).(Statements)
	if len(rest.Statements) != len(got.Statements)-3 {
		t.Errorf("%d statements from number 3 on", len(rest.Statements))
	}
	none := w.must(t, cid.id, methodStatements, StatementsRequest{Room: r.id, From: 99}).(Statements)
	if none.Statements == nil || len(none.Statements) > 0 {
		t.Errorf("%+v", none)
	}
	_, err = w.do(ann.id, methodStatements, StatementsRequest{Room: r.id})
	wantKind(t, "a former member reads", err, core.KindRefused)
}

// TestGhosts: neither a user-admin, nor a member's request without a statement, nor a
// statement of somebody else changes the members of such a room.
func TestGhosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob, ghost, dot := w.signing(t, ""), w.signing(t, ""), w.signing(t, core.RoleAdmin), w.signing(t, "")
	r := w.signedRoom(t, ann)
	r.join(t, ann, bob, core.MemberMember)
	for what, c := range map[string]struct {
		by   core.UserID
		m    Method
		req  any
		want core.Kind
	}{
		"a user-admin invites itself":     {ghost.id, methodInvite, inviteRequest{Room: r.id, User: string(ghost.id)}, core.KindRefused},
		"a user-admin gives a role":       {ghost.id, methodRole, roleRequest{r.id, string(bob.id), core.MemberAdmin}, core.KindRefused},
		"a user-admin reads the chain":    {ghost.id, methodStatements, StatementsRequest{Room: r.id}, core.KindRefused},
		"an unsigned invitation":          {ann.id, methodInvite, inviteRequest{Room: r.id, User: string(dot.id)}, core.KindRefused},
		"an unsigned removal":             {ann.id, methodRemove, memberRequest{r.id, string(bob.id)}, core.KindRefused},
		"an unsigned departure":           {bob.id, methodLeave, roomRequest{r.id}, core.KindRefused},
		"an unsigned role":                {ann.id, methodRole, roleRequest{r.id, string(bob.id), core.MemberAdmin}, core.KindRefused},
		"a member's invitation":           {bob.id, methodAppend, appendRequest{r.id, [][]byte{r.forged(t, bob, dot.id)}}, core.KindRefused},
		"a ghost's invitation":            {ghost.id, methodAppend, appendRequest{r.id, [][]byte{r.forged(t, ghost, dot.id)}}, core.KindNotFound},
		"another's statement":             {bob.id, methodAppend, appendRequest{r.id, [][]byte{r.sign(t, ann, seal.StatementInvite, dot.id, core.MemberMember)}}, core.KindRefused},
		"no statement":                    {ann.id, methodAppend, appendRequest{r.id, nil}, core.KindInvalid},
		"what is no statement":            {ann.id, methodAppend, appendRequest{r.id, [][]byte{[]byte("x")}}, core.KindInvalid},
		"a statement that is too long":    {ann.id, methodAppend, appendRequest{r.id, [][]byte{make([]byte, 513)}}, core.KindInvalid},
		"a founding of another's":         {dot.id, methodRoomCreate, CreateRequest{ID: string(NewRoomID()), Encrypted: true, Founding: r.chain.Statements(0)[0]}, core.KindRefused},
		"a founding of another's room":    {ann.id, methodRoomCreate, CreateRequest{ID: "other", Encrypted: true, Founding: r.chain.Statements(0)[0]}, core.KindRefused},
		"a founding of an encrypted room": {ann.id, methodRoomCreate, CreateRequest{ID: r.id, Founding: r.chain.Statements(0)[0]}, core.KindInvalid},
	} {
		_, err := w.do(c.by, c.m, c.req)
		wantKind(t, what, err, c.want)
	}
	if state, _ := r.state(t, dot.id); state != "" {
		t.Errorf("dot is %s", state)
	}
	invited := r.append(t, ann, seal.StatementInvite, dot.id, core.MemberMember)
	_, err := w.do(dot.id, methodAccept, roomRequest{r.id})
	wantKind(t, "an unsigned acceptance", err, core.KindRefused)
	_, err = w.do(dot.id, methodDecline, roomRequest{r.id})
	wantKind(t, "an unsigned refusal", err, core.KindRefused)
	w.must(t, ghost.id, methodRemove, memberRequest{r.id, string(dot.id)}) // a user-admin only takes away
	w.must(t, ghost.id, methodRemove, memberRequest{r.id, string(bob.id)})
	_, err = w.do(dot.id, methodAppend, appendRequest{r.id, [][]byte{r.sign(t, dot, seal.StatementAccept, dot.id, "")}})
	wantKind(t, "an invitation that a user-admin withdrew", err, core.KindNotFound)
	if state, _ := r.state(t, bob.id); state != core.MemberRemoved || len(invited) == 0 {
		t.Errorf("bob is %s", state)
	}
	if r.chain.Role(bob.id) == "" {
		t.Error("a user-admin's removal is in the chain")
	}
	w.must(t, ann.id, methodRoomArchive, roomRequest{r.id})
	_, err = w.do(ann.id, methodAppend, appendRequest{r.id, [][]byte{r.sign(t, ann, seal.StatementRemove, bob.id, "")}})
	wantKind(t, "a statement in an archived room", err, core.KindRefused)
}

// forged is an acceptance of an invitation that is in no chain, by a user who may not invite.
func (r *signedRoom) forged(t testing.TB, by signingUser, about core.UserID) []byte {
	t.Helper()
	invitation, err := r.chain.Sign(seal.StatementConfig{Kind: seal.StatementInvite, By: by, Subject: about, Role: core.MemberMember})
	if !errors.Is(err, seal.ErrRight) {
		t.Fatalf("%s may: %v", invitation, err)
	}
	answer, err := seal.SignAnswer(seal.AnswerConfig{Invitation: r.pretend(t, by), Head: r.chain.Head(), Accept: true, By: by})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Bytes()
}

// pretend is an invitation of a user by a founder of its own.
func (r *signedRoom) pretend(t testing.TB, to signingUser) seal.Statement {
	t.Helper()
	other := r.signing(t, "")
	own, err := seal.MakeFounding(seal.FoundingConfig{Room: core.RoomID(r.id), By: other, At: 1, Encrypted: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := own.Sign(seal.StatementConfig{Kind: seal.StatementInvite, By: other, Subject: to.id, Role: core.MemberMember})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStatementsAtOnce: of two over one head one counts, and the other is a conflict.
func TestStatementsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.signing(t, ""), w.signing(t, "")
	r := w.signedRoom(t, ann)
	r.join(t, ann, bob, core.MemberAdmin)
	r.append(t, ann, seal.StatementRole, bob.id, core.MemberOwner)
	removals := map[core.UserID][]byte{
		ann.id: r.sign(t, ann, seal.StatementRemove, bob.id, ""), bob.id: r.sign(t, bob, seal.StatementRemove, ann.id, ""),
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var kinds []core.Kind
	for by, b := range removals {
		all.Go(func() {
			_, err := w.do(by, methodAppend, appendRequest{r.id, [][]byte{b}})
			mu.Lock()
			defer mu.Unlock()
			kinds = append(kinds, core.KindOf(err))
		})
	}
	all.Wait()
	slices.Sort(kinds)
	if kinds[0] != "" || kinds[1] != core.KindConflict && kinds[1] != core.KindNotFound { // removed before it asked
		t.Errorf("two owners remove each other: %q", kinds)
	}
	rows, err := w.store.Members(t.Context(), core.RoomID(r.id))
	if err != nil || len(rows) != 1 {
		t.Errorf("%d are left: %v", len(rows), err)
	}
	room, err := w.store.Room(t.Context(), core.RoomID(r.id))
	if err != nil || room.Owner != rows[0].User {
		t.Errorf("the room is %s's, and %s is left: %v", room.Owner.Short(), rows[0].User.Short(), err)
	}
}

// appendChange is an invitation that is signed, for the crash at every write.
func appendChange() change {
	var by signingUser
	return change{"append", methodAppend, func(*world) core.UserID { return by.id }, func(t *testing.T, w *world) any {
		by = w.signing(t, "")
		r := w.signedRoom(t, by)
		return appendRequest{r.id, [][]byte{r.sign(t, by, seal.StatementInvite, w.other, core.MemberMember)}}
	}, "members rooms_by_member", ""}
}

// TestInvitationsOfAFormerAdminEnd: an invitation that an admin sent before a demotion is
// no pending one any more once that person is an admin again.
func TestInvitationsOfAFormerAdminEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob, cid, dot := w.signing(t, ""), w.signing(t, ""), w.signing(t, ""), w.signing(t, "")
	r := w.signedRoom(t, ann)
	r.join(t, ann, bob, core.MemberAdmin)
	r.append(t, bob, seal.StatementInvite, cid.id, core.MemberMember)
	r.append(t, bob, seal.StatementInvite, dot.id, core.MemberMember)
	r.append(t, ann, seal.StatementRole, bob.id, core.MemberMember)
	w.must(t, w.admin, methodRemove, memberRequest{r.id, string(dot.id)}) // by the servers, without a statement
	r.append(t, ann, seal.StatementRole, bob.id, core.MemberAdmin)
	for _, u := range []signingUser{cid, dot} {
		if state, _ := r.state(t, u.id); state != core.MemberRemoved {
			t.Errorf("the row of %s is %s", u.id.Short(), state)
		}
		if pending := w.must(t, u.id, methodInvitations, nil).(invitationsPage).Invitations; len(pending) != 0 {
			t.Errorf("%+v", pending)
		}
	}
	r.join(t, bob, cid, core.MemberMember)
	r.join(t, ann, dot, core.MemberMember)
}

// TestFoundersRowIsWrittenLast: every change of a room's members expects the founder's row as
// it was seen. A client that sees the new row must see the statements that came with it.
func TestFoundersRowIsWrittenLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.signing(t, ""), w.signing(t, "")
	r := w.signedRoom(t, ann)
	r.join(t, ann, bob, core.MemberMember)
	rows, err := w.store.RoomMembers(t.Context(), core.RoomID(r.id))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		p, err := newAppender(&seal.ProofCache{}, core.Room{ID: core.RoomID(r.id)}, rows, 1)
		if err != nil {
			t.Fatal(err)
		}
		own, err := r.chain.Sign(seal.StatementConfig{Kind: seal.StatementRole, Subject: bob.id, Role: core.MemberOwner, By: ann, At: 1})
		if err != nil {
			t.Fatal(err)
		}
		written, err := p.append([]seal.Statement{own})
		if err != nil || len(written) != 2 || written[0].User != bob.id || written[1].User != ann.id {
			t.Fatalf("written: %+v, %v", written, err)
		}
	}
}

// TestMembersWithoutTheirStatements: a list of members has a page's size by its members,
// however many statements there are about each of them.
func TestMembersWithoutTheirStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.signing(t, ""), w.signing(t, "")
	r := w.signedRoom(t, ann)
	r.join(t, ann, bob, core.MemberMember)
	for _, req := range []membersRequest{{Room: r.id}, {Room: r.id, Page: request.Page{Limit: 1}}, {Room: r.id, Page: request.Page{After: string(min(ann.id, bob.id))}}} {
		page := w.must(t, bob.id, methodMembers, req).(membersPage)
		wanted := map[bool]int{true: 1, false: 2}[req.After != "" || req.Limit == 1]
		if len(page.Members) != wanted || (page.Next != "") != (req.Limit == 1) {
			t.Errorf("%+v: %d members, next %q", req, len(page.Members), page.Next)
		}
		for _, m := range page.Members {
			if m.Proof != nil || m.Status != core.UserActive {
				t.Errorf("%+v: %+v", req, m)
			}
		}
	}
}
