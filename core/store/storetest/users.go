package storetest

import (
	"context"
	"strings"
	"testing"

	"unibus/core"
)

func testUsers(t *testing.T, s core.Store) {
	ctx := context.Background()
	want := TwoRooms(t).Users
	for _, u := range []int{2, 0, 3, 1} { // not in the order of their ids
		ok(t, "AddUser", s.AddUser(ctx, want[u]))
	}
	got, err := s.Users(ctx)
	ok(t, "Users", err)
	equal(t, "Users", want, got)
	for _, u := range want {
		lower, err := core.ParseUserID(strings.ToLower(string(u.ID)))
		ok(t, "ParseUserID", err)
		got, err := s.User(ctx, lower)
		ok(t, "User", err)
		equal(t, "User", u, got)
	}
	n, err := s.Counts(ctx)
	if err != nil || n != (core.Counts{Users: 4}) {
		t.Errorf("Counts: %+v, %v", n, err)
	}
	_, err = s.User(ctx, NewUserID(t))
	wantKind(t, "User that was not added", err, core.KindNotFound)
}

func testUsersRefused(t *testing.T, s core.Store) {
	ctx := context.Background()
	u, gone, _ := seed(t, s)
	_, err := s.SetUserStatus(ctx, gone.ID, core.UserRevoked, Start)
	ok(t, "SetUserStatus", err)
	before := export(t, s)

	wantKind(t, "AddUser twice", s.AddUser(ctx, u), core.KindExists)
	lower, err := core.ParseUserID(strings.ToLower(string(u.ID)))
	ok(t, "ParseUserID", err)
	again := u
	again.ID, again.Role = lower, core.RoleAdmin
	wantKind(t, "AddUser twice, in lower case", s.AddUser(ctx, again), core.KindExists)
	wantKind(t, "AddUser of a revoked one", s.AddUser(ctx, gone), core.KindExists)

	odd := NewUser(t, "odd")
	odd.Role = "king"
	wantKind(t, "AddUser with an unknown role", s.AddUser(ctx, odd), core.KindInvalid)
	odd.Role, odd.Status = core.RoleMember, "asleep"
	wantKind(t, "AddUser with an unknown status", s.AddUser(ctx, odd), core.KindInvalid)
	equal(t, "what refused users left", before, export(t, s))
}

func testUserStatus(t *testing.T, s core.Store) {
	ctx := context.Background()
	u, other, _ := seed(t, s)
	authorized := func(want bool) {
		t.Helper()
		if got, err := IsAuthorized(ctx, s, u.ID); err != nil || got != want {
			t.Errorf("IsAuthorized: %v, %v, want %v", got, err, want)
		}
	}
	authorized(true)
	for i, status := range []core.UserStatus{core.UserRevoked, core.UserRevoked, core.UserActive} {
		u.Status, u.Updated = status, Start+core.Millis(i)+5
		got, err := s.SetUserStatus(ctx, u.ID, u.Status, u.Updated)
		ok(t, "SetUserStatus", err)
		equal(t, "SetUserStatus", u, got)
		got, err = s.User(ctx, u.ID)
		ok(t, "User", err)
		equal(t, "User after SetUserStatus", u, got)
		authorized(status == core.UserActive)
	}
	got, err := s.User(ctx, other.ID)
	ok(t, "User", err)
	equal(t, "the other user", other, got)

	stranger := NewUserID(t)
	_, err = s.SetUserStatus(ctx, stranger, core.UserRevoked, Start)
	wantKind(t, "SetUserStatus of a stranger", err, core.KindNotFound)
	if yes, err := IsAuthorized(ctx, s, stranger); yes || err != nil {
		t.Errorf("IsAuthorized of a stranger: %v, %v", yes, err)
	}
	_, err = s.SetUserStatus(ctx, u.ID, "asleep", Start)
	wantKind(t, "SetUserStatus to an unknown word", err, core.KindInvalid)
}

func testHasAdmin(t *testing.T, s core.Store) {
	ctx := context.Background()
	member, _, _ := seed(t, s)
	admin := NewUser(t, "admin")
	admin.Role = core.RoleAdmin
	has := func(what string, id core.UserID, want bool) {
		t.Helper()
		if got, err := core.HasAdmin(ctx, s, id, Start); err != nil || got != want {
			t.Errorf("HasAdmin of %s: %v, %v, want %v", what, got, err, want)
		}
	}
	has("an admin not there yet, in a store without admins", admin.ID, false)
	has("a member, in a store without admins", member.ID, false)
	ok(t, "AddUser", s.AddUser(ctx, admin))
	has("an active admin", admin.ID, true)
	has("a member", member.ID, false)
	_, err := s.SetUserStatus(ctx, admin.ID, core.UserRevoked, Start)
	ok(t, "SetUserStatus", err)
	has("a revoked admin", admin.ID, false)
	_, err = s.SetUserStatus(ctx, admin.ID, core.UserActive, Start)
	ok(t, "SetUserStatus", err)
	has("an admin activated again", admin.ID, true)
}

func testValuesAreTheCallers(t *testing.T, s core.Store) {
	ctx := context.Background()
	u, _, _ := seed(t, s)
	spoil := func(get func() (core.User, error)) {
		t.Helper()
		got, err := get()
		ok(t, "reading a user", err)
		*got.Name = "spoilt"
		got.KEMKey[0] ^= 0xff
		got, err = s.User(ctx, u.ID)
		ok(t, "User", err)
		if *got.Name == "spoilt" || got.KEMKey[0] != u.KEMKey[0] {
			t.Error("a caller changed what the store keeps")
		}
	}
	spoil(func() (core.User, error) { return s.User(ctx, u.ID) })
	spoil(func() (core.User, error) {
		all, err := s.Users(ctx)
		if err != nil {
			return core.User{}, err
		}
		return all[0], nil
	})
}

// testAdmins: an admin acts only while it is one, and of two who revoke each
// other at the same moment exactly one does.
func testAdmins(t *testing.T, s core.Store) {
	ctx := context.Background()
	member := NewUser(t, "member")
	ok(t, "AddUser", s.AddUser(ctx, member))
	for round := range 5 {
		var pair [2]core.User
		for i := range pair {
			pair[i] = NewUser(t, "admin")
			pair[i].Role = core.RoleAdmin
			ok(t, "AddUser", s.AddUser(ctx, pair[i]))
		}
		_, err := s.SetUserStatusAs(ctx, member.ID, pair[0].ID, core.UserRevoked, Start+1)
		wantKind(t, "a member who revokes an admin", err, core.KindRefused)
		_, err = s.SetUserStatusAs(ctx, NewUserID(t), pair[0].ID, core.UserRevoked, Start+1)
		wantKind(t, "a stranger who revokes an admin", err, core.KindRefused)

		done := make(chan error, 2)
		for i := range pair {
			go func() {
				_, err := s.SetUserStatusAs(ctx, pair[i].ID, pair[1-i].ID, core.UserRevoked, Start+2)
				done <- err
			}()
		}
		won, refused := 0, 0
		for range pair {
			switch core.KindOf(<-done) {
			case "":
				won++
			case core.KindRefused:
				refused++
			}
		}
		if won != 1 || refused != 1 {
			t.Errorf("round %d: %d of two admins revoked the other, %d were refused", round, won, refused)
		}
	}
}

func testKEMKey(t *testing.T, s core.Store) {
	ctx := context.Background()
	want, other, _ := seed(t, s)
	want.KEMKey, want.Updated = []byte{7, 0, 7}, Start+9
	got, err := s.SetKEMKey(ctx, want.ID, []byte{7, 0, 7}, Start+9)
	ok(t, "SetKEMKey", err)
	equal(t, "SetKEMKey", want, got)
	got, err = s.User(ctx, want.ID)
	ok(t, "User", err)
	equal(t, "User", want, got)
	got, err = s.User(ctx, other.ID)
	ok(t, "User", err)
	equal(t, "another user", other, got)
	_, err = s.SetKEMKey(ctx, NewUserID(t), []byte{1}, Start)
	wantKind(t, "SetKEMKey of a stranger", err, core.KindNotFound)
}
