package node_test

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestOperatorAsksForANewKey: a member was removed. An operator at one node requests a new key
// from a member with a session at another. The room and the operator hear of the new epoch.
// Members without the right to make a key are not asked, and viewers may not ask.
func TestOperatorAsksForANewKey(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	ctx := t.Context()
	all := people(t, c, 3)
	ann, bob, cid := all[0], all[1], all[2]
	op := c.Client(0, c.Admin)

	room := fine[core.Room](t)(ann.CreateRoom(ctx, control.CreateRequest{ID: "plans", Encrypted: true}))
	ann.over(t, 10*time.Second) // her rooms have changed
	ann = arrive(t, c, 0, ann.Identity)
	for _, p := range []person{bob, cid} {
		fine[core.Member](t)(ann.Invite(ctx, "plans", p.user(), "", nil))
		fine[core.Member](t)(p.Accept(ctx, "plans"))
		p.over(t, 10*time.Second)
	}
	room = fine[core.Room](t)(ann.Rekey(ctx, recordOf(room, "00000000000000a1"), boxesFor(ann, bob, cid)))
	ann.Close()
	if d := fine[admin.RoomDetail](t)(op.RoomGet(ctx, "plans")); d.Keys.State != admin.KeysOK || d.Keys.Online != 0 || d.Keys.CanCount != 3 || len(d.Keys.Silent) != 0 {
		t.Errorf("no member is connected, and nothing is wrong: %+v", d.Keys)
	}
	_, err := op.RoomRekey(ctx, admin.RekeyRequest{ID: "plans"})
	wantKind(t, "a rekey that is not needed", err, core.KindRefused)

	ann = arrive(t, c, 1, ann.Identity)
	ann.listen(t, "plans")
	waitFor(t, "ann to be in the room", func() bool {
		return fine[admin.RoomDetail](t)(op.RoomGet(ctx, "plans")).Keys.Online == 1
	})
	fine[core.Member](t)(ann.Remove(ctx, "plans", cid.user()))
	_, err = c.Client(0, c.Viewer).RoomRekey(ctx, admin.RekeyRequest{ID: "plans"})
	wantKind(t, "a viewer's question", err, core.KindRefused)
	ann.Close()
	arrive(t, c, 2, cid.Identity) // connected, and no member any more
	waitFor(t, "ann's session to be over everywhere", func() bool {
		return fine[admin.RoomDetail](t)(op.RoomGet(ctx, "plans")).Keys.Online == 0
	})
	_, err = op.RoomRekey(ctx, admin.RekeyRequest{ID: "plans"})
	wantKind(t, "a request while no member is online", err, core.KindRefused)
	if e := core.AsError(err); !strings.Contains(e.Text, "no online member of the room") || !strings.Contains(e.Next, ann.user().Short()) {
		t.Errorf("the refusal: %s | %s", e.Text, e.Next)
	}

	bob = arrive(t, c, 2, bob.Identity)
	_, err = op.RoomRekey(ctx, admin.RekeyRequest{ID: "plans"})
	wantKind(t, "a request to a member that is connected and would not hear it", err, core.KindRefused)
	events := bob.listen(t, "plans")
	waitFor(t, "the status to tell of it", func() bool {
		all := fine[admin.Status](t)(op.Status(ctx)).Findings
		last := all[len(all)-1]
		return last.About == "rooms" && last.Level == cluster.Note && strings.Contains(last.Text, "Rekey required in 1 room")
	})
	asked := fine[admin.Asked](t)(op.RoomRekey(ctx, admin.RekeyRequest{ID: "plans"}))
	if asked.User != bob.user() || asked.Epoch != 1 || len(asked.Nodes) != 1 || asked.Nodes[0] != c.Configs[2].Name {
		t.Errorf("asked %+v, want bob at %s", asked, c.Configs[2].Name)
	}
	if e := nextEvent(t, events); e.Kind != control.EventAsked || e.User != bob.user() || e.By != "" || e.Epoch != 1 || e.Room != "plans" {
		t.Errorf("the room was told %+v", e)
	}
	records := fine[admin.Audit](t)(op.Audit(ctx, admin.AuditRequest{Limit: 1}))
	if r := records.Records[0]; r.Verb != "room-rekey" || r.Args != "id=plans" || r.Outcome != "ok" {
		t.Errorf("the audit has %+v", r)
	}

	// bob's program does this when it hears of the epoch.
	fine[core.Room](t)(bob.Rekey(ctx, recordOf(room, "00000000000000a2"), boxesFor(ann, bob)))
	waitFor(t, "another node's view to be of the new epoch", func() bool {
		d := fine[admin.RoomDetail](t)(c.Client(1, c.Viewer).RoomGet(ctx, "plans"))
		return d.Room.Epoch == 2 && d.Keys.State == admin.KeysOK && d.Keys.Since > 0
	})
	rooms := fine[[]admin.RoomSummary](t)(admin.AllRooms(ctx, op.RoomPage))
	if len(rooms) != 1 || rooms[0].Keys == nil || rooms[0].Keys.State != admin.KeysOK || rooms[0].Keys.Since == 0 {
		t.Errorf("the list: %+v", rooms)
	}
}

// listen subscribes to the events of a room, as a program does that has the room open.
func (p person) listen(t testing.TB, room core.RoomID) <-chan *nats.Msg {
	t.Helper()
	events := make(chan *nats.Msg, 100)
	fine[*nats.Subscription](t)(p.ChanSubscribe(control.EventSubject(room), events))
	if err := p.FlushTimeout(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	return events
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	nodetest.Wait(t, nodetest.Convergence, func() error {
		if !ok() {
			return errors.New("still waiting for " + what)
		}
		return nil
	})
}

// TestKeysOfANodeOnItsOwn: the same with one SQLite file and without a cluster.
func TestKeysOfANodeOnItsOwn(t *testing.T) {
	t.Parallel()
	a, b := nodetest.Identity(t), nodetest.Identity(t)
	c := nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: seed(a, b)})
	ctx, op := t.Context(), c.Client(0, c.Admin)
	arrive(t, c, 0, a).listen(t, "sealed")
	d := fine[admin.RoomDetail](t)(op.RoomGet(ctx, "sealed"))
	if d.Keys.State != admin.KeysMissing || d.Keys.Unkeyed != 1 || d.Keys.Online != 1 || d.Keys.CanRekey[0].User != core.UserID(a.Public()) {
		t.Errorf("%+v", d.Keys)
	}
	if _, err := op.Revoke(ctx, a.Public()); err != nil {
		t.Fatal(err)
	}
	_, err := op.RoomRekey(ctx, admin.RekeyRequest{ID: "sealed"})
	wantKind(t, "a request without a member to ask", err, core.KindRefused)
	if !strings.Contains(err.Error(), "no active member") {
		t.Errorf("%v", err)
	}
}

// TestPresenceOfAVeryLargeRoom: a member counts as online however many other members have the room open.
func TestPresenceOfAVeryLargeRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("opens some 2,000 connections")
	}
	const members = 2001
	ids := make([]keys.Identity, members)
	content := core.Snapshot{Rooms: []core.Room{{ID: "large", Encrypted: true, Rec: core.LegacyRec, State: core.RoomActive, Created: 1}}}
	for i := range ids {
		ids[i] = nodetest.Identity(t)
		content.Users = append(content.Users, user(ids[i]))
	}
	slices.SortFunc(content.Users, func(x, y core.User) int { return cmp.Compare(x.ID, y.ID) })
	content.Rooms[0].Owner = content.Users[0].ID
	for _, u := range content.Users {
		content.Members = append(content.Members, core.Member{Room: "large", User: u.ID, Role: core.MemberMember, State: core.MemberActive, Joined: 1})
		content.Keys = append(content.Keys, core.SealedKey{Room: "large", Rec: core.LegacyRec, User: u.ID, Box: []byte("box"), Created: 1})
	}
	c := nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: content})
	for _, id := range ids {
		s := connect(t, c, 0, id)
		if _, err := s.SubscribeSync(control.EventSubject("large")); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	d := fine[admin.RoomDetail](t)(c.Client(0, c.Admin).RoomGet(t.Context(), "large"))
	if d.Keys.CanCount != members || d.Keys.Online != members || len(d.Keys.Silent) > 0 {
		t.Errorf("%d of %d members are online, and %q did not say; want all %d", d.Keys.Online, d.Keys.CanCount, d.Keys.Silent, members)
	}
}

// TestSilentNodeIsNamed: a node that is down delays the answer by no more than a moment. Which
// users are online there is unknown.
func TestSilentNodeIsNamed(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	ctx := t.Context()
	ann := people(t, c, 1)[0]
	room := fine[core.Room](t)(ann.CreateRoom(ctx, control.CreateRequest{ID: "plans", Encrypted: true}))
	ann.over(t, 10*time.Second) // her rooms have changed
	ann = arrive(t, c, 0, ann.Identity)
	fine[core.Room](t)(ann.Rekey(ctx, recordOf(room, "00000000000000a1"), boxesFor(ann)))
	if err := c.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	op := c.Client(1, c.Admin)
	waitFor(t, "the silent node to be named", func() bool {
		d, err := op.RoomGet(ctx, "plans")
		return err == nil && len(d.Keys.Silent) == 1 && d.Keys.Silent[0] == c.Configs[2].Name
	})
}
