package storetest

import (
	"context"
	"slices"
	"testing"

	"unibus/core"
)

// testUserPages: a page is as current as the whole list, after every change that a
// store has for users.
func testUserPages(t *testing.T, s core.Store) {
	ctx := context.Background()
	page := func(r core.UserPageRequest) core.UserPage {
		t.Helper()
		got, err := s.UserPage(ctx, r, Start)
		ok(t, "UserPage", err)
		all, err := s.Users(ctx)
		ok(t, "Users", err)
		revoked := 0
		for _, u := range all {
			if u.Status == core.UserRevoked {
				revoked++
			}
		}
		if got.Counts.All != len(all) || got.Counts.Revoked != revoked {
			t.Errorf("counts %+v of %d users, of whom %d are revoked", got.Counts, len(all), revoked)
		}
		return got
	}
	if p := page(core.UserPageRequest{}); len(p.Users) != 0 || p.Total != 0 || p.Next != "" {
		t.Errorf("a page of no users: %+v", p)
	}
	want := TwoRooms(t).Users
	for _, u := range want {
		ok(t, "AddUser", s.AddUser(ctx, u))
		if p := page(core.UserPageRequest{Limit: 1, Named: []core.UserID{u.ID}}); len(p.Named) != 1 || p.Named[0].ID != u.ID {
			t.Errorf("the user %s that was just added is not found: %+v", u.ID, p.Named)
		}
	}
	var paged []core.User
	for r := (core.UserPageRequest{Limit: 2}); ; {
		p := page(r)
		paged = append(paged, p.Users...)
		if r.After = p.Next; r.After == "" {
			break
		}
	}
	equal(t, "the users of all pages", want, paged)
	active := slices.DeleteFunc(slices.Clone(want), func(u core.User) bool { return u.Status != core.UserActive })
	_, err := s.SetUserStatus(ctx, active[0].ID, core.UserRevoked, Start+5000)
	ok(t, "SetUserStatus", err)
	revoked := core.UserPageRequest{UserQuery: core.UserQuery{Status: core.UserRevoked, Sort: core.SortByChanged, Descending: true}}
	if p := page(revoked); p.Total == 0 || p.Users[0].ID != active[0].ID || p.Users[0].Status != core.UserRevoked {
		t.Errorf("the user that was just revoked is not first among the revoked ones: %+v", p)
	}
	_, err = s.SetUserExpiry(ctx, active[1].ID, Start+50, Start+2)
	ok(t, "SetUserExpiry", err)
	late, err := s.UserPage(ctx, core.UserPageRequest{UserQuery: core.UserQuery{Status: core.UserExpired}}, Start+50)
	if err != nil || late.Total != 1 || late.Counts.Expired != 1 || late.Users[0].ID != active[1].ID {
		t.Errorf("the user whose time is over: %+v, %v", late, err)
	}
	_, err = s.UserPage(ctx, core.UserPageRequest{UserQuery: core.UserQuery{Sort: "color"}}, Start)
	wantKind(t, "UserPage in an unknown order", err, core.KindInvalid)
}
