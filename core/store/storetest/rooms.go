package storetest

import (
	"context"
	"testing"

	"unibus/core"
)

func testRooms(t *testing.T, s core.Store) {
	ctx := context.Background()
	u, _, _ := seed(t, s)
	want := []core.Room{NewRoom("B", u.ID), NewRoom("a", u.ID), NewRoom("a-b", u.ID), NewRoom("a_b", u.ID)}
	want[1].Name, want[1].Encrypted = nil, false
	want[2].Name = text("nul\x00 é")
	want[3].Epoch = 7
	for _, i := range []int{3, 1, 0, 2} {
		ok(t, "CreateRoom", s.CreateRoom(ctx, want[i]))
	}
	got, err := s.Rooms(ctx)
	ok(t, "Rooms", err)
	equal(t, "Rooms", want, got, noRecs)
	for _, r := range want {
		got, err := s.Room(ctx, r.ID)
		ok(t, "Room", err)
		equal(t, "Room", r, got, noRecs)
	}
	members, err := s.Members(ctx, "a")
	if err != nil || len(members) != 0 {
		t.Errorf("a new room has members before anybody put one there: %v, %v", members, err)
	}
}

func testRoomsRefused(t *testing.T, s core.Store) {
	ctx := context.Background()
	u, other, _ := seed(t, s)
	r := seedRoom(t, s, "r", u.ID)
	r.Owner, r.Epoch = other.ID, 4
	wantKind(t, "CreateRoom twice", s.CreateRoom(ctx, r), core.KindExists)
	got, err := s.Room(ctx, "r")
	if err != nil || got.Owner != u.ID || got.Epoch != 0 {
		t.Errorf("a refused CreateRoom changed the room: %+v, %v", got, err)
	}
	wantKind(t, "CreateRoom of a stranger", s.CreateRoom(ctx, NewRoom("q", NewUserID(t))), core.KindInvalid)
	_, err = s.Room(ctx, "q")
	wantKind(t, "Room that was refused", err, core.KindNotFound)
}

func testMembers(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, c := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	seedRoom(t, s, "r-2", a.ID)
	want := []core.Member{NewMember("r", a.ID), NewMember("r", b.ID), NewMember("r", c.ID)}
	want[0].Role, want[0].InvitedBy, want[0].Proof = core.MemberOwner, text(""), []byte{}
	want[1].InvitedBy, want[1].Proof = text(string(a.ID)), []byte{0, 0xff}
	for _, i := range []int{2, 0, 1} {
		ok(t, "PutMember", s.PutMember(ctx, want[i]))
	}
	members := func(what string, want []core.Member) {
		t.Helper()
		got, err := s.Members(ctx, "r")
		ok(t, what, err)
		equal(t, what, want, got)
		n, err := s.Counts(ctx)
		if err != nil || n.Members != len(want) {
			t.Errorf("%s: Counts %+v, %v, want %d members", what, n, err, len(want))
		}
		counts, err := s.MemberCounts(ctx, []core.RoomID{"r", "r-2"})
		if err != nil || counts["r"] != len(want) || counts["r-2"] != 0 {
			t.Errorf("%s: MemberCounts %v, %v, want r: %d", what, counts, err, len(want))
		}
	}
	members("Members", want)
	want[1].Role = core.MemberAdmin
	ok(t, "PutMember again", s.PutMember(ctx, want[1]))
	members("Members with a changed role", want)
	before, err := s.RemoveMember(ctx, "r", b.ID)
	ok(t, "RemoveMember", err)
	equal(t, "the state before", core.MemberActive, before.State)
	members("Members after a removal", []core.Member{want[0], want[2]})
	wantKind(t, "RemoveMember twice", errOf(s.RemoveMember(ctx, "r", b.ID)), core.KindNotFound)
	ok(t, "PutMember of a removed one", s.PutMember(ctx, want[1]))
	members("Members after a return", want)
	odd := NewMember("r", c.ID)
	odd.Role = "king"
	wantKind(t, "PutMember with an unknown role", s.PutMember(ctx, odd), core.KindInvalid)
	for _, state := range []core.MemberState{core.MemberRemoved, "banned"} {
		odd = NewMember("r", c.ID)
		odd.State = state
		wantKind(t, "PutMember as "+string(state), s.PutMember(ctx, odd), core.KindInvalid)
		odd.User = b.ID
		wantKind(t, "PutMember of a member as "+string(state), s.PutMember(ctx, odd), core.KindInvalid)
	}
	members("Members after a refusal", want)
}

func testMembersNotFound(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, _ := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	wantKind(t, "PutMember in no room", s.PutMember(ctx, NewMember("none", a.ID)), core.KindNotFound)
	wantKind(t, "PutMember of a stranger", s.PutMember(ctx, NewMember("r", NewUserID(t))), core.KindNotFound)
	wantKind(t, "RemoveMember from no room", errOf(s.RemoveMember(ctx, "none", a.ID)), core.KindNotFound)
	wantKind(t, "RemoveMember of no member", errOf(s.RemoveMember(ctx, "r", b.ID)), core.KindNotFound)
	_, err := s.Members(ctx, "none")
	wantKind(t, "Members of no room", err, core.KindNotFound)
}

func testRoomsOf(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, _ := seed(t, s)
	for _, id := range []core.RoomID{"x", "a-b", "a", "B"} {
		seedRoom(t, s, id, a.ID)
		ok(t, "PutMember", s.PutMember(ctx, NewMember(id, b.ID)))
	}
	ok(t, "RemoveMember", errOf(s.RemoveMember(ctx, "x", b.ID)))
	rooms := func(user core.UserID, want ...core.RoomID) {
		t.Helper()
		got, err := s.RoomsOf(ctx, user)
		ok(t, "RoomsOf", err)
		equal(t, "RoomsOf", want, got)
	}
	rooms(b.ID, "B", "a", "a-b")
	rooms(a.ID) // an owner is not a member until put there
	rooms(NewUserID(t))
}

func testUpdateRoom(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, c := seed(t, s)
	want := seedRoom(t, s, "r", a.ID)
	other := seedRoom(t, s, "r-2", a.ID)
	update := func(what string, change core.RoomChange) {
		t.Helper()
		got, err := s.UpdateRoom(ctx, "r", change)
		ok(t, what, err)
		equal(t, what, want, got, noRecs)
		got, err = s.Room(ctx, "r")
		ok(t, what, err)
		equal(t, what+", read again", want, got, noRecs)
	}
	want.Name = text("neuer Name é")
	update("a new name", core.RoomChange{Name: text("neuer Name é")})
	want.Owner = b.ID
	update("a new owner", core.RoomChange{Owner: b.ID, IfOwner: a.ID})
	_, err := s.UpdateRoom(ctx, "r", core.RoomChange{Owner: c.ID, IfOwner: a.ID})
	wantKind(t, "a new owner given by the former one", err, core.KindConflict)
	update("the same owner", core.RoomChange{Owner: b.ID, IfOwner: b.ID})
	_, err = s.UpdateRoom(ctx, "r", core.RoomChange{Owner: NewUserID(t)})
	wantKind(t, "a stranger as owner", err, core.KindInvalid)
	_, err = s.UpdateRoom(ctx, "r", core.RoomChange{State: "asleep"})
	wantKind(t, "an unknown state", err, core.KindInvalid)
	_, err = s.UpdateRoom(ctx, "none", core.RoomChange{Name: text("x")})
	wantKind(t, "a room that is not there", err, core.KindNotFound)
	want.State = core.RoomArchived
	update("archiving", core.RoomChange{State: core.RoomArchived})
	_, err = s.UpdateRoom(ctx, "r", core.RoomChange{Name: text("x")})
	wantKind(t, "a new name for an archived room", err, core.KindRefused)
	_, err = s.CommitRekey(ctx, "r", 0, someRec, nil)
	wantKind(t, "a rekey of an archived room", err, core.KindRefused)
	got, err := s.Room(ctx, "r-2")
	ok(t, "Room", err)
	equal(t, "another room", other, got, noRecs)
}

func testMemberRole(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, c := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	want := NewMember("r", b.ID)
	ok(t, "PutMember", s.PutMember(ctx, want))
	want.Role = core.MemberAdmin
	got, err := s.SetMemberRole(ctx, "r", b.ID, core.MemberAdmin)
	ok(t, "SetMemberRole", err)
	equal(t, "SetMemberRole", want, got)
	got, err = s.Member(ctx, "r", b.ID)
	ok(t, "Member", err)
	equal(t, "Member", want, got)
	_, err = s.SetMemberRole(ctx, "r", b.ID, "king")
	wantKind(t, "an unknown role", err, core.KindInvalid)
	_, err = s.SetMemberRole(ctx, "r", c.ID, core.MemberAdmin)
	wantKind(t, "the role of no member", err, core.KindNotFound)
	ok(t, "RemoveMember", errOf(s.RemoveMember(ctx, "r", b.ID)))
	_, err = s.SetMemberRole(ctx, "r", b.ID, core.MemberMember)
	wantKind(t, "the role of a removed member", err, core.KindNotFound)
	_, err = s.Member(ctx, "r", b.ID)
	wantKind(t, "Member after a removal", err, core.KindNotFound)
	if rooms, err := s.RoomsOf(ctx, b.ID); err != nil || len(rooms) != 0 {
		t.Errorf("a removed member is in %v, %v", rooms, err)
	}
}
