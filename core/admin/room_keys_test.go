package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/store/kv"
	"unibus/core/store/sqlite"
	"unibus/core/store/storetest"
)

// bus has the online users of each room, and what was said in rooms.
type bus struct {
	present map[string]Present
	said    []string
	broken  error
}

func (b *bus) Present(context.Context, core.RoomID) map[string]Present { return b.present }

func (b *bus) Ask(room core.RoomID, epoch core.Epoch, member core.UserID) error {
	b.said = append(b.said, fmt.Sprintf("%s %d %s", room, epoch, member))
	return b.broken
}

func (b *bus) UserChanged(_ context.Context, _ core.Store, u core.User) {
	b.said = append(b.said, string(u.Status)+" "+string(u.ID))
}

type quiet struct{ clusterViewer }

func (quiet) Note(cluster.Level, string, string) {}

func (quiet) LastSeen() *core.LastSeen { return &core.LastSeen{} }

// keyWorld is the service in front of a real store with six people.
type keyWorld struct {
	*Service
	store  core.Store
	bus    *bus
	people []core.User // ann, ben, cat, dan, eve, fay in the order of their ids
}

func newKeyWorld(t *testing.T, st core.Store) *keyWorld {
	t.Helper()
	w := &keyWorld{store: st, bus: &bus{present: map[string]Present{"n1": {}}}}
	for range 6 {
		w.people = append(w.people, storetest.NewUser(t, ""))
	}
	slices.SortFunc(w.people, func(a, b core.User) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for i, name := range []string{"ann", "ben", "cat", "dan", "eve", "fay"} {
		w.people[i].Name, w.people[i].Status = &name, core.UserActive
		must(t, st.AddUser(t.Context(), w.people[i]))
	}
	holder := &core.StoreHandle{}
	holder.Publish(st)
	w.Service = NewService(ServiceConfig{
		Node: "n1", Store: holder, Cluster: quiet{}, Bus: w.bus, Log: slog.New(slog.DiscardHandler),
		Now: func() core.Millis { return 1 },
	})
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// onBothStores runs a test over SQLite and over KV.
func onBothStores(t *testing.T, run func(*testing.T, *keyWorld)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		st := sqlite.New(sqlite.Config{Path: t.TempDir() + "/unibus.db", Create: true})
		must(t, st.Open(t.Context()))
		t.Cleanup(func() { _ = st.Close() })
		run(t, newKeyWorld(t, st))
	})
	t.Run("kv", func(t *testing.T) {
		t.Parallel()
		srv, err := server.NewServer(&server.Options{ServerName: "n1", DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
		must(t, err)
		srv.Start()
		t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
		if !srv.ReadyForConnections(20 * time.Second) {
			t.Fatal("the test's server did not start")
		}
		nc, err := nats.Connect("", nats.InProcessServer(srv))
		must(t, err)
		t.Cleanup(nc.Close)
		st := kv.New(kv.Config{Conn: nc, Replicas: 1, Timeout: 5 * time.Second})
		t.Cleanup(func() { _ = st.Close() })
		must(t, errors.Join(st.Open(t.Context()), st.OpenFor(t.Context(), core.Authority{Backend: core.BackendNone})))
		run(t, newKeyWorld(t, st))
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// room makes an encrypted room of ann's with ben as its admin and cat and dan in it, at epoch 1 with a box for each of with.
func (w *keyWorld) room(t *testing.T, id core.RoomID, with ...int) {
	t.Helper()
	ctx := t.Context()
	must(t, w.store.CreateRoom(ctx, core.Room{ID: id, Owner: w.people[0].ID, Encrypted: true, State: core.RoomActive, Created: 5}))
	for i, role := range []core.MemberRole{core.MemberOwner, core.MemberAdmin, core.MemberMember, core.MemberMember} {
		must(t, w.store.PutMember(ctx, core.Member{Room: id, User: w.people[i].ID, Role: role, State: core.MemberActive, Proof: []byte("proof"), Joined: 5}))
	}
	var keys []core.SealedKey
	for _, i := range with {
		keys = append(keys, core.SealedKey{Room: id, User: w.people[i].ID, Box: []byte("box"), Created: core.Millis(100 + i)})
	}
	_, err := storetest.Rekey(ctx, w.store, id, 0, keys)
	must(t, err)
}

func (w *keyWorld) online(node string, people ...int) {
	p := Present{}
	for _, i := range people {
		p.Users = append(p.Users, w.people[i].ID)
	}
	w.bus.present[node] = p
}

func (w *keyWorld) detail(t *testing.T, id core.RoomID) RoomDetail {
	t.Helper()
	out, err := w.roomGet(t.Context(), core.Operator{}, RoomRequest{ID: string(id)})
	must(t, err)
	return out.(RoomDetail)
}

func (w *keyWorld) listed(t *testing.T) map[core.RoomID]KeyHealth {
	t.Helper()
	out, err := w.roomPage(t.Context(), core.Operator{}, core.RoomPageRequest{})
	must(t, err)
	all := map[core.RoomID]KeyHealth{}
	for _, r := range out.(RoomPage).Rooms {
		if r.Keys == nil {
			t.Errorf("%s has no health", r.ID)
			continue
		}
		all[r.ID] = *r.Keys
	}
	return all
}

func (w *keyWorld) called(people []RoomPerson) string {
	var out []string
	for _, p := range people {
		out = append(out, fmt.Sprintf("%s %s %s %s", p.Called(), p.Role, p.Status, strings.Join(p.Nodes, "+")))
	}
	return strings.Join(out, ", ")
}

// TestNoteOfMovedRooms: whose keys are a legacy database's, nobody makes new ones unasked.
func TestNoteOfMovedRooms(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		ctx := t.Context()
		w.room(t, "new", 0)
		const rec = "0123456789abcdef"
		must(t, w.store.StageKeys(ctx, "new", 1, rec, []core.SealedKey{{Room: "new", User: w.people[3].ID, Box: []byte("box"), Created: 5}}))
		_, err := w.store.CommitRekey(ctx, "new", 1, rec, []byte("record"))
		must(t, err)
		must(t, errOf(w.store.RemoveMember(ctx, "new", w.people[3].ID)))
		if note := w.rekeyNote(); note == nil || !strings.Contains(note.Text, "in 1 room:") || strings.Contains(note.Text, "keys were moved") {
			t.Errorf("without one: %+v", note)
		}
		must(t, w.store.CreateRoom(ctx, core.Room{ID: "old", Owner: w.people[0].ID, Encrypted: true, State: core.RoomActive, Created: 5}))
		must(t, w.store.PutKey(ctx, core.SealedKey{Room: "old", User: w.people[3].ID, Box: []byte("box"), Created: 5}))
		w.keys.last.Store(nil)
		if note := w.rekeyNote(); note == nil || !strings.Contains(note.Text, "in 2 rooms:") || !strings.Contains(note.Text, "in 1 room whose keys were moved") {
			t.Errorf("with one: %+v", note)
		}
		if note := (&keyHealthSnapshot{rekey: 2, legacy: 2}).note(); strings.Contains(note.Text, "but in") || !strings.Contains(note.Text, "keys were moved") {
			t.Errorf("of moved ones alone: %+v", note)
		}
	})
}

// TestKeyHealth: each state, in the list and in the room itself.
func TestKeyHealth(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		ctx := t.Context()
		w.room(t, "well", 0, 1, 2, 3)
		w.room(t, "lacking", 0, 2)
		w.room(t, "removed", 0, 1, 2, 3)
		w.room(t, "revoked", 0, 1, 2, 3)
		must(t, w.store.PutMember(ctx, core.Member{Room: "revoked", User: w.people[4].ID, Role: core.MemberMember, State: core.MemberActive}))
		must(t, w.store.PutKey(ctx, core.SealedKey{Room: "revoked", Epoch: 1, User: w.people[4].ID, Box: []byte("box"), Created: 500}))
		must(t, w.store.CreateRoom(ctx, core.Room{ID: "new", Owner: w.people[0].ID, Encrypted: true, State: core.RoomActive, Created: 5}))
		must(t, w.store.CreateRoom(ctx, core.Room{ID: "plain", Owner: w.people[0].ID, State: core.RoomActive, Created: 5}))
		must(t, w.store.PutMember(ctx, core.Member{Room: "plain", User: w.people[4].ID, Role: core.MemberMember, State: core.MemberActive}))
		want := map[core.RoomID]KeyHealth{
			"well": {State: KeysOK, Since: 100}, "lacking": {State: KeysMissing, Since: 100, Unkeyed: 2},
			"removed": {State: KeysOK, Since: 100}, "revoked": {State: KeysOK, Since: 100},
			"new": {State: KeysOK, Since: 5}, "plain": {State: KeysPlain},
		}
		if d := cmp.Diff(want, w.listed(t)); d != "" {
			t.Errorf("before:\n%s", d)
		}
		if w.rekeyNote() != nil {
			t.Error("there is a note and no room needs a key")
		}
		must(t, errOf(w.store.RemoveMember(ctx, "removed", w.people[3].ID)))
		_, err := w.store.SetUserStatus(ctx, w.people[4].ID, core.UserRevoked, 9)
		must(t, err)
		w.online("n2", 1, 3)
		w.keys.last.Store(nil) // three seconds later

		want["removed"] = KeyHealth{State: KeysRekey, Since: 100, MustRekey: 1}
		want["revoked"] = KeyHealth{State: KeysRekey, Since: 100, MustRekey: 1}
		if d := cmp.Diff(want, w.listed(t)); d != "" {
			t.Errorf("after a removal and a revocation:\n%s", d)
		}
		for id, h := range want {
			if got := w.detail(t, id).Keys.KeyHealth; got != h {
				t.Errorf("%s itself says %+v, the list %+v", id, got, h)
			}
		}
		if note := w.rekeyNote(); note == nil || note.Level != cluster.Note || !strings.Contains(note.Text, "in 2 rooms") {
			t.Errorf("the note is %+v", note)
		}
		d := w.detail(t, "removed")
		if got := w.called(d.Keys.StillKnow); got != "dan  active " {
			t.Errorf("who knows the key still: %s", got)
		}
		if got := w.called(d.Keys.CanRekey); got != "ben admin active n2, ann owner active , cat member active " || d.Keys.Online != 1 || d.Keys.CanCount != 3 {
			t.Errorf("who could rekey: %s (%d of %d online)", got, d.Keys.Online, d.Keys.CanCount)
		}
		if d := w.detail(t, "revoked"); w.called(d.Keys.StillKnow) != "eve member revoked " || d.Count != 5 {
			t.Errorf("who was revoked: %+v", d.Keys.StillKnow)
		}
		if got := w.called(w.detail(t, "lacking").Keys.WithoutKey); got != "ben admin active , dan member active " {
			t.Errorf("who lacks the key: %s", got)
		}

		// The next epoch heals it, and the list does not wait for its next snapshot.
		_, err = storetest.Rekey(ctx, w.store, "removed", 1, []core.SealedKey{{Room: "removed", User: w.people[0].ID, Box: []byte("b"), Created: 900}})
		must(t, err)
		if got := w.listed(t)["removed"]; got != (KeyHealth{State: KeysMissing, Since: 900, Unkeyed: 2}) {
			t.Errorf("after the rekey: %+v", got)
		}

		// Nor for a room and a user that are new to it, or for one that is archived.
		newcomer := storetest.NewUser(t, "gil")
		newcomer.Status = core.UserActive
		must(t, w.store.AddUser(ctx, newcomer))
		must(t, w.store.CreateRoom(ctx, core.Room{ID: "newest", Owner: newcomer.ID, Encrypted: true, State: core.RoomActive, Created: 5}))
		must(t, w.store.PutMember(ctx, core.Member{Room: "newest", User: newcomer.ID, Role: core.MemberOwner, State: core.MemberActive}))
		must(t, w.store.PutKey(ctx, core.SealedKey{Room: "newest", User: newcomer.ID, Box: []byte("b"), Created: 950}))
		_, err = w.store.UpdateRoom(ctx, "revoked", core.RoomChange{State: core.RoomArchived})
		must(t, err)
		now := w.listed(t)
		if got := now["newest"]; got != (KeyHealth{State: KeysOK, Since: 950}) || now["revoked"].State != KeysArchived {
			t.Errorf("a new room: %+v; an archived one: %+v", got, now["revoked"])
		}
	})
}

// TestArchivedRoomsRaiseNoAlarm, whoever knows their key.
func TestArchivedRoomsRaiseNoAlarm(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		w.room(t, "old", 0, 1, 4)
		w.online("n1", 0)
		if w.detail(t, "old").Keys.State != KeysRekey {
			t.Error("eve is no member and has a box")
		}
		_, err := w.store.UpdateRoom(t.Context(), "old", core.RoomChange{State: core.RoomArchived})
		must(t, err)
		d := w.detail(t, "old")
		if d.Keys.State != KeysArchived || w.listed(t)["old"].State != KeysArchived || w.rekeyNote() != nil {
			t.Errorf("%+v", d.Keys)
		}
		_, err = w.roomRekey(t.Context(), core.Operator{}, RekeyRequest{ID: "old"})
		if core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "archived") || len(w.bus.said) > 0 {
			t.Errorf("%v, said %v", err, w.bus.said)
		}
	})
}

// TestRekeyIsAskedOfTheBestPlaced: online, with the key, an active member; the owner before an admin.
func TestRekeyIsAskedOfTheBestPlaced(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		ctx := t.Context()
		w.room(t, "r", 0, 1, 2, 5) // fay is no member; dan has no key
		ask := func(user string) (string, error) {
			w.bus.said = nil
			out, err := w.roomRekey(ctx, core.Operator{Name: "op"}, RekeyRequest{ID: "r", User: user})
			if err != nil {
				if len(w.bus.said) > 0 {
					t.Errorf("refused, and said %v", w.bus.said)
				}
				return "", err
			}
			a := out.(Asked)
			if d := cmp.Diff([]string{fmt.Sprintf("r 1 %s", a.User)}, w.bus.said); d != "" {
				t.Errorf("said:\n%s", d)
			}
			return a.Called() + " at " + strings.Join(a.Nodes, "+"), nil
		}
		asked := func(want, user string) {
			t.Helper()
			if got, err := ask(user); err != nil || got != want {
				t.Errorf("asked %s, %v, want %s", got, err, want)
			}
		}
		refused := func(kind core.Kind, text, user string) {
			t.Helper()
			_, err := ask(user)
			if e := core.AsError(err); err == nil || e.Kind != kind || !strings.Contains(e.Text+" | "+e.Next, text) {
				t.Errorf("%+v, want %s %q", err, kind, text)
			}
		}
		refused(core.KindRefused, "no online member of the room r can create a new key | ask again once one of these has opened the room: ann, ben, cat", "")
		w.online("n1", 3, 4, 5) // without a key, no member, no member any more
		refused(core.KindRefused, "can create a new key", "")
		w.bus.present["n3"] = Present{Unknown: true}
		refused(core.KindUnavailable, "n3 did not say", "")
		w.online("n2", 1, 2)
		asked("ben at n2", "")
		asked("cat at n2", string(w.people[2].ID))
		asked("cat at n2", strings.ToLower(string(w.people[2].ID)))
		w.online("n3", 0, 1)
		asked("ann at n3", "")
		_, err := w.store.UpdateRoom(ctx, "r", core.RoomChange{Owner: w.people[2].ID}) // handed over, and ann's own record not written yet
		must(t, err)
		asked("cat at n2", "")
		_, err = w.store.UpdateRoom(ctx, "r", core.RoomChange{Owner: w.people[0].ID})
		must(t, err)
		refused(core.KindRefused, "cannot make a new key", string(w.people[3].ID))
		refused(core.KindRefused, "cannot make a new key", string(w.people[5].ID))
		refused(core.KindInvalid, "", "nonsense")
		w.bus.present["n3"] = Present{Users: []core.UserID{w.people[1].ID}, Unknown: true}
		refused(core.KindUnavailable, "it is not known whether ann has the room open: n3 did not say", string(w.people[0].ID))
		w.online("n3", 1)
		refused(core.KindRefused, "ann does not have the room open", string(w.people[0].ID))
		_, err = w.store.SetUserStatus(ctx, w.people[1].ID, core.UserRevoked, 9)
		must(t, err)
		asked("cat at n2", "") // not the admin, who was revoked
		w.bus.broken = core.Errorf(core.KindUnavailable, "no connection")
		if _, err := w.roomRekey(ctx, core.Operator{}, RekeyRequest{ID: "r"}); core.KindOf(err) != core.KindUnavailable {
			t.Errorf("the room was not told: %v", err)
		}
		w.bus.broken = nil
		for _, i := range []int{0, 2} {
			must(t, errOf(w.store.RemoveMember(ctx, "r", w.people[i].ID)))
		}
		refused(core.KindRefused, "no active member of the room r has the current key, so no new key can be made | its owner or a user-admin can archive it", "")
	})
}

// TestRekeyRefusals: where no new key is needed nobody is asked.
func TestRekeyRefusals(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		w.room(t, "well", 0, 1, 2, 3)
		w.room(t, "lacking", 0, 1)
		must(t, w.store.CreateRoom(t.Context(), core.Room{ID: "plain", Owner: w.people[0].ID, State: core.RoomActive}))
		w.online("n1", 0, 1)
		for id, want := range map[string]struct {
			kind core.Kind
			text string
		}{
			"well": {core.KindRefused, "needs no new key"}, "lacking": {core.KindRefused, "needs no new key"},
			"plain": {core.KindRefused, "not encrypted"}, "none": {core.KindNotFound, ""}, "a b": {core.KindInvalid, ""}, "": {core.KindInvalid, ""}, "r.*": {core.KindInvalid, ""},
		} {
			_, err := w.roomRekey(t.Context(), core.Operator{}, RekeyRequest{ID: id})
			if core.KindOf(err) != want.kind || !strings.Contains(err.Error(), want.text) {
				t.Errorf("%q: %v, want %s %q", id, err, want.kind, want.text)
			}
			if want.kind == core.KindRefused {
				if d := w.detail(t, core.RoomID(id)); d.Keys.CannotAsk == nil || d.Keys.CannotAsk.Text != core.AsError(err).Text {
					t.Errorf("%s: the view says %v, the refusal %v", id, d.Keys.CannotAsk, err)
				}
			}
		}
		if len(w.bus.said) > 0 {
			t.Errorf("said %v", w.bus.said)
		}
	})
}

// TestManyMembersComeInPages: each page fits into a message, and all of them are everybody.
func TestManyMembersComeInPages(t *testing.T) {
	t.Parallel()
	const n = 10_000
	o := roomState{RoomKeys: core.RoomKeys{Room: core.Room{ID: "r", Encrypted: true, State: core.RoomActive}}, members: map[core.UserID]core.Member{}, users: map[core.UserID]core.User{}}
	long := strings.Repeat("ü", 1000)
	for i := range n {
		id := core.UserID(fmt.Sprintf("U%055d", i))
		o.Members = append(o.Members, id)
		o.members[id] = core.Member{Room: "r", User: id, Role: core.MemberMember, State: core.MemberActive, InvitedBy: &long}
		o.users[id] = core.User{ID: id, Status: core.UserActive}
		if i%2 == 0 {
			o.Holders = append(o.Holders, id)
		}
	}
	var got []core.UserID
	boxed, pages := 0, 0
	for req := (RoomRequest{ID: "r"}); ; pages++ {
		page, next := o.page(req)
		b, err := json.Marshal(RoomDetail{Members: page, Next: next})
		must(t, err)
		if len(b) > 600<<10 || len(page) == 0 || pages > n {
			t.Fatalf("page %d has %d members and %d bytes", pages, len(page), len(b))
		}
		for _, m := range page {
			got = append(got, m.User)
			if m.Boxed {
				boxed++
			}
		}
		if req.After = next; next == "" {
			break
		}
	}
	if !slices.Equal(got, o.Members) || boxed != n/2 {
		t.Errorf("%d members, %d with a box, in %d pages", len(got), boxed, pages+1)
	}
	h := healthOf(o.RoomKeys, o.active)
	if h != (KeyHealth{State: KeysMissing, Unkeyed: n / 2}) || len(o.people(o.Unkeyed(o.active))) != peopleShown {
		t.Errorf("%+v", h)
	}
}

// TestOneSurveyServesAll: a second request within seconds costs the store nothing.
func TestOneSurveyServesAll(t *testing.T) {
	t.Parallel()
	st := &countedStore{}
	var k keyHealthCache
	for range 5 {
		rooms := []RoomSummary{{Room: core.Room{ID: "r", Encrypted: true, State: core.RoomActive}}}
		v, err := k.snapshot(t.Context(), st, listMaxAge)
		must(t, err)
		must(t, k.fill(t.Context(), v, rooms))
		if rooms[0].Keys.Since != 7 {
			t.Errorf("%+v", rooms[0].Keys)
		}
	}
	if st.surveys != 1 || st.begins != 1 {
		t.Errorf("%d surveys, %d questions when the epoch began, want one of each", st.surveys, st.begins)
	}
	k.last.Load().duration = time.Minute
	if v, err := k.snapshot(t.Context(), st, 0); err != nil || v.store != core.Store(st) || st.surveys != 1 {
		t.Errorf("an expensive snapshot was taken again at once: %d, %v", st.surveys, err)
	}
	k.last.Load().duration = 0
	if v, err := k.snapshot(t.Context(), &countedStore{}, time.Hour); err != nil || v.store == core.Store(st) {
		t.Errorf("another store has another truth: %v, %v", v, err)
	}
	st.broken = core.Errorf(core.KindUnavailable, "no quorum")
	if _, err := k.snapshot(t.Context(), st, 0); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("a store that cannot say: %v", err)
	}
}

type countedStore struct {
	core.Store
	surveys, begins int
	broken          error
}

func (c *countedStore) RoomKeys(context.Context) ([]core.RoomKeys, error) {
	c.surveys++
	return []core.RoomKeys{{Room: core.Room{ID: "r", Encrypted: true, State: core.RoomActive}}}, c.broken
}

func (c *countedStore) Users(context.Context) ([]core.User, error) { return nil, nil }

func (c *countedStore) EpochBegan(context.Context, core.RoomID) (core.Millis, error) {
	c.begins++
	return 7, nil
}

// errOf drops the record that comes with an error.
func errOf[T any](_ T, err error) error { return err }

// TestRoomGetShowsInvitations: pending ones are no members and have no key, and are
// shown until they are answered or withdrawn.
func TestRoomGetShowsInvitations(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		ctx, ann, ben := t.Context(), w.people[0].ID, w.people[1].ID
		must(t, w.store.CreateRoom(ctx, core.Room{ID: "plans", Owner: ann, Encrypted: true, State: core.RoomActive, Created: 1}))
		must(t, w.store.PutMember(ctx, core.Member{Room: "plans", User: ann, Role: core.MemberOwner, State: core.MemberActive, Joined: 1}))
		by := string(ann)
		must(t, w.store.PutMember(ctx, core.Member{Room: "plans", User: ben, Role: core.MemberAdmin, State: core.MemberInvited, InvitedBy: &by, Joined: 7}))
		get := func(req RoomRequest) RoomDetail {
			t.Helper()
			out, err := w.roomGet(ctx, core.Operator{}, req)
			must(t, err)
			return out.(RoomDetail)
		}
		want := []RoomInvitation{{User: ben, Name: w.people[1].Name, Role: core.MemberAdmin, By: by, At: 7}}
		d := get(RoomRequest{ID: "plans"})
		if diff := cmp.Diff(want, d.Invited); diff != "" || d.InvitedCount != 1 || d.Count != 1 || len(d.Members) != 1 || d.Keys.Unkeyed != 1 {
			t.Errorf("%s\n%+v", diff, d)
		}
		if d := get(RoomRequest{ID: "plans", After: by}); d.Invited != nil || d.Keys != nil {
			t.Errorf("the next page has %+v", d)
		}
		_, err := w.store.RemoveMember(ctx, "plans", ben)
		must(t, err)
		if d := get(RoomRequest{ID: "plans"}); d.InvitedCount != 0 || d.Invited != nil {
			t.Errorf("after the withdrawal: %+v", d)
		}
	})
}

// rekeyNote is the note about rooms that need a new key, nil without one.
func (s *Service) rekeyNote() *cluster.Finding {
	v := s.noteSnapshot()
	if v == nil {
		return nil
	}
	return v.note()
}
