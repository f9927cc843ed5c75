package storetest

import (
	"context"
	"testing"

	"unibus/core"
)

// IsAuthorized is true only where a store admits a user and answers without an error.
func IsAuthorized(ctx context.Context, s core.Store, id core.UserID) (bool, error) {
	a, err := s.Admit(ctx, id)
	return a.IsActive(Start) && err == nil, err
}

func testAdmission(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, _ := seed(t, s)
	for _, room := range []core.RoomID{"r2", "r1", "r3"} {
		seedRoom(t, s, room, a.ID)
		ok(t, "PutMember", s.PutMember(ctx, NewMember(room, b.ID)))
	}
	ok(t, "RemoveMember", errOf(s.RemoveMember(ctx, "r3", b.ID)))
	admission := func(what string, id core.UserID, want core.Admission) {
		t.Helper()
		got, err := s.Admit(ctx, id)
		ok(t, "Admit", err)
		equal(t, "the admission of "+what, want, got)
	}
	admission("a member", b.ID, core.Admission{Status: core.UserActive, Rooms: []core.RoomID{"r1", "r2"}})
	admission("a user without rooms", a.ID, core.Admission{Status: core.UserActive})
	admission("an unknown user", NewUserID(t), core.Admission{})
	_, err := s.SetUserStatus(ctx, b.ID, core.UserRevoked, Start+5)
	ok(t, "SetUserStatus", err)
	admission("a revoked user", b.ID, core.Admission{Status: core.UserRevoked})
}
