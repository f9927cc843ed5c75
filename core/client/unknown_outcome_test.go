package client

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/keys"
)

// losingAPI is a control service whose next answer to an act is lost: on its way back, or,
// with undone, together with the request. It counts the acts that it was asked for.
type losingAPI struct {
	controlAPI
	undone bool
	lose   atomic.Bool
	asked  atomic.Int32
}

func (l *losingAPI) open(u testUser) *Client {
	return u.open(func(c *Client) {
		c.wrap = func(p controlAPI) controlAPI { l.controlAPI = p; return l }
	})
}

func losing[T any](l *losingAPI, act func() (T, error)) (T, error) {
	l.asked.Add(1)
	if !l.lose.CompareAndSwap(true, false) {
		return act()
	}
	var none T
	if !l.undone {
		if out, err := act(); err != nil {
			return out, err
		}
	}
	return none, core.Errorf(core.KindUnavailable, "no answer came in time").WithOutcome(core.OutcomeUnknown)
}

func (l *losingAPI) AddUser(ctx context.Context, req control.AddUserRequest) (core.User, error) {
	return losing(l, func() (core.User, error) { return l.controlAPI.AddUser(ctx, req) })
}

func (l *losingAPI) ActivateUser(ctx context.Context, user core.UserID) (core.User, error) {
	return losing(l, func() (core.User, error) { return l.controlAPI.ActivateUser(ctx, user) })
}

func (l *losingAPI) Decline(ctx context.Context, room core.RoomID) (core.Member, error) {
	return losing(l, func() (core.Member, error) { return l.controlAPI.Decline(ctx, room) })
}

func (l *losingAPI) SetRole(ctx context.Context, room core.RoomID, user core.UserID, role core.MemberRole) (core.Member, error) {
	return losing(l, func() (core.Member, error) { return l.controlAPI.SetRole(ctx, room, user, role) })
}

func (l *losingAPI) RenameRoom(ctx context.Context, room core.RoomID, name string) (core.Room, error) {
	return losing(l, func() (core.Room, error) { return l.controlAPI.RenameRoom(ctx, room, name) })
}

// TestLostAnswersOfActs: an act whose answer was lost is known to be done once it was read
// back, and known not to be done otherwise. Only adding a user is sent again.
func TestLostAnswersOfActs(t *testing.T) {
	t.Parallel()
	for _, undone := range []bool{false, true} {
		n := startNode(t)
		l := &losingAPI{undone: undone}
		admin, friend := l.open(newTestUser(t, n, core.RoleAdmin)), newTestUser(t, n, core.RoleMember).open()
		room := must[*Room](t)(admin.CreateRoom(ctx(t), NewRoom{Name: "plain"}))
		owners := must[*Room](t)(friend.CreateRoom(ctx(t), NewRoom{}))
		join(t, room, friend)
		_, err := sendRetrying(ctx(t), friend, idempotent, func(ctx context.Context) (core.Member, error) {
			return friend.api.Invite(ctx, owners.ID(), admin.User(), "", nil)
		})
		ok(t, err)
		_, fresh, err := keys.Generate()
		ok(t, err)
		added := NewUser{ID: core.UserID(fresh), Name: "carla"}
		for _, c := range []struct {
			name string
			act  func() error
			sent int32 // if it was not done
		}{
			{"AddUser", func() error {
				u, err := admin.AddUser(ctx(t), added)
				if err == nil && (u.ID != added.ID || *u.Name != added.Name || u.Status != core.UserActive || u.Created == 0) {
					t.Errorf("the user that was added is %+v", u)
				}
				return err
			}, 2},
			{"Rename", func() error { return room.Rename(ctx(t), "other") }, 1},
			{"SetRole", func() error { return room.SetRole(ctx(t), friend.User(), core.MemberAdmin) }, 1},
			{"Decline", func() error { return admin.Decline(ctx(t), owners.ID()) }, 1},
			{"Activate", func() error {
				if _, err := admin.Revoke(ctx(t), friend.User()); err != nil {
					return err
				}
				l.lose.Store(true)
				u, err := admin.Activate(ctx(t), friend.User())
				if err == nil && u.Status != core.UserActive {
					t.Errorf("the user is %s", u.Status)
				}
				return err
			}, 1},
		} {
			l.asked.Store(0)
			l.lose.Store(true)
			err := c.act()
			if isDone := !undone || c.sent > 1; isDone != (err == nil) {
				t.Errorf("%s, undone %v: %v", c.name, undone, err)
			}
			if err != nil && (core.OutcomeOf(err) != core.OutcomeNone || !strings.Contains(err.Error(), "it was not done when the state was read back")) {
				t.Errorf("%s, undone %v: %v, outcome %q", c.name, undone, err, core.OutcomeOf(err))
			}
			if got := l.asked.Load(); got != c.sent {
				t.Errorf("%s, undone %v: sent %d times, want %d", c.name, undone, got, c.sent)
			}
		}
	}
}

// TestLostAnswerIsNoLicense: a user who was there before with another name is not taken for
// the one that a lost request has added.
func TestLostAnswerIsNoLicense(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	l := &losingAPI{undone: true}
	admin, member := l.open(newTestUser(t, n, core.RoleAdmin)), newTestUser(t, n, core.RoleMember).open()
	l.lose.Store(true)
	_, err := admin.AddUser(ctx(t), NewUser{ID: member.User(), Name: "carla"})
	want(t, "adding a user who is there by another name", err, core.KindExists, nil)
	if core.OutcomeOf(err) == core.OutcomeUnknown {
		t.Errorf("the outcome of %v is unknown", err)
	}
	for who, is := range map[*Client]bool{admin: true, member: false} { // only user-admins see the whole record
		p := must[control.Profile](t)(who.Profile(ctx(t), admin.User()))
		if (p.Record != nil) != is {
			t.Errorf("%s sees the record %+v", who.User().Short(), p.Record)
		}
	}
}
