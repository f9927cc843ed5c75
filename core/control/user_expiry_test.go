package control

import (
	"testing"

	"unibus/core"
	"unibus/core/request"
	"unibus/core/store/storetest"
)

// TestExpiredUserIsNone: to the rooms' service an expired user is a revoked one.
func TestExpiredUserIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room := w.room(t, false)
	refused := func(what string, err error, want core.Kind) {
		t.Helper()
		if core.KindOf(err) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	end := func(id core.UserID, at core.Millis) {
		t.Helper()
		if _, err := w.store.SetUserExpiry(t.Context(), id, at, 1); err != nil {
			t.Fatal(err)
		}
	}
	w.join(t, w.owner, room, w.member)
	guest := storetest.NewUserID(t)
	w.must(t, w.admin, methodUserAdd, AddUserRequest{User: string(guest), Expires: 1 << 40})
	if u, err := w.store.User(t.Context(), guest); err != nil || u.Expires != 1<<40 {
		t.Errorf("%+v, %v", u, err)
	}
	_, err := w.do(w.admin, methodUserAdd, AddUserRequest{User: string(storetest.NewUserID(t)), Expires: 1})
	refused("an end that is over", err, core.KindInvalid)
	_, err = w.do(w.admin, methodUserAdd, AddUserRequest{User: string(storetest.NewUserID(t)), Expires: -1})
	refused("an end that is no time", err, core.KindInvalid)

	w.must(t, w.member, methodRooms, request.Page{})
	end(w.member, 1)
	_, err = w.do(w.member, methodRooms, request.Page{})
	refused("an expired user who asks", err, core.KindRefused)
	page := w.must(t, w.owner, methodMembers, membersRequest{Room: room}).(membersPage)
	for _, m := range page.Members {
		if want := (map[bool]core.UserStatus{true: core.UserExpired, false: core.UserActive})[m.User == w.member]; m.Status != want {
			t.Errorf("%s is %s, want %s", m.User.Short(), m.Status, want)
		}
	}
	_, err = w.do(w.owner, methodRole, roleRequest{Room: room, User: string(w.member), Role: core.MemberOwner})
	refused("handing over to an expired user", err, core.KindRefused)
	end(w.other, 1)
	_, err = w.do(w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other)})
	refused("inviting an expired user", err, core.KindRefused)
	end(w.admin, 1)
	for m, req := range map[Method]any{
		methodUserRevoke: userRequest{string(w.owner)}, methodUserAdd: AddUserRequest{User: string(storetest.NewUserID(t))},
		methodUserActivate: userRequest{string(w.other)},
	} {
		_, err = w.do(w.admin, m, req)
		refused("an expired user-admin: "+string(m), err, core.KindRefused)
	}
	end(w.member, 0)
	w.must(t, w.member, methodRooms, request.Page{})
}
