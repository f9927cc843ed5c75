package control

import (
	"testing"

	"unibus/core"
)

// TestInvitationsOfAFormerAdminDoNotComeBack: an admin of a room without statements invites, loses
// the right, and has it again. Invitations of before are over, as in rooms whose members sign.
func TestInvitationsOfAFormerAdminDoNotComeBack(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(w *world, room string){
		"demoted and an admin again": func(w *world, room string) {
			w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberMember})
			w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberAdmin})
		},
		"demoted and the owner": func(w *world, room string) {
			w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberMember})
			w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberOwner})
		},
		"removed and invited as an admin": func(w *world, room string) {
			w.must(t, w.owner, methodRemove, memberRequest{room, string(w.member)})
			w.must(t, w.owner, methodInvite, inviteRequest{Room: room, User: string(w.member), Role: core.MemberAdmin})
			w.must(t, w.member, methodAccept, roomRequest{room})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			room := w.room(t, true)
			w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberAdmin})
			w.must(t, w.member, methodInvite, inviteRequest{Room: room, User: string(w.other)})
			again(w, room)
			_, err := w.do(w.other, methodAccept, roomRequest{room})
			wantKind(t, "an invitation of before", err, core.KindNotFound)
			w.must(t, w.member, methodInvite, inviteRequest{Room: room, User: string(w.other)})
			w.must(t, w.other, methodAccept, roomRequest{room})
		})
	}
}

// TestInvitationsOfAnAdminStay: those that their inviter may make all the time are not ended.
func TestInvitationsOfAnAdminStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room := w.room(t, true)
	w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberAdmin})
	w.must(t, w.member, methodInvite, inviteRequest{Room: room, User: string(w.other)})
	w.must(t, w.owner, methodRole, roleRequest{room, string(w.member), core.MemberOwner})
	w.must(t, w.other, methodAccept, roomRequest{room})
}
