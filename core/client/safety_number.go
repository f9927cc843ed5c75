package client

import (
	"context"

	"unibus/core"
	"unibus/core/seal"
)

// SafetyNumber is the number that this user and another one compare, by voice or side by
// side: both see the same one if neither sees a false identity. It needs no node. Print
// it with String, in groups. KindInvalid.
func (c *Client) SafetyNumber(user core.UserID) (seal.SafetyNumber, error) {
	if err := c.checkOpen(); err != nil {
		return "", err
	}
	return seal.SafetyNumberOf(c.me, user)
}

// SafetyNumber is the number that the room's members compare. It changes with each
// statement about the members, so Seq says after which one it is. Two members with
// different numbers of one Seq were shown different histories: go on in another room.
//
// It reads the newest statements first. If a node shows what contradicts the known
// history, the number of that comes with the error. KindRefused in a plain room, and in
// one whose members sign nothing.
func (r *Room) SafetyNumber(ctx context.Context) (out seal.RoomNumber, err error) {
	if err := r.c.checkOpen(); err != nil {
		return out, err
	}
	if !r.view.Load().signed {
		return out, core.Errorf(core.KindRefused, "the room %s has no safety number: its members sign nothing", r.id)
	}
	if err = r.fetchStatements(ctx); err != nil && !isSuspicious(err) {
		return out, err
	}
	r.members.use(func(m *seal.Membership) {
		if m != nil {
			out = m.Number()
		}
	})
	if fault := r.view.Load().fault; err == nil && fault != nil && isSuspicious(fault) {
		err = fault
	}
	return out, err
}

// SafetyNumberAt is the room's number after an earlier statement, for a comparison with a
// member whose client has not followed the newest ones. It needs no node.
func (r *Room) SafetyNumberAt(seq uint64) (out seal.RoomNumber, err error) {
	if err := r.c.checkOpen(); err != nil {
		return out, err
	}
	err = core.Errorf(core.KindRefused, "the statements about the members of the room %s were not read", r.id)
	r.members.use(func(m *seal.Membership) {
		if m != nil {
			out, err = m.NumberAt(seq)
		}
	})
	return out, err
}
