package client

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// wait bounds every wait of a test.
const wait = 20 * time.Second

// fastTiming is a timing for tests.
func fastTiming() timing {
	p := defaultTiming()
	p.probeEvery, p.holdFor, p.keyRequestEvery, p.renewEvery = 50*time.Millisecond, 3*time.Second, 300*time.Millisecond, 100*time.Millisecond
	p.ownerDelay, p.adminDelay, p.memberDelay = 20*time.Millisecond, 40*time.Millisecond, 80*time.Millisecond
	return p
}

// testUser is a user with its files.
type testUser struct {
	t    testing.TB
	cfg  Config
	seed string
	id   core.UserID
}

// newTestUser adds a user to the cluster.
func newTestUser(t testing.TB, c *nodetest.Cluster, role core.UserRole) testUser {
	t.Helper()
	return newNamedUser(t, c, core.User{Role: role})
}

// newNamedUser adds a user with a name.
func newNamedUser(t testing.TB, c *nodetest.Cluster, u core.User) testUser {
	t.Helper()
	seed, public, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "user.nk")
	if err := keys.WriteSeed(path, seed); err != nil {
		t.Fatal(err)
	}
	u.ID = core.UserID(public)
	if _, err := c.Client(0, c.Admin).UserAdd(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	var urls []string
	for i := range c.Configs {
		urls = append(urls, c.URL(i))
	}
	return testUser{t, Config{Servers: urls, Seed: path, Dir: filepath.Join(dir, "keys"), Log: nodetest.Log(t)}, path, core.UserID(public)}
}

// open opens a client that ends with the test.
func (p testUser) open(change ...func(*Client)) *Client {
	p.t.Helper()
	c := New(p.cfg)
	c.timing = fastTiming()
	for _, f := range change {
		f(c)
	}
	if err := c.Open(ctx(p.t)); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), wait)
	t.Cleanup(cancel)
	return c
}

// startNode starts a single node, on SQLite.
func startNode(t testing.TB) *nodetest.Cluster {
	t.Helper()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1})
	c.WaitServing(core.BackendSQLite, 0)
	return c
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, what string, err error, kind core.Kind, cause error) {
	t.Helper()
	if core.KindOf(err) != kind || cause != nil && !errors.Is(err, cause) {
		t.Errorf("%s: %v (%s), want %s, %v", what, err, core.KindOf(err), kind, cause)
	}
}

// receiveText reads until a message with that text comes, and returns it.
func receiveText(t testing.TB, from <-chan Delivery, text string) Message {
	t.Helper()
	late := time.After(wait)
	for {
		select {
		case d, open := <-from:
			if !open {
				t.Fatalf("the stream ended before %q", text)
			}
			if d.Err != nil {
				t.Fatalf("before %q: %v", text, d.Err)
			}
			if string(d.Data) == text {
				return d.Message
			}
		case <-late:
			t.Fatalf("%q did not come", text)
		}
	}
}

// receiveError reads until an error comes.
func receiveError(t testing.TB, from <-chan Delivery) Delivery {
	t.Helper()
	late := time.After(wait)
	for {
		select {
		case d, open := <-from:
			if !open {
				t.Fatal("the stream ended before the error")
			}
			if d.Err != nil {
				return d
			}
		case <-late:
			t.Fatal("no error came")
		}
	}
}

// awaitEvent waits for an event.
func awaitEvent[E Event](t testing.TB, from <-chan Event, is func(E) bool) E {
	t.Helper()
	late := time.After(wait)
	for {
		select {
		case e := <-from:
			if e, ok := e.(E); ok && is(e) {
				return e
			}
		case <-late:
			var e E
			t.Fatalf("no %T came", e)
		}
	}
}

func eventsOf(t testing.TB, c *Client) <-chan Event {
	t.Helper()
	out, in := make(chan Event, 1000), c.Events(t.Context())
	go func() {
		for e := range in {
			select {
			case out <- e:
			case <-t.Context().Done():
				return
			}
		}
	}()
	return out
}

// await takes a value from a channel. A test that waits without an end hides what it waits for.
func await[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(2 * wait): // after what is bounded by ctx has ended
		t.Fatalf("not within %s: %s", 2*wait, what)
		panic("unreachable")
	}
}

// runJob runs f in the reconciler of a room.
func runJob(t testing.TB, r *Room, f func(context.Context, *reconciler) error) error {
	t.Helper()
	return r.runJob(ctx(t), f)
}

// stall keeps the reconciler of a room busy until resume is called.
func stall(t testing.TB, r *Room) (resume func()) {
	t.Helper()
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	release := sync.OnceFunc(func() { close(end) })
	t.Cleanup(release) // before the client closes, which waits for the reconciler
	go func() {
		done <- r.runJob(ctx(t), func(context.Context, *reconciler) error {
			close(begun)
			<-end
			return nil
		})
	}()
	await(t, "the reconciler to be free", begun)
	return sync.OnceFunc(func() {
		release()
		ok(t, await(t, "the reconciler's job to end", done))
	})
}

// inLoop runs f in the goroutine of a room.
func inLoop(t testing.TB, r *Room, f func(*roomLoop)) {
	t.Helper()
	if !r.do(f) {
		t.Error("the room has ended")
	}
}

// join invites a user and accepts for them. It does not open their room.
func join(t testing.TB, room *Room, who *Client) {
	t.Helper()
	ok(t, room.Invite(ctx(t), who.User(), ""))
	if acceptSigned(t, who, room.ID()) {
		return
	}
	api := control.NewClient(control.ClientConfig{Conn: who.nc, Identity: who.id})
	tries := 0
	ok(t, second(sendRetrying(ctx(t), who, idempotent, func(ctx context.Context) (core.Member, error) {
		tries++
		m, err := api.Accept(ctx, room.ID())
		if tries > 1 && core.KindOf(err) == core.KindNotFound { // the attempt before has accepted it, as in Client.Accept
			err = nil
		}
		return m, err
	})))
}

// acceptSigned accepts an invitation that is signed, without opening the room.
func acceptSigned(t testing.TB, who *Client, room core.RoomID) bool {
	t.Helper()
	signed, err := who.answer(ctx(t), room, true)
	ok(t, err)
	return signed
}

// removeOnly removes a member and makes no key, as Room.Remove would.
func removeOnly(t testing.TB, room *Room, user core.UserID) {
	t.Helper()
	hasKey := false
	ok(t, room.change(ctx(t), removalPlan(room.id, user, &hasKey), func(ctx context.Context) error { return room.removeUnsigned(ctx, user) }))
}

// awaitKeys waits until every member of a room has the key.
func awaitKeys(t testing.TB, room *Room) {
	t.Helper()
	nodetest.Wait(t, wait, func() error {
		info, err := room.c.api.Room(ctx(t), room.id)
		if err == nil && info.Unkeyed > 0 {
			err = core.Errorf(core.KindFailed, "%d members lack the key", info.Unkeyed)
		}
		return err
	})
}

// TestStory: a plain and an encrypted room, an invitation, a removal with its
// new key, a revocation with its own, and a late member.
func TestStory(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	chief, ann := newTestUser(t, n, core.RoleAdmin).open(), newTestUser(t, n, core.RoleMember).open()
	bob, cid := newTestUser(t, n, core.RoleMember).open(), newTestUser(t, n, core.RoleMember).open()
	for _, encrypted := range []bool{false, true} {
		room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{Name: "plans", Encrypted: encrypted}))
		join(t, room, bob)
		bobs := must[*Room](t)(bob.Room(ctx(t), room.ID()))
		heard := bobs.Chan(t.Context())
		ok(t, room.Send(ctx(t), []byte("hello")))
		m := receiveText(t, heard, "hello")
		if m.Sender != ann.User() || m.Encrypted != encrypted || bobs.Encrypted() != encrypted {
			t.Errorf("bob read %+v", m)
		}
		back := room.Chan(t.Context())
		ok(t, bobs.Send(ctx(t), []byte("hello, ann")))
		receiveText(t, back, "hello, ann")

		join(t, room, cid)
		cids := must[*Room](t)(cid.Room(ctx(t), room.ID()))
		late := cids.Chan(t.Context())
		ok(t, room.Send(ctx(t), []byte("all three")))
		receiveText(t, late, "all three")
		before, _ := room.Epoch()
		ok(t, room.Remove(ctx(t), cid.User()))
		if now, _ := room.Epoch(); encrypted && now != before+1 {
			t.Errorf("the removal is over, and the room is at epoch %d, before %d", now, before)
		}
		d := receiveError(t, late)
		want(t, "the end for the removed member", d.Err, core.KindRefused, ErrNotMember)
		want(t, "sending once removed", cids.Send(ctx(t), []byte("x")), core.KindRefused, ErrNotMember)
		ok(t, room.Send(ctx(t), []byte("without cid")))
		if m = receiveText(t, heard, "without cid"); encrypted && m.Epoch != before+1 {
			t.Errorf("after the removal: epoch %d, before %d", m.Epoch, before)
		}
		if encrypted {
			_, err := chief.Revoke(ctx(t), bob.User())
			ok(t, err)
			isAt(t, room, before+2)
		}
	}
}

func TestClosingTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	p := newTestUser(t, startNode(t), core.RoleMember)
	c := p.open()
	want(t, "a second process", New(p.cfg).Open(ctx(t)), core.KindRefused, ErrLocked)
	room := must[*Room](t)(c.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	ok(t, c.Close())
	ok(t, c.Close())
	want(t, "sending", room.Send(ctx(t), []byte("x")), core.KindUnavailable, ErrClosed)
	want(t, "asking for its members", second(room.Members(ctx(t))), core.KindUnavailable, ErrClosed)
	want(t, "giving a role", room.SetRole(ctx(t), c.User(), core.MemberAdmin), core.KindUnavailable, ErrClosed)
	want(t, "a rekey", room.Rekey(ctx(t)), core.KindUnavailable, ErrClosed)
	want(t, "opening again", c.Open(ctx(t)), core.KindUnavailable, ErrClosed)
	_, err := c.Rooms(ctx(t))
	want(t, "a closed client", err, core.KindUnavailable, ErrClosed)
	ok(t, p.open().Close())
}
