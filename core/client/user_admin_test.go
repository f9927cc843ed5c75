package client

import (
	"context"
	"testing"

	"unibus/core"
	"unibus/core/nodetest"
)

// TestUserAdminCannotEnterAnEncryptedRoom: a user-admin tries every way into an
// encrypted room of two others, from outside and as a plain member. The members'
// programs would seal the key to every member.
func TestUserAdminCannotEnterAnEncryptedRoom(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ghost, friend := newTestUser(t, p.cluster, core.RoleAdmin).open(), newTestUser(t, p.cluster, core.RoleMember).open()
	room, api := p.room.ID(), ghost.api
	attempt := func(from string) {
		t.Helper()
		for what, id := range map[string]core.UserID{"a friend": friend.User(), "itself": ghost.User()} {
			_, err := api.Invite(ctx(t), room, id, "", nil)
			if from == "outside" || what == "a friend" {
				want(t, from+", inviting "+what, err, core.KindRefused, nil)
			}
			for _, role := range []core.MemberRole{core.MemberAdmin, core.MemberOwner} {
				_, err = api.SetRole(ctx(t), room, id, role)
				want(t, from+", making "+what+" "+string(role), err, core.KindRefused, nil)
			}
		}
		_, err := api.SetRole(ctx(t), room, p.bob.User(), core.MemberAdmin)
		want(t, from+", making a member an admin", err, core.KindRefused, nil)
	}
	attempt("outside")
	if _, err := ghost.Room(ctx(t), room); core.KindOf(err) != core.KindRefused {
		t.Errorf("opening the room from outside: %v", err)
	}
	heard := p.bobs.Chan(t.Context())
	ok(t, p.room.Send(ctx(t), []byte("between us")))
	receiveText(t, heard, "between us")
	for _, m := range must[[]string](t)(memberKeys(t, p)) {
		if m == string(ghost.User()) || m == string(friend.User()) {
			t.Errorf("%s is a member", m)
		}
	}

	join(t, p.room, ghost) // the members may invite them, as a plain member
	nodetest.Wait(t, wait, func() error { return second(ghost.Room(ctx(t), room)) })
	attempt("as a member")

	again := func(f func(context.Context) (core.Member, error)) error { // the session is renewed, because its rooms have changed
		return second(sendRetrying(ctx(t), ghost, idempotent, f))
	}
	ok(t, again(func(ctx context.Context) (core.Member, error) { return api.Remove(ctx, room, p.bob.User()) })) // a user-admin may remove members
	plain := must[*Room](t)(p.ann.CreateRoom(ctx(t), NewRoom{}))
	ok(t, again(func(ctx context.Context) (core.Member, error) { // nodes read plain rooms anyway
		return api.Invite(ctx, plain.ID(), friend.User(), "", nil)
	}))
}

func memberKeys(t *testing.T, p *pair) (keys []string, err error) {
	t.Helper()
	all, err := p.room.Members(ctx(t))
	for _, m := range all {
		keys = append(keys, string(m.User))
	}
	return keys, err
}
