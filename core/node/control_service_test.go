package node_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/store/sqlite"
	"unibus/core/store/storetest"
)

// person is a user with a connection to one node.
type person struct {
	keys.Identity
	session
	*control.Client
}

func (p person) user() core.UserID { return core.UserID(p.Public()) }

func arrive(t testing.TB, c *nodetest.Cluster, i int, id keys.Identity) person {
	t.Helper()
	s := connect(t, c, i, id)
	return person{id, s, control.NewClient(control.ClientConfig{Conn: s.Conn, Identity: id})}
}

// people adds users as an operator and connects each to another node. The first is a user-admin.
func people(t testing.TB, c *nodetest.Cluster, n int) []person {
	t.Helper()
	op := c.Client(0, c.Admin)
	var all []person
	for i := range n {
		id, role := nodetest.Identity(t), core.RoleMember
		if i == 0 {
			role = core.RoleAdmin
		}
		if _, err := op.UserAdd(t.Context(), core.User{ID: core.UserID(id.Public()), Role: role}); err != nil {
			t.Fatal(err)
		}
		all = append(all, arrive(t, c, i%len(c.Configs), id))
	}
	return all
}

func wantKind(t testing.TB, what string, err error, want core.Kind) {
	t.Helper()
	if got := core.KindOf(err); got != want {
		t.Errorf("%s: %q (%v), want %q", what, got, err, want)
	}
}

func fine[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func recordOf(room core.Room, rec string) core.EpochRecord {
	return core.EpochRecord{Room: room.ID, Epoch: room.Epoch + 1, Rec: rec, Record: []byte("record " + rec)}
}

func boxesFor(people ...person) (boxes []core.SealedKey) {
	for _, p := range people {
		boxes = append(boxes, core.SealedKey{User: p.user(), Box: []byte("box of " + p.user())})
	}
	return boxes
}

// TestControlStory: four users at three nodes; rooms, invitations, keys, a removal and a revocation.
func TestControlStory(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	ctx := t.Context()
	all := people(t, c, 4)
	chief, ann, bob, cid := all[0], all[1], all[2], all[3]

	room := fine[core.Room](t)(ann.CreateRoom(ctx, control.CreateRequest{ID: "plans", Encrypted: true}))
	if room.Owner != ann.user() {
		t.Errorf("the owner is %s", room.Owner)
	}
	ann.over(t, 10*time.Second) // the room came with new permissions
	ann = arrive(t, c, 1, ann.Identity)
	if !mayPublish(t, ann.Conn, "unibus.room.plans."+ann.Public()) || mayPublish(t, ann.Conn, control.EventSubject("plans")) {
		t.Error("an owner speaks under their own key, and never as the service")
	}
	events := make(chan *nats.Msg, 100)
	fine[*nats.Subscription](t)(ann.ChanSubscribe("unibus.room.plans.>", events))
	if err := ann.FlushTimeout(5 * time.Second); err != nil {
		t.Fatal(err)
	}

	fine[core.Member](t)(ann.Invite(ctx, "plans", bob.user(), core.MemberAdmin, []byte("proof")))
	fine[core.Member](t)(bob.Accept(ctx, "plans"))
	if e := nextEvent(t, events); e.Kind != control.EventMember || e.User != bob.user() || e.By != bob.user() {
		t.Errorf("the room was told %+v", e)
	}
	bob.over(t, 10*time.Second)
	bob = arrive(t, c, 2, bob.Identity)
	_, err := cid.Members(ctx, "plans", false)
	wantKind(t, "an outsider's look at the members", err, core.KindRefused)
	fine[core.Member](t)(bob.Invite(ctx, "plans", cid.user(), "", nil))
	fine[core.Member](t)(cid.Accept(ctx, "plans"))
	cid.over(t, 10*time.Second)
	cid = arrive(t, c, 0, cid.Identity)
	_, err = cid.Invite(ctx, "plans", chief.user(), "", nil)
	wantKind(t, "a plain member's invitation", err, core.KindRefused)

	// Keys: published, sealed, committed, read back with their record.
	fine[control.Profile](t)(bob.PublishKey(ctx, []byte("bob's key")))
	members := fine[[]control.Member](t)(ann.Members(ctx, "plans", true))
	if i := slices.IndexFunc(members, func(m control.Member) bool { return m.User == bob.user() }); len(members) != 3 || i < 0 || string(members[i].KEMKey) != "bob's key" {
		t.Errorf("members: %+v", members)
	}
	room = fine[core.Room](t)(ann.Rekey(ctx, recordOf(room, "00000000000000a1"), boxesFor(ann, bob, cid)))
	got := fine[control.Key](t)(bob.Key(ctx, "plans", 1))
	if string(got.Key.Box) != "box of "+bob.Public() || got.Record == nil || string(got.Record.Record) != "record 00000000000000a1" {
		t.Errorf("bob's key: %+v", got)
	}

	// A removal: the session ends, the key is due, the next epoch is without them.
	fine[core.Member](t)(bob.Remove(ctx, "plans", cid.user()))
	cid.over(t, 10*time.Second)
	cid = arrive(t, c, 0, cid.Identity)
	if mayPublish(t, cid.Conn, "unibus.room.plans."+cid.Public()) {
		t.Error("a removed member still publishes")
	}
	_, err = cid.Key(ctx, "plans", 1)
	wantKind(t, "the key for a removed member", err, core.KindRefused)
	if info := fine[control.RoomInfo](t)(ann.Room(ctx, "plans")); info.MustRekey != 1 || info.Members != 2 {
		t.Errorf("after a removal: %+v", info)
	}
	_, err = ann.Rekey(ctx, recordOf(room, "00000000000000a2"), boxesFor(ann, bob, cid))
	wantKind(t, "a new key for a removed member", err, core.KindConflict)
	fine[core.Room](t)(bob.Rekey(ctx, recordOf(room, "00000000000000a3"), boxesFor(ann, bob)))
	_, err = ann.Rekey(ctx, recordOf(room, "00000000000000a4"), boxesFor(ann, bob))
	wantKind(t, "a rekey from an epoch that is past", err, core.KindConflict)
	epochs := fine[control.Epochs](t)(ann.Epochs(ctx, control.EpochsRequest{Room: "plans"}))
	if len(epochs.Records) != 2 || epochs.Records[0].Prev != epochs.Records[1].Rec {
		t.Errorf("epochs: %+v", epochs)
	}

	// A revocation by a user-admin, at another node.
	_, err = ann.RevokeUser(ctx, bob.user())
	wantKind(t, "a revocation by a user without the role", err, core.KindRefused)
	out := fine[control.Revoked](t)(chief.RevokeUser(ctx, bob.user()))
	bob.over(t, 10*time.Second)
	if len(out.Nodes) != 3 {
		t.Errorf("the nodes said %+v", out.Nodes)
	}
	for i := range c.Configs { // on each node
		if r := recordsOf(t, c.Client(i, c.Viewer), chief.Public(), 1)[0]; r.Verb != "user-revoke" || r.Args != "id="+bob.Public() || r.Outcome != "ok" {
			t.Errorf("the audit has %+v", r)
		}
	}
	_, err = ann.Invite(ctx, "plans", bob.user(), "", nil)
	wantKind(t, "an invitation of a revoked user", err, core.KindRefused)
	if info := fine[control.RoomInfo](t)(ann.Room(ctx, "plans")); info.MustRekey != 1 {
		t.Errorf("after a revocation: %+v", info)
	}
	fine[core.Member](t)(ann.SetRole(ctx, "plans", bob.user(), core.MemberMember))
	_, err = ann.SetRole(ctx, "plans", bob.user(), core.MemberOwner)
	wantKind(t, "handing over to a revoked user", err, core.KindRefused)
	fine[core.Room](t)(ann.ArchiveRoom(ctx, "plans"))
	_, err = ann.RenameRoom(ctx, "plans", "x")
	wantKind(t, "a new name for an archived room", err, core.KindRefused)
}

func nextEvent(t testing.TB, events <-chan *nats.Msg) control.Event {
	t.Helper()
	for {
		select {
		case m := <-events:
			if strings.HasSuffix(m.Subject, "._control") {
				return fine[control.Event](t)(control.ParseEvent(m))
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the room was told nothing")
		}
	}
}

// TestControlRefusesForgery: a captured request, another's subject, another's
// inbox, no signature, a changed body.
func TestControlRefusesForgery(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	all := people(t, c, 2)
	ann, eve := all[0], all[1]
	spy := &capture{Identity: ann.Identity}
	client := control.NewClient(control.ClientConfig{Conn: ann.Conn, Identity: spy})

	if mayPublish(t, eve.Conn, control.Subject(ann.Public(), "rooms")) {
		t.Error("the server lets a user ask under another's key")
	}
	// Replies go to the caller alone: a request that names another inbox is dropped.
	sub := fine[*nats.Subscription](t)(eve.SubscribeSync("_INBOX." + eve.Public() + ".stolen"))
	msg := nats.NewMsg(control.Subject(ann.Public(), "rooms"))
	msg.Reply, msg.Data = sub.Subject, []byte(`{"v":1}`)
	if err := errors.Join(ann.PublishMsg(msg), ann.FlushTimeout(5*time.Second)); err != nil {
		t.Fatal(err)
	}
	unsigned := nats.NewMsg(control.Subject(ann.Public(), "room-create"))
	unsigned.Data = []byte(`{"v":1,"req":{"id":"forged"}}`)
	fails(t, "an unsigned request", ann, unsigned, core.KindRefused)

	fine[control.Profile](t)(client.PublishKey(t.Context(), []byte("key")))
	signed := nats.NewMsg(control.Subject(ann.Public(), "kem-key"))
	signed.Data, signed.Header = []byte(`{"v":1,"req":{"key":"a2V5"}}`), spy.headers()
	for i := range 3 { // on whichever node
		again := arrive(t, c, i, ann.Identity)
		fails(t, "a captured request", again, signed, core.KindRefused)
	}
	changed := nats.NewMsg(signed.Subject)
	changed.Data, changed.Header = []byte(`{"v":1,"req":{"key":"a2V6"}}`), spy.headers()
	fails(t, "a captured request with another body", ann, changed, core.KindRefused)
	if m, err := sub.NextMsg(100 * time.Millisecond); err == nil {
		t.Errorf("a reply went to another's inbox: %s", m.Data)
	}
	if p := fine[control.Profile](t)(eve.User(t.Context(), ann.user())); string(p.KEMKey) != "key" {
		t.Errorf("the key is %q", p.KEMKey)
	}
}

// TestControlOnSQLite: the same service on a SQLite file, whose schema gains records and states.
func TestControlOnSQLite(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1})
	c.WaitServing(core.BackendSQLite, 0)
	ctx := t.Context()
	all := people(t, c, 2)
	ann, bob := all[0], all[1]
	room := fine[core.Room](t)(ann.CreateRoom(ctx, control.CreateRequest{ID: "plans", Encrypted: true}))
	ann.over(t, 10*time.Second)
	ann = arrive(t, c, 0, ann.Identity)
	fine[core.Member](t)(ann.Invite(ctx, "plans", bob.user(), "", nil))
	fine[core.Member](t)(bob.Accept(ctx, "plans"))
	bob.over(t, 10*time.Second)
	bob = arrive(t, c, 0, bob.Identity)
	fine[core.Room](t)(ann.Rekey(ctx, recordOf(room, "00000000000000a1"), boxesFor(ann, bob)))
	if k := fine[control.Key](t)(bob.Key(ctx, "plans", 1)); k.Record == nil || k.Key.Rec != "00000000000000a1" {
		t.Errorf("bob's key: %+v", k)
	}
	fine[core.Room](t)(ann.ArchiveRoom(ctx, "plans"))
	if err := c.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	db := sqlite.New(sqlite.Config{Path: c.Configs[0].DB})
	if err := db.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	snap := fine[core.Snapshot](t)(storetest.Export(context.Background(), db))
	if db.SchemaVersion() != 2 || len(snap.Records) != 1 || snap.Rooms[0].State != core.RoomArchived {
		t.Errorf("version %d, %d records, rooms %+v", db.SchemaVersion(), len(snap.Records), snap.Rooms)
	}
}

// capture keeps the last request that a client signed.
type capture struct {
	keys.Identity
	signed, signature []byte
}

func (c *capture) Sign(data []byte) ([]byte, error) {
	sig, err := c.Identity.Sign(data)
	c.signed, c.signature = data, sig
	return sig, err
}

// headers adds the captured signature to a request.
func (c *capture) headers() nats.Header { return headersOf(c.signed, c.signature) }

func fails(t testing.TB, what string, p person, msg *nats.Msg, want core.Kind) {
	t.Helper()
	answer, err := p.RequestMsg(msg, 10*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if !strings.Contains(string(answer.Data), fmt.Sprintf(`"kind":%q`, want)) {
		t.Errorf("%s was answered with %s", what, answer.Data)
	}
}

// headersOf splits a signed encoding (auth.Signed.Bytes) into cluster, channel, subject, hash, time and nonce.
func headersOf(signed, signature []byte) nats.Header {
	var fields [][]byte
	for rest := signed[len("\xffunibus.request.v2"):]; len(rest) > 0; {
		n := binary.BigEndian.Uint64(rest)
		fields, rest = append(fields, rest[8:8+n]), rest[8+n:]
	}
	return nats.Header(auth.Headers(auth.Signed{
		Cluster: string(fields[0]), Channel: auth.Channel(fields[1]), Subject: string(fields[2]),
		At: core.Millis(binary.BigEndian.Uint64(fields[4])), Nonce: string(fields[5]),
	}, signature))
}
