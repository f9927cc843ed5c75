package storetest

import (
	"context"
	"testing"

	"unibus/core"
)

// testInvitations: who is invited is no member for anything that decides, until
// they accept; an invitation never takes a membership away.
func testInvitations(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, c := seed(t, s)
	for _, room := range []core.RoomID{"r", "s"} {
		seedRoom(t, s, room, a.ID)
		ok(t, "PutMember", s.PutMember(ctx, NewMember(room, a.ID)))
	}
	invited := NewMember("r", b.ID)
	invited.State, invited.Role, invited.InvitedBy, invited.Proof = core.MemberInvited, core.MemberAdmin, text(string(a.ID)), []byte("proof")
	ok(t, "an invitation", s.PutMember(ctx, invited))
	ok(t, "an invitation again", s.PutMember(ctx, invited))
	other := NewMember("s", b.ID)
	other.State, other.InvitedBy = core.MemberInvited, text(string(c.ID))
	ok(t, "another's invitation", s.PutMember(ctx, other))

	noMember(t, s, "r", b.ID, a.ID)
	for what, want := range map[string]struct {
		f   core.InvitationFilter
		all []core.Member
	}{
		"of a user":      {core.InvitationFilter{User: b.ID}, []core.Member{invited, other}},
		"of another":     {core.InvitationFilter{User: c.ID}, []core.Member{}},
		"to a room":      {core.InvitationFilter{Room: "s"}, []core.Member{other}},
		"by somebody":    {core.InvitationFilter{By: a.ID}, []core.Member{invited}},
		"by nobody":      {core.InvitationFilter{By: b.ID}, []core.Member{}},
		"one":            {core.InvitationFilter{Room: "r", User: b.ID}, []core.Member{invited}},
		"one that is no": {core.InvitationFilter{Room: "r", User: a.ID}, []core.Member{}},
		"by, to and of":  {core.InvitationFilter{Room: "s", User: b.ID, By: c.ID}, []core.Member{other}},
	} {
		got, err := s.Invitations(ctx, want.f)
		ok(t, "Invitations", err)
		equal(t, "invitations "+what, want.all, got)
	}

	member, err := s.AcceptInvitation(ctx, "r", b.ID, Start+7)
	ok(t, "AcceptInvitation", err)
	invited.State, invited.Joined = core.MemberActive, Start+7
	equal(t, "who accepted", invited, member)
	got, err := s.Member(ctx, "r", b.ID)
	ok(t, "Member", err)
	equal(t, "the member", invited, got)
	rooms, err := s.RoomsOf(ctx, b.ID)
	ok(t, "RoomsOf", err)
	equal(t, "the rooms", []core.RoomID{"r"}, rooms)
	_, err = s.AcceptInvitation(ctx, "r", b.ID, Start)
	wantKind(t, "accepting twice", err, core.KindNotFound)
	_, err = s.AcceptInvitation(ctx, "s", c.ID, Start)
	wantKind(t, "accepting without an invitation", err, core.KindNotFound)
	invited.State = core.MemberInvited
	wantKind(t, "inviting a member", s.PutMember(ctx, invited), core.KindExists)

	members, pending, err := s.MemberCount(ctx, "s")
	ok(t, "MemberCount", err)
	equal(t, "the invitations of the room", 1, pending)
	before, err := s.RemoveMember(ctx, "s", b.ID)
	ok(t, "taking an invitation back", err)
	equal(t, "the state before", core.MemberInvited, before.State)
	after, pending, err := s.MemberCount(ctx, "s")
	ok(t, "MemberCount", err)
	equal(t, "the members after that", members, after)
	equal(t, "the invitations after that", 0, pending)
	wantKind(t, "taking it back twice", errOf(s.RemoveMember(ctx, "s", b.ID)), core.KindNotFound)
	left, err := s.Invitations(ctx, core.InvitationFilter{User: b.ID})
	ok(t, "Invitations", err)
	equal(t, "what is left", []core.Member{}, left)
	ok(t, "inviting somebody who was removed", s.PutMember(ctx, other))
	odd := other
	odd.User, odd.State = NewUserID(t), core.MemberInvited
	wantKind(t, "inviting a stranger", s.PutMember(ctx, odd), core.KindNotFound)
}

// noMember says that somebody counts for nothing in a room where only one other is.
func noMember(t *testing.T, s core.Store, room core.RoomID, user, only core.UserID) {
	t.Helper()
	ctx := context.Background()
	_, err := s.Member(ctx, room, user)
	wantKind(t, "Member of who is invited", err, core.KindNotFound)
	_, err = s.SetMemberRole(ctx, room, user, core.MemberOwner)
	wantKind(t, "SetMemberRole of who is invited", err, core.KindNotFound)
	members, err := s.Members(ctx, room)
	ok(t, "Members", err)
	if len(members) != 1 || members[0].User != only {
		t.Errorf("Members: %+v", members)
	}
	counts, err := s.MemberCounts(ctx)
	ok(t, "MemberCounts", err)
	if counts[room] != 1 {
		t.Errorf("MemberCounts: %v", counts)
	}
	rooms, err := s.RoomsOf(ctx, user)
	ok(t, "RoomsOf", err)
	if len(rooms) != 0 {
		t.Errorf("RoomsOf: %v", rooms)
	}
	all, err := s.RoomKeys(ctx)
	ok(t, "RoomKeys", err)
	for _, r := range all {
		if r.Room.ID == room && len(r.Members) != 1 {
			t.Errorf("RoomKeys: %+v", r)
		}
	}
}
