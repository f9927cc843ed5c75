package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/request"
	"unibus/core/store/storetest"
)

// cutStore fails at one of its writes, before or after it takes effect.
type cutStore struct {
	core.Store
	left  int // writes until the one that fails; negative: none does
	after bool

	failed error // of that write; nil: errCut
}

var errCut = core.Errorf(core.KindUnavailable, "the store was cut off")

func (s *cutStore) write(do func() error) error {
	s.left--
	if s.left != -1 {
		return do()
	}
	if s.after {
		_ = do()
	}
	if s.failed != nil {
		return s.failed
	}
	return errCut
}

func (s *cutStore) AddUser(ctx context.Context, u core.User) error {
	return s.write(func() error { return s.Store.AddUser(ctx, u) })
}

func (s *cutStore) SetUserStatus(ctx context.Context, id core.UserID, status core.UserStatus, at core.Millis) (u core.User, err error) {
	err = s.write(func() (err error) { u, err = s.Store.SetUserStatus(ctx, id, status, at); return err })
	return u, err
}

func (s *cutStore) PutMember(ctx context.Context, m core.Member) error {
	return s.write(func() error { return s.Store.PutMember(ctx, m) })
}

func (s *cutStore) UpdateRoom(ctx context.Context, id core.RoomID, c core.RoomChange) (r core.Room, err error) {
	err = s.write(func() (err error) { r, err = s.Store.UpdateRoom(ctx, id, c); return err })
	return r, err
}

func (s *cutStore) RemoveMember(ctx context.Context, room core.RoomID, user core.UserID) (m core.Member, err error) {
	err = s.write(func() (err error) { m, err = s.Store.RemoveMember(ctx, room, user); return err })
	return m, err
}

type noSessions struct{ userSessions }

func (noSessions) End(context.Context, core.User) map[string]Ended { return map[string]Ended{} }

// viewed is a cluster with one operator that only another node has.
type viewed struct {
	quiet
	operator core.UserID
}

func (v viewed) View(context.Context) cluster.View {
	return cluster.View{Nodes: []cluster.Node{{Name: "n2", Online: true, Info: &cluster.Info{Name: "n2", Operators: &cluster.Operators{
		List: []core.Operator{{Key: string(v.operator), Role: core.OperatorViewer, Name: "vic"}},
	}}}}}
}

// replaceable prepares a world in which ann owns two plain rooms and an encrypted one, and is in
// two of others.
func replaceable(t *testing.T, w *keyWorld) (cut *cutStore, operator core.UserID) {
	t.Helper()
	operator = storetest.NewUserID(t)
	cut = &cutStore{Store: w.store, left: -1}
	holder := &core.StoreHandle{}
	holder.Publish(cut)
	w.cfg.Store, w.cfg.Sessions, w.cfg.Cluster = holder, noSessions{}, viewed{operator: operator}
	w.cfg.Operator = func(string) (core.Operator, bool) { return core.Operator{}, false }
	w.room(t, "sealed", 0, 1)
	for _, id := range []core.RoomID{"own-a", "own-b"} {
		must(t, w.store.CreateRoom(t.Context(), core.Room{ID: id, Owner: w.people[0].ID, State: core.RoomActive, Created: 5}))
		for i, role := range []core.MemberRole{core.MemberOwner, core.MemberAdmin, core.MemberMember, core.MemberMember} {
			must(t, w.store.PutMember(t.Context(), core.Member{Room: id, User: w.people[i].ID, Role: role, State: core.MemberActive, Joined: 5}))
		}
	}
	for _, id := range []core.RoomID{"other-admin", "other-member"} {
		must(t, w.store.CreateRoom(t.Context(), core.Room{ID: id, Owner: w.people[4].ID, State: core.RoomActive, Created: 5}))
		role := core.MemberMember
		if id == "other-admin" {
			role = core.MemberAdmin
		}
		for _, m := range []core.Member{{User: w.people[0].ID, Role: role}, {User: w.people[4].ID, Role: core.MemberOwner}} {
			m.Room, m.State, m.Joined = id, core.MemberActive, 5
			must(t, w.store.PutMember(t.Context(), m))
		}
	}
	return cut, operator
}

// places are the rooms of a user with what it is there; nothing for one that is not admitted.
func places(t *testing.T, st core.Store, id core.UserID) map[core.RoomID]core.MemberRole {
	t.Helper()
	out := map[core.RoomID]core.MemberRole{}
	rooms, err := st.RoomsOf(t.Context(), id)
	must(t, err)
	for _, room := range rooms {
		if room == "sealed" {
			continue // TestReplaceBringsNobodyIntoAnEncryptedRoom
		}
		r, err := st.Room(t.Context(), room)
		must(t, err)
		m, err := st.Member(t.Context(), room, id)
		must(t, err)
		out[room] = roleIn(r, m)
	}
	return out
}

// TestReplaceCutShortAnywhere: whichever write is the last, the old key is denied from
// the first on, neither key has more than the old one had, and a repeat completes it.
func TestReplaceCutShortAnywhere(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		cut, _ := replaceable(t, w)
		old := w.people[0].ID
		had := places(t, w.store, old)
		for n := 0; ; n++ {
			to := storetest.NewUserID(t)
			cut.left, cut.after = n/2, n%2 == 1
			_, err := w.userReplace(t.Context(), core.Operator{Name: "op"}, replaceRequest{string(old), string(to)})
			whole := err == nil
			if !whole && (!errors.Is(err, errCut) || core.AsError(err).Next == "" && n > 1) {
				t.Fatalf("cut at %d: %v", n, err)
			}
			cut.left = -1
			for who, id := range map[string]core.UserID{"old": old, "new": to} {
				for room, role := range places(t, w.store, id) {
					if was, is := had[room]; !is || role == core.MemberOwner && was != role || role == core.MemberAdmin && was == core.MemberMember {
						t.Fatalf("cut at %d: the %s key is %s of %s, and %q was had", n, who, role, room, was)
					}
				}
			}
			u, err := w.store.User(t.Context(), old)
			must(t, err)
			if gained := places(t, w.store, to); len(gained) > 0 && u.Status != core.UserRevoked {
				t.Fatalf("cut at %d: the new key has %v, and the old one is %s", n, gained, u.Status)
			}
			out, err := w.userReplace(t.Context(), core.Operator{Name: "op"}, replaceRequest{string(old), string(to)})
			if err != nil {
				t.Fatalf("the repeat after a cut at %d: %v", n, err)
			}
			if d := cmp.Diff(had, places(t, w.store, to)); d != "" || len(places(t, w.store, old)) > 0 {
				t.Fatalf("after a cut at %d and a repeat (-old +new): %s; the old key has %v", n, d, places(t, w.store, old))
			}
			if u, err = w.store.User(t.Context(), old); err != nil || u.Status != core.UserRevoked {
				t.Errorf("the old key is %s, %v", u.Status, err)
			}
			if n == 0 && !slices.Equal(out.(Replaced).Rekey, []core.RoomID{"sealed"}) {
				t.Errorf("rooms that need a new key: %v", out.(Replaced).Rekey)
			}
			if whole {
				if n < 20 {
					t.Errorf("only %d cuts", n)
				}
				return
			}
			old = to
		}
	})
}

// unreadStore cannot read users, and its barrier's outcome is not known.
type unreadStore struct{ core.Store }

func (unreadStore) User(context.Context, core.UserID) (core.User, error) {
	return core.User{}, errCut.WithOutcome(core.OutcomeUnknown)
}

// TestReplaceSaysWhatBecameOfIt: nothing was done while it only read. Once the old key is
// revoked, a step that did nothing does not speak for the whole.
func TestReplaceSaysWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		cut, _ := replaceable(t, w)
		replace := func() core.Outcome {
			st := &steps{recorded: make(chan struct{})}
			w.cfg.Guard, w.cfg.Audit = st, recorder{st}
			req := replaceRequest{string(w.people[0].ID), string(storetest.NewUserID(t))}
			f := w.serveChange(verbUserReplace, Rules()[verbUserReplace], func(ctx context.Context, op core.Operator, _ []byte) (any, error) {
				return w.userReplace(ctx, op, req)
			}, request.Call{})
			_, err := f(t.Context(), core.Operator{Name: "op"}, nil)
			if !errors.Is(err, errCut) && core.AsError(err).Kind != core.KindUnavailable {
				t.Errorf("%v", err)
			}
			return core.OutcomeOf(err)
		}
		cut.Store = unreadStore{w.store}
		if got := replace(); got != core.OutcomeNone {
			t.Errorf("before any write: outcome %q", got)
		}
		cut.Store, cut.left, cut.failed = w.store, 1, errCut.WithOutcome(core.OutcomeNone)
		if got := replace(); got != core.OutcomeUnknown {
			t.Errorf("the second write did nothing: outcome %q", got)
		}
	})
}

func TestReplaceRefuses(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		_, operator := replaceable(t, w)
		old := string(w.people[0].ID)
		role, revoked, ended := storetest.NewUser(t, ""), storetest.NewUser(t, ""), storetest.NewUser(t, "")
		role.Role, revoked.Status, ended.Expires = core.RoleAdmin, core.UserRevoked, 1
		for _, u := range []core.User{role, revoked, ended} {
			must(t, w.store.AddUser(t.Context(), u))
		}
		before, err := storetest.Export(t.Context(), w.store)
		must(t, err)
		for name, c := range map[string]struct {
			from, to string
			want     core.Kind
		}{
			"no key": {old, "x", core.KindInvalid}, "itself": {old, old, core.KindInvalid},
			"of nobody":      {string(storetest.NewUserID(t)), string(storetest.NewUserID(t)), core.KindNotFound},
			"an operator":    {old, string(operator), core.KindRefused},
			"a revoked one":  {old, string(revoked.ID), core.KindRefused},
			"an expired one": {old, string(ended.ID), core.KindRefused}, "of an expired one": {string(ended.ID), string(storetest.NewUserID(t)), core.KindRefused},
			"an admin for a member": {old, string(role.ID), core.KindRefused}, "a member for an admin": {string(role.ID), string(w.people[5].ID), core.KindRefused},
			"one with rooms": {old, string(w.people[3].ID), core.KindRefused}, "one with other rooms": {old, string(w.people[4].ID), core.KindRefused},
		} {
			if _, err := w.userReplace(t.Context(), core.Operator{Name: "op"}, replaceRequest{c.from, c.to}); core.KindOf(err) != c.want {
				t.Errorf("%s: %v", name, err)
			}
		}
		after, err := storetest.Export(t.Context(), w.store)
		must(t, err)
		if d := cmp.Diff(before, after); d != "" {
			t.Errorf("what was refused changed something:\n%s", d)
		}
	})
}

// TestReplaceKeepsTheEnd: the new key ends when the old one would, and no later. One that is a
// user with a later end is refused, and the audit has the end that is given to it before.
func TestReplaceKeepsTheEnd(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		replaceable(t, w)
		old := w.people[0].ID
		_, err := w.store.SetUserExpiry(t.Context(), old, 100_000, 1)
		must(t, err)
		added := storetest.NewUser(t, "")
		must(t, w.store.AddUser(t.Context(), added))
		_, err = w.userReplace(t.Context(), core.Operator{Name: "op"}, replaceRequest{string(old), string(added.ID)})
		if next := "unibusd user extend " + string(added.ID) + " --expires 1970-01-01T00:01:40Z"; core.KindOf(err) != core.KindRefused || !strings.HasSuffix(core.AsError(err).Next, next) {
			t.Errorf("a new key that lasts longer: %v", err)
		}
		if u, err := w.store.User(t.Context(), old); err != nil || u.Status != core.UserActive {
			t.Errorf("after the refusal: %+v, %v", u, err)
		}
		_, err = w.store.SetUserExpiry(t.Context(), added.ID, 100_000, 1)
		must(t, err)
		for _, to := range []core.UserID{storetest.NewUserID(t), added.ID} {
			if _, err := w.userReplace(t.Context(), core.Operator{Name: "op"}, replaceRequest{string(old), string(to)}); err != nil {
				t.Fatal(err)
			}
			if u, err := w.store.User(t.Context(), to); err != nil || u.Expires != 100_000 || u.Status != core.UserActive {
				t.Errorf("%+v, %v", u, err)
			}
			old = to
		}
	})
}

// changedStore changes the old key's place right after the new key got it.
type changedStore struct {
	core.Store
	change func(m core.Member)
}

func (s *changedStore) PutMember(ctx context.Context, m core.Member) error {
	err := s.Store.PutMember(ctx, m)
	if do := s.change; do != nil && err == nil {
		s.change = nil
		do(m)
	}
	return err
}

// TestReplaceGivesNothingThatIsTakenAway: a room's admin and a user-admin who act at the
// same moment are not undone.
func TestReplaceGivesNothingThatIsTakenAway(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		replaceable(t, w)
		old, next := w.people[0].ID, w.people[1].ID
		replace := func(change func(m core.Member)) (core.UserID, error) {
			to := storetest.NewUserID(t)
			holder := &core.StoreHandle{}
			holder.Publish(&changedStore{w.store, change})
			w.cfg.Store = holder
			_, err := w.userReplace(t.Context(), core.Operator{Name: "op"}, replaceRequest{string(old), string(to)})
			return to, err
		}
		var room core.RoomID
		to, err := replace(func(m core.Member) {
			room = m.Room
			_, err := w.store.RemoveMember(t.Context(), m.Room, old)
			must(t, err)
		})
		if core.KindOf(err) != core.KindConflict {
			t.Errorf("the old key was removed meanwhile: %v", err)
		}
		if _, is := places(t, w.store, to)[room]; is {
			t.Errorf("the new key is in %s, from which the old one was removed", room)
		}
		to, err = replace(func(m core.Member) {
			room = m.Room
			_, err := w.store.UpdateRoom(t.Context(), m.Room, core.RoomChange{Owner: next})
			must(t, err)
		})
		if r, get := w.store.Room(t.Context(), room); get != nil || r.Owner != next {
			t.Errorf("%s was handed to another meanwhile, and belongs to %s: %v, %v", room, r.Owner, err, get)
		}
		if places(t, w.store, to)[room] == core.MemberOwner {
			t.Errorf("the new key owns %s", room)
		}
	})
}

// TestReplaceFollowsADemotion: the role that counts is the one of the last moment.
func TestReplaceFollowsADemotion(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		replaceable(t, w)
		old, to := w.people[1].ID, storetest.NewUserID(t)
		holder := &core.StoreHandle{}
		holder.Publish(&changedStore{w.store, func(m core.Member) {
			if m.Role != core.MemberAdmin {
				t.Fatalf("%+v", m)
			}
			_, err := w.store.SetMemberRole(t.Context(), m.Room, old, core.MemberMember)
			must(t, err)
		}})
		w.cfg.Store = holder
		if _, err := w.userReplace(t.Context(), core.Operator{Name: "op"}, replaceRequest{string(old), string(to)}); err != nil {
			t.Fatal(err)
		}
		if got := places(t, w.store, to); got["own-a"] != core.MemberMember || got["own-b"] != core.MemberAdmin {
			t.Errorf("%v", got)
		}
	})
}

// TestReplaceBringsNobodyIntoAnEncryptedRoom: an operator would be given its next key.
func TestReplaceBringsNobodyIntoAnEncryptedRoom(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		replaceable(t, w)
		for _, i := range []int{0, 1} { // its owner, and an admin
			to := storetest.NewUserID(t)
			out, err := w.userReplace(t.Context(), core.Operator{Name: "op"}, replaceRequest{string(w.people[i].ID), string(to)})
			must(t, err)
			if got := out.(Replaced); !slices.Contains(got.Kept, "sealed") || slices.Contains(got.Moved, "sealed") || !slices.Contains(got.Rekey, "sealed") {
				t.Errorf("%+v", got)
			}
			rooms, err := w.store.RoomsOf(t.Context(), to)
			if err != nil || len(rooms) == 0 || slices.Contains(rooms, "sealed") {
				t.Errorf("the new key is in %v, %v", rooms, err)
			}
		}
		if r, err := w.store.Room(t.Context(), "sealed"); err != nil || r.Owner != w.people[0].ID {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestReplaceSaysWhoConfirms: of each encrypted room it says who can bring the new key
// in, and whether that was done already.
func TestReplaceSaysWhoConfirms(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		ctx := t.Context()
		replaceable(t, w)
		for _, id := range []core.RoomID{"asked", "entered", "alone", "closed"} {
			w.room(t, id, 0, 1)
		}
		must(t, errOf(w.store.RemoveMember(ctx, "alone", w.people[1].ID)))
		must(t, errOf(w.store.UpdateRoom(ctx, "closed", core.RoomChange{State: core.RoomArchived})))
		must(t, errOf(w.store.SetMemberRole(ctx, "sealed", w.people[2].ID, core.MemberAdmin)))
		must(t, errOf(w.store.SetMemberRole(ctx, "sealed", w.people[3].ID, core.MemberAdmin)))
		must(t, errOf(w.store.SetUserStatus(ctx, w.people[2].ID, core.UserRevoked, 1)))
		old, to, by := string(w.people[0].ID), storetest.NewUserID(t), string(w.people[1].ID)
		_, err := w.userReplace(ctx, core.Operator{Name: "op"}, replaceRequest{old, string(to)})
		must(t, err)
		for room, state := range map[core.RoomID]core.MemberState{"asked": core.MemberInvited, "entered": core.MemberActive} {
			must(t, w.store.PutMember(ctx, core.Member{Room: room, User: to, Role: core.MemberMember, State: state, InvitedBy: &by, Joined: 5}))
		}
		out, err := w.userReplace(ctx, core.Operator{Name: "op"}, replaceRequest{old, string(to)})
		must(t, err)
		got := out.(Replaced)
		for room, want := range map[core.RoomID]string{
			"sealed":  "is encrypted and was not moved: the new key has to be invited by ben, dan; the old key remains its owner",
			"asked":   "is encrypted and was not moved: the new key is invited and has to accept; the old key remains its owner",
			"entered": "is encrypted and was not moved: the new key is a member; the old key remains its owner",
			"alone":   "is encrypted and was not moved: no member can invite the new key; go on in a new room",
			"closed":  "is archived and was not moved",
		} {
			if said := got.StillThere(room); said != want {
				t.Errorf("%s %s", room, said)
			}
		}
		if len(got.Kept) != 5 || len(got.Confirm) != 4 {
			t.Errorf("%+v", got)
		}
		w2, err := w.store.Member(ctx, "entered", to)
		if err != nil || w2.Role != core.MemberMember {
			t.Errorf("an operator raised the new key in an encrypted room: %+v, %v", w2, err)
		}
	})
}

// TestReplaceAfterTheOldKeyInvitedTheNewOne: a person who holds both keys brings the new
// one into the encrypted rooms first. A key that anybody else brought in is another's.
func TestReplaceAfterTheOldKeyInvitedTheNewOne(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		ctx := t.Context()
		replaceable(t, w)
		old, to := w.people[0].ID, storetest.NewUser(t, "")
		to.Role, to.Status = w.people[0].Role, core.UserActive
		must(t, w.store.AddUser(ctx, to))
		enter := func(by core.UserID, rooms ...core.RoomID) {
			for _, room := range rooms {
				must(t, w.store.PutMember(ctx, core.Member{Room: room, User: to.ID, Role: core.MemberMember, State: core.MemberInvited, InvitedBy: (*string)(&by), Joined: 5}))
				must(t, errOf(w.store.AcceptInvitation(ctx, room, to.ID, 6)))
			}
		}
		replace := func() (any, error) {
			return w.userReplace(ctx, core.Operator{Name: "op"}, replaceRequest{string(old), string(to.ID)})
		}
		enter(w.people[1].ID, "sealed")
		if _, err := replace(); core.KindOf(err) != core.KindRefused {
			t.Errorf("a key that ben invited: %v", err)
		}
		must(t, errOf(w.store.RemoveMember(ctx, "sealed", to.ID)))
		enter(old, "sealed", "own-a")
		if _, err := replace(); core.KindOf(err) != core.KindRefused {
			t.Errorf("a key that is in a plain room already: %v", err)
		}
		must(t, errOf(w.store.RemoveMember(ctx, "own-a", to.ID)))
		must(t, w.store.CreateRoom(ctx, core.Room{ID: "elsewhere", Owner: to.ID, Encrypted: true, State: core.RoomActive, Created: 5}))
		if _, err := replace(); core.KindOf(err) != core.KindRefused {
			t.Errorf("a key with an encrypted room of its own: %v", err)
		}
		must(t, errOf(w.store.UpdateRoom(ctx, "elsewhere", core.RoomChange{Owner: w.people[4].ID})))
		must(t, errOf(w.store.UpdateRoom(ctx, "sealed", core.RoomChange{Owner: to.ID}))) // the old key hands the room over
		out, err := replace()
		must(t, err)
		if got := out.(Replaced).Confirm; len(got) != 1 || got[0].New != core.MemberActive || got[0].Owned {
			t.Errorf("%+v", got)
		}
		u, err := w.store.User(ctx, old)
		if err != nil || u.Status != core.UserRevoked || places(t, w.store, to.ID)["own-a"] != core.MemberOwner {
			t.Errorf("%+v, %v, %v", u, err, places(t, w.store, to.ID))
		}
	})
}
