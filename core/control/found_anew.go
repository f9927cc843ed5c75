package control

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"unibus/core"
	"unibus/core/request"
	"unibus/core/seal"
)

// foundAnew begins the chain of a room whose members signed nothing so far, with the
// members that its owner has confirmed. Those who were left out are removed. A second try
// after an unknown outcome goes on where the first one stopped.
func (s *Service) foundAnew(ctx context.Context, a *actor, req FoundAnewRequest) (any, error) {
	chain, proof, err := a.checkFoundingAnew(req)
	if err != nil {
		return nil, err
	}
	if err := s.countUsage(a, 0, len(proof)); err != nil {
		return nil, err
	}
	var rows []core.Member
	now := chain
	err = a.store.ChangeMembers(ctx, a.room.ID, func(all []core.Member) (_ []core.Member, err error) {
		rows, now = all, chain
		if slices.ContainsFunc(all, func(m core.Member) bool { return bytes.HasPrefix(m.Proof, proof) }) { // an earlier try has written it
			now, err = a.chains.Membership(a.room.ID, proofsOf(all))
			return nil, err
		}
		return a.foundingRow(all, chain, proof)
	})
	if err != nil {
		return nil, err
	}
	for _, m := range rows {
		if m.State == core.MemberRemoved || isInRoom(now, m.User) {
			continue
		}
		if _, err := s.removeAndAnnounce(ctx, a, m); err != nil && core.KindOf(err) != core.KindNotFound {
			return nil, err
		}
	}
	s.announce(Event{Kind: EventRoom, Room: a.room.ID, Epoch: a.room.Epoch, By: a.id()})
	epoch, record := now.Epoch()
	return ChainHead{MembershipHead: now.Head(), Epoch: epoch, Record: record}, nil
}

func isInRoom(chain *seal.Membership, user core.UserID) bool {
	_, there := chain.Person(user)
	return there
}

// checkFoundingAnew verifies the founding, and returns the proof of the founder's row.
func (a *actor) checkFoundingAnew(req FoundAnewRequest) (*seal.Membership, []byte, error) {
	switch {
	case !a.room.Encrypted:
		return nil, nil, core.Errorf(core.KindRefused, "the room %s is not encrypted: its members sign nothing", a.room.ID)
	case len(req.Founding) > maxStatementSize:
		return nil, nil, request.TooLarge("the founding", len(req.Founding), maxStatementSize)
	case len(req.Snapshot) > maxSnapshot:
		return nil, nil, request.TooLarge("the list of members", len(req.Snapshot), maxSnapshot).WithNext("go on with fewer members, or in a new room")
	}
	chain, err := seal.ReadMembership(seal.MembershipSource{Room: a.room.ID, State: req.Snapshot, Statements: [][]byte{req.Founding}})
	if err != nil {
		return nil, nil, err
	}
	founder, founded := chain.Founder()
	if !founded || founder != a.id() || !chain.Encrypted() || !chain.FoundedAnew() {
		return nil, nil, core.Errorf(core.KindInvalid, "the statement is not that of %s, who founds the room %s anew with its members", a.id().Short(), a.room.ID)
	}
	st, err := seal.VerifyStatement(a.room.ID, req.Founding)
	return chain, seal.AppendProof(seal.AppendState(nil, req.Snapshot), st), err
}

// foundingRow is the founder's row with the founding in it. The members of the snapshot
// must be members now, in the roles that the node shows.
func (a *actor) foundingRow(rows []core.Member, chain *seal.Membership, proof []byte) ([]core.Member, error) {
	var own core.Member
	active := map[core.UserID]core.MemberRole{}
	for _, m := range rows {
		switch {
		case core.HasStatements(m.Proof):
			return nil, core.Errorf(core.KindExists, "the members of the room %s sign its changes already", a.room.ID)
		case m.State != core.MemberActive:
			continue
		case m.User == a.id():
			own = m
		}
		active[m.User] = roleOf(roomRankOf(a.room, m.User, &m))
	}
	people := chain.People()
	for _, user := range slices.Sorted(maps.Keys(people)) {
		if role, is := active[user]; !is || role != people[user].Role {
			return nil, core.Errorf(core.KindConflict, "%s is not a member of the role %s in the room %s any more", user.Short(), people[user].Role, a.room.ID).
				WithNext("read the members again, and confirm them")
		}
	}
	own.Role, own.Proof = core.MemberOwner, proof
	return []core.Member{own}, nil
}
