package client

import (
	"context"
	"fmt"
	"slices"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/request"
)

// stateCheck reads back what an act has changed after its answer was lost. A second act
// could undo what another user did meanwhile.
type stateCheck[T any] struct {
	read    func(context.Context) (T, error)
	inForce func(T) bool   // true of a state in which the act was done
	state   func(T) string // for people
}

// sendOnce sends an act as the policy once does. If its answer was lost, sendOnce reads
// back whether it was done. Config.Timeout bounds both together.
func sendOnce[T any](ctx context.Context, c *Client, act func(context.Context) (T, error), check stateCheck[T]) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	stop := context.AfterFunc(c.life, cancel)
	defer stop()
	out, err := sendRetrying(ctx, c, once, act)
	read := func(ctx context.Context) (T, error) { return sendRetrying(ctx, c, readOnly, check.read) }
	return request.Resolve(ctx, out, err, read, check.inForce, check.state)
}

// addUser adds a user, again where the answer was lost. A user who is there then as asked
// for was added by the lost request.
func (c *Client) addUser(ctx context.Context, req control.AddUserRequest) (core.User, error) {
	lost := false
	return sendRetryingIfOpen(ctx, c, idempotent, func(ctx context.Context) (core.User, error) {
		u, err := c.api.AddUser(ctx, req)
		if !lost || core.KindOf(err) != core.KindExists {
			lost = lost || core.OutcomeOf(err) == core.OutcomeUnknown
			return u, err
		}
		there, e := c.api.User(ctx, core.UserID(req.User))
		switch {
		case e != nil:
			return u, e
		case there.Record == nil: // a node of an older version does not show it
			return u, core.AsError(err).WithOutcome(core.OutcomeUnknown)
		case !there.Record.IsAddedAs(core.User{ID: core.UserID(req.User), Name: req.Name, Role: req.Role, Expires: req.Expires}):
			return u, err
		}
		return *there.Record, nil
	})
}

// userStatusCheck reads back the status of a user.
func (c *Client) userStatusCheck(user core.UserID, status core.UserStatus) stateCheck[core.User] {
	return stateCheck[core.User]{
		read: func(ctx context.Context) (core.User, error) {
			p, err := c.api.User(ctx, user)
			if err == nil && p.Record != nil {
				return *p.Record, nil
			}
			return core.User{ID: p.ID, Name: p.Name, Role: p.Role, Status: p.Status, KEMKey: p.KEMKey}, err
		},
		inForce: func(u core.User) bool { return u.Status == status },
		state:   func(u core.User) string { return fmt.Sprintf("%s is %s", user.Short(), u.Status) },
	}
}

// invitationCheck reads back whether an invitation of this user is still pending. One that
// is gone was declined, or withdrawn meanwhile, which is the same to this user.
func (c *Client) invitationCheck(room core.RoomID) stateCheck[core.Member] {
	return stateCheck[core.Member]{
		read: func(ctx context.Context) (core.Member, error) {
			m := core.Member{Room: room, User: c.me, State: core.MemberRemoved}
			all, err := c.api.Invitations(ctx)
			if slices.ContainsFunc(all, func(i control.Invitation) bool { return i.Room == room }) {
				m.State = core.MemberInvited
			}
			return m, err
		},
		inForce: func(m core.Member) bool { return m.State != core.MemberInvited },
		state:   func(core.Member) string { return "the invitation is pending" },
	}
}

// roleCheck reads back the role of a member.
func (r *Room) roleCheck(user core.UserID, role core.MemberRole) stateCheck[core.Member] {
	return stateCheck[core.Member]{
		read: func(ctx context.Context) (core.Member, error) {
			m, err := r.c.api.Member(ctx, r.id, user, false)
			return m.Member, err
		},
		inForce: func(m core.Member) bool { return m.Role == role },
		state:   func(m core.Member) string { return fmt.Sprintf("%s is %s in the room %s", user.Short(), m.Role, r.id) },
	}
}

// nameCheck reads back the name of the room.
func (r *Room) nameCheck(name string) stateCheck[core.Room] {
	return stateCheck[core.Room]{
		read: func(ctx context.Context) (core.Room, error) {
			info, err := r.c.api.Room(ctx, r.id)
			return info.Room, err
		},
		inForce: func(r core.Room) bool { return r.Name != nil && *r.Name == name },
		state: func(r core.Room) string {
			if r.Name == nil {
				return "the room has no name"
			}
			return fmt.Sprintf("the room has the name %q", *r.Name)
		},
	}
}
