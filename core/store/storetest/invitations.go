package storetest

import (
	"context"
	"testing"

	"unibus/core"
)

// testInvitations: an invited user is no member for anything that decides, until they
// accept; an invitation never takes a membership away.
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
	invitationFilters(t, s, []core.UserID{a.ID, b.ID, c.ID}, invited, other)
	acceptsOnce(t, s, invited, c.ID)
	takesBack(t, s, other)
}

// invitationFilters checks what each filter finds; users[1] is invited by users[0] to the
// room "r" and by users[2] to "s".
func invitationFilters(t *testing.T, s core.Store, users []core.UserID, invited, other core.Member) {
	t.Helper()
	ctx, a, b, c := context.Background(), users[0], users[1], users[2]
	for what, want := range map[string]struct {
		f   core.InvitationFilter
		all []core.Member
	}{
		"of a user":      {core.InvitationFilter{User: b}, []core.Member{invited, other}},
		"of another":     {core.InvitationFilter{User: c}, []core.Member{}},
		"to a room":      {core.InvitationFilter{Room: "s"}, []core.Member{other}},
		"by inviter":     {core.InvitationFilter{By: a}, []core.Member{invited}},
		"by another":     {core.InvitationFilter{By: b}, []core.Member{}},
		"one":            {core.InvitationFilter{Room: "r", User: b}, []core.Member{invited}},
		"one that is no": {core.InvitationFilter{Room: "r", User: a}, []core.Member{}},
		"by, to and of":  {core.InvitationFilter{Room: "s", User: b, By: c}, []core.Member{other}},
	} {
		got, err := s.Invitations(ctx, want.f)
		ok(t, "Invitations", err)
		equal(t, "invitations "+what, want.all, got)
	}
}

// acceptsOnce lets the invited user become a member; stranger has no invitation.
func acceptsOnce(t *testing.T, s core.Store, invited core.Member, stranger core.UserID) {
	t.Helper()
	ctx, user := context.Background(), invited.User
	member, err := s.AcceptInvitation(ctx, "r", user, Start+7)
	ok(t, "AcceptInvitation", err)
	invited.State, invited.Joined = core.MemberActive, Start+7
	equal(t, "who accepted", invited, member)
	got, err := s.Member(ctx, "r", user)
	ok(t, "Member", err)
	equal(t, "the member", invited, got)
	rooms, err := s.RoomsOf(ctx, user)
	ok(t, "RoomsOf", err)
	equal(t, "the rooms", []core.RoomID{"r"}, rooms)
	_, err = s.AcceptInvitation(ctx, "r", user, Start)
	wantKind(t, "accepting twice", err, core.KindNotFound)
	_, err = s.AcceptInvitation(ctx, "s", stranger, Start)
	wantKind(t, "accepting without an invitation", err, core.KindNotFound)
	invited.State = core.MemberInvited
	wantKind(t, "inviting a member", s.PutMember(ctx, invited), core.KindExists)
}

// takesBack takes an invitation to the room "s" back, which leaves its members as they are.
func takesBack(t *testing.T, s core.Store, invited core.Member) {
	t.Helper()
	ctx, user := context.Background(), invited.User
	members, pending, err := s.MemberCount(ctx, "s")
	ok(t, "MemberCount", err)
	equal(t, "the invitations of the room", 1, pending)
	before, err := s.RemoveMember(ctx, "s", user)
	ok(t, "taking an invitation back", err)
	equal(t, "the state before", core.MemberInvited, before.State)
	after, pending, err := s.MemberCount(ctx, "s")
	ok(t, "MemberCount", err)
	equal(t, "the members after that", members, after)
	equal(t, "the invitations after that", 0, pending)
	wantKind(t, "taking it back twice", errOf(s.RemoveMember(ctx, "s", user)), core.KindNotFound)
	left, err := s.Invitations(ctx, core.InvitationFilter{User: user})
	ok(t, "Invitations", err)
	equal(t, "what is left", []core.Member{}, left)
	ok(t, "inviting a removed member", s.PutMember(ctx, invited))
	odd := invited
	odd.User, odd.State = NewUserID(t), core.MemberInvited
	wantKind(t, "inviting a stranger", s.PutMember(ctx, odd), core.KindNotFound)
}

// noMember checks that a user is not a member of a room in which only one other is.
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
	counts, err := s.MemberCounts(ctx, []core.RoomID{room})
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
