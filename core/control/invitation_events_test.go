package control

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/seal"
)

// hints are what a user is told about invitations, since the last call.
func (w *world) hints(t *testing.T, user core.UserID) func() []InvitationEvent {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(w.server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	sub, err := nc.SubscribeSync(InvitationSubject(user))
	if err = errors.Join(err, nc.Flush()); err != nil {
		t.Fatal(err)
	}
	return func() (all []InvitationEvent) {
		t.Helper()
		if err := errors.Join(w.cfg.Conn.Flush(), nc.Flush()); err != nil {
			t.Fatal(err)
		}
		for {
			m, err := sub.NextMsg(1)
			if err != nil {
				return all
			}
			e, err := ParseInvitationEvent(m)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
	}
}

// TestInvitedAreToldOfNothingElse: a hint to the invited names no room, and no answer to
// whatever the invited asks has anything of a pending room that its invitation has not.
func TestInvitedAreToldOfNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob, cid := w.signing(t, ""), w.signing(t, ""), w.signing(t, "")
	r := w.signedRoom(t, ann)
	r.join(t, ann, bob, core.MemberAdmin)
	told := w.hints(t, cid.id)
	invitation := r.append(t, ann, seal.StatementInvite, cid.id, core.MemberMember)
	if all := told(); len(all) != 1 || all[0] != (InvitationEvent{V: version}) {
		t.Errorf("the invited is told %+v", all)
	}
	pending := w.must(t, cid.id, methodInvitations, nil)
	shown, _ := json.Marshal(pending)
	got := pending.(invitationsPage).Invitations
	if strings.Contains(string(shown), string(bob.id)) || len(got) != 1 || string(got[0].Statement) != string(invitation) {
		t.Errorf("%s", shown)
	}
	for m := range Rules() {
		if slices.Contains([]Method{methodAccept, methodDecline, methodAppend, methodIdentify, methodInvitations, methodUserGet, methodKEMKey, methodRooms, methodRoomCreate}, m) {
			continue
		}
		out, err := w.do(cid.id, m, map[string]any{"room": r.id, "user": bob.id, "role": core.MemberMember, "from": 0, "box": []byte("x"), "name": "x"})
		if core.KindOf(err) != core.KindRefused {
			t.Errorf("%s: %v, %v", m, out, err)
		}
	}
	if rooms := w.must(t, cid.id, methodRooms, nil).(roomsPage).Rooms; len(rooms) != 0 {
		t.Errorf("%+v", rooms)
	}
	stranger := w.signing(t, "")
	removal := r.sign(t, ann, seal.StatementRemove, bob.id, "")
	var said []string
	for _, about := range []core.UserID{bob.id, stranger.id} { // who is a member, the answers must not say
		_, err := w.do(cid.id, methodAppend, appendRequest{r.id, [][]byte{signedAs(t, removal, cid, about)}})
		wantKind(t, "the invited signs a removal", err, core.KindRefused)
		said = append(said, core.AsError(err).Text)
	}
	if said[0] != said[1] {
		t.Errorf("the answers tell a member from a stranger: %q", said)
	}
	r.append(t, cid, seal.StatementDecline, cid.id, "")
	if all := told(); len(all) != 1 || all[0].Room != "" {
		t.Errorf("after the answer: %+v", all)
	}
}

// TestInviterIsTold what became of an invitation to a room whose members sign nothing.
func TestInviterIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room := string(NewRoomID())
	w.must(t, w.owner, methodRoomCreate, CreateRequest{ID: room})
	told := w.hints(t, w.owner)
	want := func(state InvitationState, by core.UserID) {
		t.Helper()
		all := told()
		if len(all) != 1 || all[0] != (InvitationEvent{version, core.RoomID(room), w.member, core.MemberMember, state, by}) {
			t.Errorf("%s: %+v", state, all)
		}
	}
	invite := func() { w.must(t, w.owner, methodInvite, inviteRequest{Room: room, User: string(w.member)}) }
	invite()
	want(InvitationPending, w.owner)
	w.must(t, w.member, methodDecline, roomRequest{room})
	want(InvitationDeclined, w.member)
	invite()
	want(InvitationPending, w.owner)
	w.must(t, w.admin, methodRemove, memberRequest{room, string(w.member)})
	want(InvitationWithdrawn, w.admin)
	invite()
	want(InvitationPending, w.owner)
	w.must(t, w.member, methodAccept, roomRequest{room})
	want(InvitationAccepted, w.member)
}

// signedAs is a statement about another user, by another signer.
func signedAs(t *testing.T, statement []byte, by signingUser, about core.UserID) []byte {
	t.Helper()
	const id, sig = 56, 64
	body := slices.Clone(statement[:len(statement)-sig])
	copy(body[len(body)-2*id:], string(about)+by.Public())
	signed, err := by.Sign(append([]byte("\xffunibus.seal.statement.v1"), body...))
	if err != nil {
		t.Fatal(err)
	}
	return append(body, signed...)
}
