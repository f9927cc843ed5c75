package kv

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/store/storetest"
)

// changeFixture is what the changing methods find: an owner, a member, an invited user, a
// stranger, a key that is staged for the next epoch, and a room with old keys.
type changeFixture struct {
	owner, member, invited, stranger core.User
	newcomer                         core.User // is not there yet
	room                             core.RoomID
	rec                              string
}

func newChangeFixture(t *testing.T, s *Store) changeFixture {
	t.Helper()
	ctx := t.Context()
	f := changeFixture{
		owner: storetest.NewUser(t, "owner"), member: storetest.NewUser(t, "member"),
		invited: storetest.NewUser(t, "invited"), stranger: storetest.NewUser(t, "stranger"),
		newcomer: storetest.NewUser(t, "newcomer"),
		room:     core.RoomID("r" + token()), rec: token(),
	}
	f.owner.Role = core.RoleAdmin
	for _, u := range []core.User{f.owner, f.member, f.invited, f.stranger} {
		mustDo(t, s.AddUser(ctx, u))
	}
	mustDo(t, s.CreateRoom(ctx, storetest.NewRoom(f.room, f.owner.ID)))
	mustDo(t, s.PutMember(ctx, storetest.NewMember(f.room, f.member.ID)))
	mustDo(t, s.PutMember(ctx, f.invitation()))
	mustDo(t, s.StageKeys(ctx, f.room, 0, f.rec, f.keys()))
	f.addRoomWithOldKeys(t, s)
	return f
}

// addRoomWithOldKeys adds a room whose first key is old.
func (f changeFixture) addRoomWithOldKeys(t *testing.T, s *Store) {
	t.Helper()
	ctx, room := t.Context(), core.RoomID("old"+token())
	mustDo(t, s.CreateRoom(ctx, storetest.NewRoom(room, f.owner.ID)))
	for e := range core.Epoch(2) {
		rec := token()
		mustDo(t, s.StageKeys(ctx, room, e, rec, []core.SealedKey{storetest.NewKey(room, e+1, f.owner.ID)}))
		_, err := s.CommitRekey(ctx, room, e, rec, []byte{byte(e)})
		mustDo(t, err)
	}
}

func (f changeFixture) invitation() core.Member {
	m, by := storetest.NewMember(f.room, f.invited.ID), string(f.owner.ID)
	m.State, m.InvitedBy = core.MemberInvited, &by
	return m
}

func (f changeFixture) keys() []core.SealedKey {
	return []core.SealedKey{storetest.NewKey(f.room, 1, f.member.ID)}
}

// changes are calls of the methods of core.Store that change something, by their names.
// A word after a blank names one code path through the method.
func (f changeFixture) changes() map[string]func(context.Context, core.Store) error {
	type call = func(context.Context, core.Store) error
	return map[string]call{
		"AddUser":          func(ctx context.Context, s core.Store) error { return s.AddUser(ctx, f.newcomer) },
		"AddUser existing": func(ctx context.Context, s core.Store) error { return s.AddUser(ctx, f.stranger) },
		"SetUserStatus": func(ctx context.Context, s core.Store) error {
			_, err := s.SetUserStatus(ctx, f.member.ID, core.UserRevoked, 9)
			return err
		},
		"SetUserStatusAs": func(ctx context.Context, s core.Store) error {
			_, err := s.SetUserStatusAs(ctx, f.owner.ID, f.member.ID, core.UserRevoked, 9)
			return err
		},
		"SetUserExpiry": func(ctx context.Context, s core.Store) error {
			_, err := s.SetUserExpiry(ctx, f.member.ID, storetest.Start+5, 9)
			return err
		},
		"SetKEMKey": func(ctx context.Context, s core.Store) error {
			_, err := s.SetKEMKey(ctx, f.member.ID, f.owner.KEMKey, 9)
			return err
		},
		"CreateRoom": func(ctx context.Context, s core.Store) error {
			return s.CreateRoom(ctx, storetest.NewRoom(core.RoomID("n"+token()), f.owner.ID))
		},
		"UpdateRoom": func(ctx context.Context, s core.Store) error {
			_, err := s.UpdateRoom(ctx, f.room, core.RoomChange{Owner: f.member.ID})
			return err
		},
		"PutMember": func(ctx context.Context, s core.Store) error {
			return s.PutMember(ctx, storetest.NewMember(f.room, f.stranger.ID))
		},
		"PutMember invited": func(ctx context.Context, s core.Store) error { return s.PutMember(ctx, f.invitation()) },
		"ChangeMembers": func(ctx context.Context, s core.Store) error {
			return s.ChangeMembers(ctx, f.room, func([]core.Member) ([]core.Member, error) { return []core.Member{f.invitation()}, nil })
		},
		"AcceptInvitation": func(ctx context.Context, s core.Store) error {
			_, err := s.AcceptInvitation(ctx, f.room, f.invited.ID, 9)
			return err
		},
		"SetMemberRole": func(ctx context.Context, s core.Store) error {
			_, err := s.SetMemberRole(ctx, f.room, f.member.ID, core.MemberAdmin)
			return err
		},
		"RemoveMember": func(ctx context.Context, s core.Store) error {
			_, err := s.RemoveMember(ctx, f.room, f.member.ID)
			return err
		},
		"PutKey": func(ctx context.Context, s core.Store) error {
			return s.PutKey(ctx, storetest.NewKey(f.room, 0, f.member.ID))
		},
		"StageKeys": func(ctx context.Context, s core.Store) error {
			return s.StageKeys(ctx, f.room, 0, f.rec, f.keys())
		},
		"CommitRekey": func(ctx context.Context, s core.Store) error {
			_, err := s.CommitRekey(ctx, f.room, 0, f.rec, nil)
			return err
		},
		"DeleteOldKeys": func(ctx context.Context, s core.Store) error {
			_, err := s.DeleteOldKeys(ctx, storetest.Start+1000, 1000)
			return err
		},
	}
}

// readOnly are the methods of core.Store that change nothing.
const readOnly = " Admit Backend Close Counts EpochBegan Epochs ExpiringUsers Invitations Key KeyHolders Member MemberCount MemberCounts Members Room RoomKeys RoomMembers RoomPage Rooms RoomsOf RoomsOpenedBy StagedFor User UserPage Users "

// mutable is a connection to a server from which nothing comes while it is muted.
type mutable struct {
	net.Conn
	muted *atomic.Bool
}

func (c mutable) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.muted.Load() {
			return n, err
		}
	}
}

// Dial implements nats.CustomDialer.
func (c mutable) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, 5*time.Second)
	return mutable{conn, c.muted}, err
}

// openMutable opens a store whose connection can be muted; onWrite gets the number of each
// write of users' records.
func (t tenant) openMutable(tb *testing.T, onWrite func(n int32, muted *atomic.Bool) error) (*Store, *atomic.Bool) {
	tb.Helper()
	var muted, counting atomic.Bool
	var n atomic.Int32
	nc, err := nats.Connect(t.nodes[0].ClientURL(), nats.UserInfo(fmt.Sprintf("t%d", t.account), "x"), nats.SetCustomDialer(mutable{muted: &muted}))
	mustDo(tb, err)
	tb.Cleanup(nc.Close)
	s := New(Config{Conn: nc, Replicas: 1, Timeout: time.Second, Budget: 30 * time.Second, OnWrite: func(string, string) error {
		if !counting.Load() {
			return nil
		}
		return onWrite(n.Add(1), &muted)
	}})
	mustDo(tb, s.Open(tb.Context()))
	tb.Cleanup(func() { _ = s.Close() })
	mustDo(tb, s.OpenFor(tb.Context(), core.Authority{Backend: core.BackendNone}))
	counting.Store(true)
	return s, &muted
}

// TestEveryChangeSaysWhatBecameOfIt: a change whose read fails before its first write says
// that nothing was done, so that the client repeats it by itself. From the first write that
// was sent, its error never says so.
func TestEveryChangeSaysWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	on := onSingle(t)
	fixtures := on.open(t, 0, 1)
	changes := changeFixture{}.changes()
	methods := reflect.TypeFor[core.Store]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; changes[name] == nil && !strings.Contains(readOnly, " "+name+" ") {
			t.Errorf("no case for the method %s", name)
		}
	}
	send := func(int32, *atomic.Bool) error { return nil }
	loseAnswer := func(_ int32, muted *atomic.Bool) error {
		muted.Store(true)
		return nil
	}
	refuseSecond := func(n int32, _ *atomic.Bool) error {
		if n == 1 {
			return nil
		}
		return core.Errorf(core.KindUnavailable, "the test refuses write %d", n).WithOutcome(core.OutcomeNone)
	}
	twoWrites := " PutMember AcceptInvitation RemoveMember CommitRekey "
	for name := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(what string, muted bool, onWrite func(int32, *atomic.Bool) error, want core.Outcome) {
				change := newChangeFixture(t, fixtures).changes()[name]
				s, silent := on.openMutable(t, onWrite)
				silent.Store(muted)
				err := change(t.Context(), s)
				if core.KindOf(err) != core.KindUnavailable || core.OutcomeOf(err) != want {
					t.Errorf("%s: %v, kind %q, outcome %q", what, err, core.KindOf(err), core.OutcomeOf(err))
				}
			}
			if name != "AddUser" { // it reads nothing before it writes
				check("nothing can be read", true, send, core.OutcomeNone)
			}
			if name != "AddUser existing" { // it writes nothing
				check("the answer to a write is lost", false, loseAnswer, core.OutcomeUnknown)
			}
			if strings.Contains(twoWrites, " "+name+" ") {
				check("the second write fails", false, refuseSecond, core.OutcomeUnknown)
			}
		})
	}
}
