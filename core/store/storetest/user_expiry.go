package storetest

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"unibus/core"
)

// testUserExpiry: a user's end is kept beside everything else, and an admission
// carries it.
func testUserExpiry(t *testing.T, s core.Store) {
	ctx := context.Background()
	plain, other, _ := seed(t, s)
	u := NewUser(t, "guest")
	u.Expires = Start + 100
	ok(t, "AddUser with an end", s.AddUser(ctx, u))
	same := func(what string, want core.User) {
		t.Helper()
		got, err := s.User(ctx, want.ID)
		ok(t, "User", err)
		equal(t, what, want, got)
		a, err := s.Admit(ctx, want.ID)
		ok(t, "Admit", err)
		if a.Expires != want.Expires || a.Status != want.Status {
			t.Errorf("%s: the admission is %+v", what, a)
		}
		for _, now := range []core.Millis{Start, want.Expires - 1, want.Expires, want.Expires + 1} {
			if a.IsActive(now) != want.IsActive(now) {
				t.Errorf("%s: at %d the admission says active %v, the user %v", what, now, a.IsActive(now), want.IsActive(now))
			}
		}
	}
	same("a user that was added with an end", u)
	expiring := func(want ...core.User) {
		t.Helper()
		slices.SortFunc(want, func(a, b core.User) int { return cmp.Compare(a.ID, b.ID) })
		got, err := s.ExpiringUsers(ctx)
		ok(t, "ExpiringUsers", err)
		equal(t, "ExpiringUsers", want, got)
	}
	expiring(u)
	for i, end := range []core.Millis{Start + 200, Start + 50, 0, 0, Start + 1} {
		for _, want := range []*core.User{&plain, &u} {
			want.Expires, want.Updated = end, Start+core.Millis(i)+5
			got, err := s.SetUserExpiry(ctx, want.ID, end, want.Updated)
			ok(t, "SetUserExpiry", err)
			equal(t, "SetUserExpiry", *want, got)
			same("a user with another end", *want)
		}
	}
	expiring(plain, u)
	var err error
	u.Status, u.Updated = core.UserRevoked, Start+20
	_, err = s.SetUserStatus(ctx, u.ID, u.Status, u.Updated)
	ok(t, "SetUserStatus", err)
	same("a revoked user keeps the end", u)
	plain.KEMKey, plain.Updated = []byte{1}, Start+21
	_, err = s.SetKEMKey(ctx, plain.ID, plain.KEMKey, plain.Updated)
	ok(t, "SetKEMKey", err)
	same("a user with another key keeps the end", plain)
	same("another user has none", other)

	refusedEnds(t, s, plain.ID)
	same("what refused ends left", plain)
}

// refusedEnds gives users ends that are none.
func refusedEnds(t *testing.T, s core.Store, user core.UserID) {
	t.Helper()
	ctx := context.Background()
	_, err := s.SetUserExpiry(ctx, NewUserID(t), Start, Start)
	wantKind(t, "SetUserExpiry of a stranger", err, core.KindNotFound)
	for _, bad := range []core.Millis{-1, 1 << 60} {
		_, err = s.SetUserExpiry(ctx, user, bad, Start)
		wantKind(t, "SetUserExpiry to no time", err, core.KindInvalid)
		odd := NewUser(t, "odd")
		odd.Expires = bad
		wantKind(t, "AddUser with an end that is no time", s.AddUser(ctx, odd), core.KindInvalid)
	}
}

// testExpiredAdmins: from its end on an admin is none, for every caller.
func testExpiredAdmins(t *testing.T, s core.Store) {
	ctx := context.Background()
	member, _, _ := seed(t, s)
	admin := NewUser(t, "admin")
	admin.Role, admin.Expires = core.RoleAdmin, Start+10
	ok(t, "AddUser", s.AddUser(ctx, admin))
	for at, want := range map[core.Millis]bool{Start: true, Start + 9: true, Start + 10: false, Start + 11: false} {
		if got, err := core.HasAdmin(ctx, s, admin.ID, at); err != nil || got != want {
			t.Errorf("HasAdmin at %d: %v, %v", at-Start, got, err)
		}
	}
	_, err := s.SetUserStatusAs(ctx, admin.ID, member.ID, core.UserRevoked, Start+10)
	wantKind(t, "an expired admin who revokes", err, core.KindRefused)
	_, err = s.SetUserStatusAs(ctx, admin.ID, member.ID, core.UserRevoked, Start+9)
	ok(t, "an admin who revokes before its end", err)
	_, err = s.SetUserExpiry(ctx, admin.ID, 0, Start+10)
	ok(t, "SetUserExpiry", err)
	_, err = s.SetUserStatusAs(ctx, admin.ID, member.ID, core.UserActive, Start+11)
	ok(t, "an admin whose end was taken away", err)
}

// testExportImportExpiry: a store without ends takes a control plane that has some.
func testExportImportExpiry(t *testing.T, s core.Store) {
	ctx := context.Background()
	want := TwoRooms(t)
	_, err := Import(ctx, s, want)
	ok(t, "Import", err)
	want.Users[1].Expires, want.Users[3].Expires = Start+9, 1
	written, err := Import(ctx, s, want)
	if err != nil || written != 2 {
		t.Errorf("Import over two users without an end wrote %d, %v", written, err)
	}
	equal(t, "Export of users with ends", want, export(t, s))
	a, errA := DigestRows(want.Rows(core.TableUsers))
	b, errB := DigestRows(export(t, s).Rows(core.TableUsers))
	if errA != nil || errB != nil || a != b {
		t.Errorf("digest %+v %v, want %+v %v", b, errB, a, errA)
	}
	want.Users[1].Expires = 0
	written, err = Import(ctx, s, want)
	if err != nil || written != 1 {
		t.Errorf("Import over one user that has an end no more wrote %d, %v", written, err)
	}
	equal(t, "Export after an end was taken away", want, export(t, s))
}
