package storetest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"unibus/core"
)

// Run runs the suite. open returns a new, empty store and closes it by
// t.Cleanup; tests that close it themselves rely on a second Close being harmless.
func Run(t *testing.T, open func(t *testing.T) core.Store) {
	for _, c := range []struct {
		name string
		f    func(*testing.T, core.Store)
	}{
		{"Empty", testEmpty},
		{"Users", testUsers},
		{"UserPages", testUserPages},
		{"UsersRefused", testUsersRefused},
		{"UserStatus", testUserStatus},
		{"UserExpiry", testUserExpiry},
		{"ExpiredAdmins", testExpiredAdmins},
		{"ExportImportExpiry", testExportImportExpiry},
		{"Admins", testAdmins},
		{"Admission", testAdmission},
		{"HasAdmin", testHasAdmin},
		{"ValuesAreTheCallers", testValuesAreTheCallers},
		{"Rooms", testRooms},
		{"RoomPages", testRoomPages},
		{"RoomsRefused", testRoomsRefused},
		{"Members", testMembers},
		{"MembersNotFound", testMembersNotFound},
		{"Invitations", testInvitations},
		{"MemberRows", testMemberRows},
		{"RoomsOf", testRoomsOf},
		{"UpdateRoom", testUpdateRoom},
		{"MemberRole", testMemberRole},
		{"KEMKey", testKEMKey},
		{"Staged", testStaged},
		{"StagedByMany", testStagedByMany},
		{"Epochs", testEpochs},
		{"PutKey", testPutKey},
		{"Rekey", testRekey},
		{"RoomKeys", testRoomKeys},
		{"RekeyConflict", testRekeyConflict},
		{"OldKeys", testOldKeys},
		{"ExportImport", testExportImport},
		{"ImportOverwrites", testImportOverwrites},
		{"FieldRanges", testFieldRanges},
		{"Closed", testClosed},
		{"Cancelled", testCancelled},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(t, open(t)) })
	}
}

// NULL and empty are different, an empty and a nil list are not; recs are the store's own.
var (
	sameLists = cmpopts.EquateEmpty()
	sameBytes = cmp.Comparer(func(a, b []byte) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) })
	noRecs    = cmp.Options{cmpopts.IgnoreFields(core.Room{}, "Rec"), cmpopts.IgnoreFields(core.SealedKey{}, "Rec")}
)

func equal(t *testing.T, what string, want, got any, opts ...cmp.Option) {
	t.Helper()
	opts = append(opts, sameBytes, cmp.FilterPath(notBytes, sameLists))
	if d := cmp.Diff(want, got, opts...); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func notBytes(p cmp.Path) bool {
	typ := p.Last().Type()
	return typ == nil || typ.String() != "[]uint8"
}

func ok(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func wantKind(t *testing.T, what string, err error, want core.Kind) {
	t.Helper()
	if got := core.KindOf(err); got != want {
		t.Errorf("%s: kind %q, want %q (error: %v)", what, got, want, err)
	}
	if err != nil && strings.Contains(err.Error(), "sql:") {
		t.Errorf("%s: the error speaks of the backend's library: %v", what, err)
	}
}

// seed adds users a, b, c in the order of their ids.
func seed(t *testing.T, s core.Store) (a, b, c core.User) {
	t.Helper()
	users := []core.User{NewUser(t, "a"), NewUser(t, "b"), NewUser(t, "c")}
	slices.SortFunc(users, func(x, y core.User) int { return strings.Compare(string(x.ID), string(y.ID)) })
	for _, u := range users {
		ok(t, "AddUser", s.AddUser(context.Background(), u))
	}
	return users[0], users[1], users[2]
}

func seedRoom(t *testing.T, s core.Store, id core.RoomID, owner core.UserID) core.Room {
	t.Helper()
	r := NewRoom(id, owner)
	ok(t, "CreateRoom", s.CreateRoom(context.Background(), r))
	return r
}

func export(t *testing.T, s core.Store) core.Snapshot {
	t.Helper()
	got, err := Export(context.Background(), s)
	ok(t, "Export", err)
	return got
}

func testEmpty(t *testing.T, s core.Store) {
	ctx := context.Background()
	users, err := s.Users(ctx)
	ok(t, "Users", err)
	rooms, err := s.Rooms(ctx)
	ok(t, "Rooms", err)
	n, err := s.Counts(ctx)
	ok(t, "Counts", err)
	if len(users) != 0 || len(rooms) != 0 || n != (core.Counts{}) {
		t.Errorf("a new store is not empty: %d users, %d rooms, %+v", len(users), len(rooms), n)
	}
	equal(t, "Export of an empty store", core.Snapshot{}, export(t, s))
	written, err := Import(ctx, s, core.Snapshot{})
	if err != nil || written != 0 {
		t.Errorf("Import of nothing: %d, %v", written, err)
	}
	if s.Backend() != core.BackendSQLite && s.Backend() != core.BackendKV {
		t.Errorf("Backend is %q", s.Backend())
	}
}

func testClosed(t *testing.T, s core.Store) {
	u, _, _ := seed(t, s)
	seedRoom(t, s, "r", u.ID)
	ok(t, "Close", s.Close())
	ok(t, "second Close", s.Close())
	for _, c := range calls(t, u.ID) {
		wantKind(t, c.name+" after Close", c.f(context.Background(), s), core.KindUnavailable)
	}
}

func testCancelled(t *testing.T, s core.Store) {
	u, _, _ := seed(t, s)
	seedRoom(t, s, "r", u.ID)
	before := export(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range calls(t, u.ID) {
		wantKind(t, c.name+" with a canceled context", c.f(ctx, s), core.KindUnavailable)
	}
	equal(t, "what canceled calls left", before, export(t, s))
}

type call struct {
	name string
	f    func(context.Context, core.Store) error
}

// calls is every method that reaches the backend; user and a room "r" exist.
func calls(t *testing.T, user core.UserID) []call {
	return slices.Concat(userCalls(t, user), roomCalls(user), keyCalls(t, user))
}

func userCalls(t *testing.T, user core.UserID) []call {
	fresh := NewUser(t, "fresh")
	return []call{
		{"AddUser", func(ctx context.Context, s core.Store) error { return s.AddUser(ctx, fresh) }},
		{"User", func(ctx context.Context, s core.Store) error { _, err := s.User(ctx, user); return err }},
		{"Users", func(ctx context.Context, s core.Store) error { _, err := s.Users(ctx); return err }},
		{"UserPage", func(ctx context.Context, s core.Store) error {
			_, err := s.UserPage(ctx, core.UserPageRequest{}, Start)
			return err
		}},
		{"ExpiringUsers", func(ctx context.Context, s core.Store) error { _, err := s.ExpiringUsers(ctx); return err }},
		{"SetUserStatus", func(ctx context.Context, s core.Store) error {
			_, err := s.SetUserStatus(ctx, user, core.UserRevoked, Start+1)
			return err
		}},
		{"SetUserStatusAs", func(ctx context.Context, s core.Store) error {
			_, err := s.SetUserStatusAs(ctx, user, user, core.UserRevoked, Start+1)
			return err
		}},
		{"SetUserExpiry", func(ctx context.Context, s core.Store) error {
			_, err := s.SetUserExpiry(ctx, user, Start+9, Start+1)
			return err
		}},
		{"Admit", func(ctx context.Context, s core.Store) error {
			a, err := s.Admit(ctx, user)
			if a.Status != "" || a.Rooms != nil {
				t.Errorf("a store that cannot answer admitted %+v", a)
			}
			return err
		}},
		{"HasAdmin", func(ctx context.Context, s core.Store) error {
			yes, err := core.HasAdmin(ctx, s, user, Start)
			if yes {
				t.Error("a store that cannot answer said yes")
			}
			return err
		}},
		{"SetKEMKey", func(ctx context.Context, s core.Store) error {
			_, err := s.SetKEMKey(ctx, user, []byte{1}, Start+1)
			return err
		}},
	}
}

// roomCalls are about rooms and their members.
func roomCalls(user core.UserID) []call {
	return []call{
		{"CreateRoom", func(ctx context.Context, s core.Store) error { return s.CreateRoom(ctx, NewRoom("r2", user)) }},
		{"Room", func(ctx context.Context, s core.Store) error { _, err := s.Room(ctx, "r"); return err }},
		{"Rooms", func(ctx context.Context, s core.Store) error { _, err := s.Rooms(ctx); return err }},
		{"PutMember", func(ctx context.Context, s core.Store) error { return s.PutMember(ctx, NewMember("r", user)) }},
		{"RemoveMember", func(ctx context.Context, s core.Store) error { return errOf(s.RemoveMember(ctx, "r", user)) }},
		{"Members", func(ctx context.Context, s core.Store) error { _, err := s.Members(ctx, "r"); return err }},
		{"RoomMembers", func(ctx context.Context, s core.Store) error { _, err := s.RoomMembers(ctx, "r"); return err }},
		{"ChangeMembers", func(ctx context.Context, s core.Store) error {
			return s.ChangeMembers(ctx, "r", func([]core.Member) ([]core.Member, error) { return []core.Member{NewMember("r", user)}, nil })
		}},
		{"RoomPage", func(ctx context.Context, s core.Store) error {
			_, err := s.RoomPage(ctx, core.RoomPageRequest{}, nil)
			return err
		}},
		{"MemberCounts", func(ctx context.Context, s core.Store) error {
			_, err := s.MemberCounts(ctx, []core.RoomID{"r"})
			return err
		}},
		{"RoomsOf", func(ctx context.Context, s core.Store) error { _, err := s.RoomsOf(ctx, user); return err }},
		{"UpdateRoom", func(ctx context.Context, s core.Store) error {
			_, err := s.UpdateRoom(ctx, "r", core.RoomChange{State: core.RoomArchived})
			return err
		}},
		{"SetMemberRole", func(ctx context.Context, s core.Store) error {
			_, err := s.SetMemberRole(ctx, "r", user, core.MemberAdmin)
			return err
		}},
		{"Member", func(ctx context.Context, s core.Store) error { _, err := s.Member(ctx, "r", user); return err }},
	}
}

// keyCalls are about sealed keys, and about everything at once.
func keyCalls(t *testing.T, user core.UserID) []call {
	whole := TwoRooms(t)
	return []call{
		{"PutKey", func(ctx context.Context, s core.Store) error { return s.PutKey(ctx, NewKey("r", 0, user)) }},
		{"Rekey", func(ctx context.Context, s core.Store) error {
			_, err := Rekey(ctx, s, "r", 0, []core.SealedKey{NewKey("r", 1, user)})
			return err
		}},
		{"Key", func(ctx context.Context, s core.Store) error { _, err := s.Key(ctx, "r", 0, user); return err }},
		{"KeyHolders", func(ctx context.Context, s core.Store) error { _, err := s.KeyHolders(ctx, "r"); return err }},
		{"StageKeys", func(ctx context.Context, s core.Store) error {
			return s.StageKeys(ctx, "r", 0, someRec, []core.SealedKey{NewKey("r", 1, user)})
		}},
		{"StagedFor", func(ctx context.Context, s core.Store) error { _, err := s.StagedFor(ctx, "r", 0, someRec); return err }},
		{"CommitRekey", func(ctx context.Context, s core.Store) error {
			_, err := s.CommitRekey(ctx, "r", 0, someRec, []byte{1})
			return err
		}},
		{"Epochs", func(ctx context.Context, s core.Store) error { _, err := s.Epochs(ctx, "r", 9, 9); return err }},
		{"DeleteOldKeys", func(ctx context.Context, s core.Store) error { _, err := s.DeleteOldKeys(ctx, Start, 1); return err }},
		{"Counts", func(ctx context.Context, s core.Store) error { _, err := s.Counts(ctx); return err }},
		{"Export", func(ctx context.Context, s core.Store) error { _, err := Export(ctx, s); return err }},
		{"Import", func(ctx context.Context, s core.Store) error { _, err := Import(ctx, s, whole); return err }},
	}
}

// errOf drops the record that comes with an error.
func errOf(_ core.Member, err error) error { return err }
