package storetest

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"

	"unibus/core"
)

// testMemberRows: rows of members change all or none, after all rows that were there,
// and rows of removed members stay.
func testMemberRows(t *testing.T, s core.Store) {
	ctx := context.Background()
	a, b, c := seed(t, s)
	seedRoom(t, s, "r", a.ID)
	ok(t, "PutMember", s.PutMember(ctx, NewMember("r", a.ID)))
	invited := NewMember("r", b.ID)
	invited.State, invited.InvitedBy, invited.Proof = core.MemberInvited, text(string(a.ID)), []byte(core.StatementsPrefix+"1")
	change := func(rows ...core.Member) func([]core.Member) ([]core.Member, error) {
		return func([]core.Member) ([]core.Member, error) { return rows, nil }
	}
	ok(t, "a row more", s.ChangeMembers(ctx, "r", change(invited)))
	_, err := s.RemoveMember(ctx, "r", b.ID)
	ok(t, "RemoveMember", err)
	removed := invited
	removed.State = core.MemberRemoved
	rows, err := s.RoomMembers(ctx, "r")
	ok(t, "RoomMembers", err)
	equal(t, "all rows", []core.Member{NewMember("r", a.ID), removed}, rows)

	active := invited
	active.State, active.Proof = core.MemberActive, []byte(core.StatementsPrefix+"12")
	admin := NewMember("r", a.ID)
	admin.Role = core.MemberAdmin
	var seen []core.Member
	ok(t, "two rows", s.ChangeMembers(ctx, "r", func(rows []core.Member) ([]core.Member, error) {
		seen = rows
		return []core.Member{admin, active}, nil
	}))
	equal(t, "the rows that were there", []core.Member{NewMember("r", a.ID), removed}, seen)
	rows, err = s.Members(ctx, "r")
	ok(t, "Members", err)
	equal(t, "the members", []core.Member{admin, active}, rows)
	rooms, err := s.RoomsOf(ctx, b.ID)
	ok(t, "RoomsOf", err)
	equal(t, "the rooms", []core.RoomID{"r"}, rooms)
	memberRowsRefused(t, s, active, c.ID)
	changedAtOnce(t, s, a.ID, active)
}

// memberRowsRefused: an error changes nothing; stranger is no user of the room.
func memberRowsRefused(t *testing.T, s core.Store, active core.Member, stranger core.UserID) {
	t.Helper()
	ctx := context.Background()
	before, err := s.RoomMembers(ctx, "r")
	ok(t, "RoomMembers", err)
	elsewhere, unknown, noRole := NewMember("s", stranger), NewMember("r", NewUserID(t)), NewMember("r", stranger)
	noRole.Role = "king"
	for what, c := range map[string]struct {
		row  core.Member
		want core.Kind
	}{
		"of another room": {elsewhere, core.KindInvalid}, "of an unknown user": {unknown, core.KindNotFound}, "of no role": {noRole, core.KindInvalid},
	} {
		other := active
		other.Role = core.MemberAdmin
		wantKind(t, "a row "+what, s.ChangeMembers(ctx, "r", func([]core.Member) ([]core.Member, error) { return []core.Member{other, c.row}, nil }), c.want)
	}
	wantKind(t, "an error of the caller", s.ChangeMembers(ctx, "r", func([]core.Member) ([]core.Member, error) {
		return []core.Member{NewMember("r", stranger)}, core.Errorf(core.KindRefused, "no")
	}), core.KindRefused)
	ok(t, "no change", s.ChangeMembers(ctx, "r", func([]core.Member) ([]core.Member, error) { return nil, nil }))
	wantKind(t, "an unknown room", s.ChangeMembers(ctx, "x", func([]core.Member) ([]core.Member, error) { return nil, nil }), core.KindNotFound)
	_, err = s.RoomMembers(ctx, "x")
	wantKind(t, "rows of an unknown room", err, core.KindNotFound)
	after, err := s.RoomMembers(ctx, "r")
	ok(t, "RoomMembers", err)
	equal(t, "the rows after errors", before, after)
}

// changedAtOnce: each of several writers adds to what it has seen, and nothing is lost.
func changedAtOnce(t *testing.T, s core.Store, touched core.UserID, m core.Member) {
	t.Helper()
	ctx := context.Background()
	const writers = 4
	errs := make([]error, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			errs[i] = s.ChangeMembers(ctx, "r", func(rows []core.Member) ([]core.Member, error) {
				at := slices.IndexFunc(rows, func(r core.Member) bool { return r.User == m.User })
				first := slices.IndexFunc(rows, func(r core.Member) bool { return r.User == touched })
				rows[at].Proof = append(slices.Clone(rows[at].Proof), strconv.Itoa(i+3)...)
				return []core.Member{rows[first], rows[at]}, nil
			})
		})
	}
	all.Wait()
	wrote := 0
	for _, err := range errs {
		if err == nil {
			wrote++
		} else {
			wantKind(t, "a writer among several", err, core.KindConflict)
		}
	}
	got, err := s.Member(ctx, "r", m.User)
	ok(t, "Member", err)
	if len(got.Proof) != len(m.Proof)+wrote || wrote == 0 {
		t.Errorf("%d writers wrote, and the row holds %q after %q", wrote, got.Proof, m.Proof)
	}
}
