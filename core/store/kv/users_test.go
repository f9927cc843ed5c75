package kv

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/storetest"
)

func TestJetStreamStoreUsers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	s, other := on.open(t, 0, 3), on.open(t, 1, 3)
	u, admin := storetest.NewUser(t, "ann"), storetest.NewUser(t, "root")
	admin.Role = core.RoleAdmin
	mustDo(t, s.AddUser(ctx, u))
	mustDo(t, s.AddUser(ctx, admin))

	lower := core.UserID(strings.ToLower(string(u.ID)))
	got := must[core.User](t)(other.User(ctx, lower))
	if d := cmp.Diff(u, got); d != "" {
		t.Errorf("the user read at another node (-want +got):\n%s", d)
	}
	again := u
	again.ID = lower
	wantKind(t, other.AddUser(ctx, again), core.KindExists)
	if users := must[[]core.User](t)(other.Users(ctx)); len(users) != 2 || users[0].ID > users[1].ID {
		t.Errorf("two users in order were expected: %+v", users)
	}

	gates := func(id core.UserID, authorized, isAdmin bool) {
		t.Helper()
		for _, store := range []*Store{s, other} {
			if yes := must[bool](t)(storetest.IsAuthorized(ctx, store, id)); yes != authorized {
				t.Errorf("IsAuthorized is %v", yes)
			}
			if yes := must[bool](t)(core.HasAdmin(ctx, store, id, 1)); yes != isAdmin {
				t.Errorf("HasAdmin is %v", yes)
			}
		}
	}
	gates(u.ID, true, false)
	gates(lower, true, false)
	gates(admin.ID, true, true)
	gates(storetest.NewUserID(t), false, false)
	revoked := must[core.User](t)(other.SetUserStatus(ctx, admin.ID, core.UserRevoked, storetest.Start+5))
	if revoked.Status != core.UserRevoked || revoked.Updated != storetest.Start+5 || revoked.Created != storetest.Start {
		t.Errorf("the revoked user came back as %+v", revoked)
	}
	// The store that revoked knows at once; the others when their watch tells them, and in any case when their lease ends.
	if yes := must[bool](t)(storetest.IsAuthorized(ctx, other, admin.ID)); yes {
		t.Error("the store that revoked still authorises")
	}
	eventually(t, leaseFor+time.Second, "a denial at the other store", func() bool { return !must[bool](t)(storetest.IsAuthorized(ctx, s, admin.ID)) })
	gates(admin.ID, false, false)
	wantKind(t, s.AddUser(ctx, admin), core.KindExists)
	must[core.User](t)(s.SetUserStatus(ctx, admin.ID, core.UserActive, storetest.Start+6))
	gates(admin.ID, true, true)
}

func TestJetStreamStoreNotFound(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	u := storetest.NewUser(t, "ann")
	mustDo(t, s.AddUser(ctx, u))
	mustDo(t, s.CreateRoom(ctx, storetest.NewRoom("here", u.ID)))
	stranger := storetest.NewUserID(t)
	for what, f := range map[string]func() error{
		"User":              func() error { _, err := s.User(ctx, stranger); return err },
		"SetUserStatus":     func() error { _, err := s.SetUserStatus(ctx, stranger, core.UserActive, 1); return err },
		"Room":              func() error { _, err := s.Room(ctx, "none"); return err },
		"Members":           func() error { _, err := s.Members(ctx, "none"); return err },
		"KeyHolders":        func() error { _, err := s.KeyHolders(ctx, "none"); return err },
		"PutMember room":    func() error { return s.PutMember(ctx, storetest.NewMember("none", u.ID)) },
		"PutMember user":    func() error { return s.PutMember(ctx, storetest.NewMember("here", stranger)) },
		"RemoveMember":      func() error { return errOf(s.RemoveMember(ctx, "here", u.ID)) },
		"PutKey":            func() error { return s.PutKey(ctx, storetest.NewKey("none", 0, u.ID)) },
		"Rekey":             func() error { _, err := storetest.Rekey(ctx, s, "none", 0, nil); return err },
		"Key":               func() error { _, err := s.Key(ctx, "here", 0, u.ID); return err },
		"Key of an epoch":   func() error { _, err := s.Key(ctx, "here", 9, u.ID); return err },
		"Key of a stranger": func() error { _, err := s.Key(ctx, "here", 0, stranger); return err },
	} {
		if got := core.KindOf(f()); got != core.KindNotFound {
			t.Errorf("%s: kind %q, want %q", what, got, core.KindNotFound)
		}
	}
}

func TestIdsThatAreNotIdsAreRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	u := storetest.NewUser(t, "ann")
	mustDo(t, s.AddUser(ctx, u))
	for _, id := range []string{"", ">", "*", "a.b", "_authority", "a b"} {
		_, err := s.User(ctx, core.UserID(id))
		wantKind(t, err, core.KindInvalid)
		_, err = s.Members(ctx, core.RoomID(id))
		wantKind(t, err, core.KindInvalid)
		_, err = s.RoomsOf(ctx, core.UserID(id))
		wantKind(t, err, core.KindInvalid)
		wantKind(t, errOf(s.RemoveMember(ctx, core.RoomID(id), u.ID)), core.KindInvalid)
		wantKind(t, s.CreateRoom(ctx, core.Room{ID: core.RoomID(id), Owner: u.ID}), core.KindInvalid)
	}
}

func TestJetStreamStoreIsAuthorizedFailClosed(t *testing.T) {
	t.Parallel()
	on := ownServers(t, 1)
	s := New(Config{Conn: on.conn(t, 0), Replicas: 1, Timeout: 300 * time.Millisecond})
	mustDo(t, s.Open(t.Context()))
	mustDo(t, s.OpenFor(t.Context(), core.Authority{Backend: core.BackendNone}))
	admin := storetest.NewUser(t, "root")
	admin.Role = core.RoleAdmin
	mustDo(t, s.AddUser(t.Context(), admin))
	if yes := must[bool](t)(core.HasAdmin(t.Context(), s, admin.ID, 1)); !yes {
		t.Fatal("the admin is not admitted while the server runs")
	}
	on.nodes[0].Shutdown()
	on.nodes[0].WaitForShutdown()
	for what, ask := range map[string]func(context.Context, core.UserID) (bool, error){
		"IsAuthorized": func(ctx context.Context, id core.UserID) (bool, error) { return storetest.IsAuthorized(ctx, s, id) },
		"HasAdmin":     func(ctx context.Context, id core.UserID) (bool, error) { return core.HasAdmin(ctx, s, id, 1) },
	} {
		// Until the lease is over admission may rely on what it proved before.
		eventually(t, leaseFor+time.Second, "the end of the lease", func() bool { _, ok := s.Lease(); return !ok })
		begun := time.Now()
		yes, err := ask(context.Background(), admin.ID)
		if yes || core.KindOf(err) != core.KindUnavailable {
			t.Errorf("%s without a server: %v, %v", what, yes, err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("%s took %v to deny", what, took)
		}
	}
	wantKind(t, s.AddUser(context.Background(), storetest.NewUser(t, "late")), core.KindUnavailable)
}

func TestValuesNearTheLimit(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	limit := int(s.api.Conn.MaxPayload()) - headerReserve
	u := storetest.NewUser(t, "")
	frame := len(core.UserRow(u).Value)
	long := strings.Repeat("x", limit-frame)
	u.Name = &long
	if got := len(core.UserRow(u).Value); got != limit {
		t.Fatalf("the test is wrong: %d bytes, want %d", got, limit)
	}
	mustDo(t, s.AddUser(ctx, u))
	if got := must[core.User](t)(s.User(ctx, u.ID)); *got.Name != long {
		t.Error("a name at the limit came back changed")
	}
	for range 12 { // more than one pull of bytes
		more := storetest.NewUser(t, "")
		more.Name = &long
		mustDo(t, s.AddUser(ctx, more))
	}
	if users := must[[]core.User](t)(s.Users(ctx)); len(users) != 13 {
		t.Errorf("%d users of a megabyte each, want 13", len(users))
	}
	tooLong := long + "x"
	over := storetest.NewUser(t, tooLong)
	wantKind(t, s.AddUser(ctx, over), core.KindInvalid)
	_, err := s.PutRows(ctx, []core.Row{core.UserRow(storetest.NewUser(t, "small")), core.UserRow(over)})
	wantKind(t, err, core.KindInvalid)
	if users := must[[]core.User](t)(s.Users(ctx)); len(users) != 13 {
		t.Errorf("a refused write left %d users, want 13", len(users))
	}
}

// errOf drops the record that comes with an error.
func errOf(_ core.Member, err error) error { return err }
