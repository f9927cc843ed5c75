package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/client"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// The story of the rooms in docs/go-client.md, with the real programs and the SDK: three
// nodes under enforce, four users, two rooms. Invitations are accepted after their safety
// numbers were compared; a node is killed, a member is removed, one joins late, and one is
// revoked.
//
//	go test -run TestRoomsStory -v ./cmd/unibusd
func TestRoomsStory(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	ann, bob, cem, dan := s.user("ann"), s.user("bob"), s.user("cem"), s.user("dan")
	plans := s.create(ann, client.NewRoom{ID: "plans", Name: "The plans", Encrypted: true})
	lobby := s.create(bob, client.NewRoom{ID: "lobby", Name: "Lobby"})
	s.inviteAndCompare(ann, plans, bob, cem)
	s.inviteAndCompare(bob, lobby, ann, cem, dan)
	s.sameNumber("plans", ann, bob, cem)
	s.talk("plans", ann, bob, cem)
	s.talk("lobby", dan, ann, bob, cem)

	victim := s.nodeOf(bob)
	t.Logf("%s, where bob is, is killed", s.p.Configs[victim].Name)
	s.p.Kill(victim)
	s.talk("plans", bob, ann, cem)
	s.talk("lobby", bob, ann, cem, dan)

	first := epochOf(t, ann.in["plans"])
	t.Log("ann removes cem from the plans")
	if err := ann.in["plans"].Remove(t.Context(), cem.id); err != nil {
		t.Fatal(err)
	}
	s.epochAfter("plans", first, ann, bob)
	s.refused(cem, "plans")
	s.sameNumber("plans", ann, bob)
	s.talk("plans", ann, bob)
	s.talk("lobby", cem, ann, bob, dan)

	t.Log("dan joins the plans late")
	second := epochOf(t, ann.in["plans"])
	s.inviteAndCompare(ann, plans, dan)
	s.sameNumber("plans", dan, bob, ann)
	s.talk("plans", bob, ann, dan)
	if e := epochOf(t, dan.in["plans"]); e != second {
		t.Errorf("dan reads from epoch %d, want %d", e, second)
	}
	s.opensNot(dan, "plans", first)

	t.Log("an operator revokes bob")
	s.command("user", "revoke", string(bob.id))
	s.epochAfter("plans", second, ann, dan)
	s.talk("plans", dan, ann)
	s.keptOut(bob)
	out := s.command("room", "get", "plans")
	number := must[seal.RoomNumber](t)(ann.in["plans"].SafetyNumber(t.Context()))
	for _, want := range []string{"keys: ok", "founded by " + string(ann.id), "it verifies", number.Number.String(), "this member, and no member has signed that"} {
		if has := strings.Contains(out, want); has != (want != "this member, and no member has signed that") {
			t.Errorf("the operator is told of the plans, and of %q %v:\n%s", want, has, out)
		}
	}
	t.Logf("%s comes back", s.p.Configs[victim].Name)
	s.p.Start(victim)
	waitServing(t, s.p, victim, core.BackendKV)
	s.talk("lobby", ann, cem, dan)
}

// story is a cluster and those who use it.
type story struct {
	t testing.TB
	p *nodetest.Processes
}

func newStory(t testing.TB) *story {
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	p.WaitServing(core.BackendKV, 0, 1, 2)
	return &story{t, p}
}

// command runs unibusd as the operator.
func (s *story) command(args ...string) string {
	s.t.Helper()
	args = append(args, "--server", strings.Join(s.p.URLs(), ","), "--identity", s.p.AdminSeedFile)
	out, err := exec.CommandContext(s.t.Context(), program(s.t, "unibusd"), args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("unibusd %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// person is a user with the SDK, who keeps what was heard.
type person struct {
	*client.Client
	name string
	id   core.UserID
	seed string
	in   map[core.RoomID]*client.Room

	mu    sync.Mutex
	heard map[string]core.UserID // what was said, and by whom
	bad   []error
}

func (s *story) user(name string) *person {
	s.t.Helper()
	u := &person{name: name, in: map[core.RoomID]*client.Room{}, heard: map[string]core.UserID{}}
	u.seed = filepath.Join(s.t.TempDir(), name+".nk")
	out, err := exec.CommandContext(s.t.Context(), program(s.t, "unibusd"), "keygen", "user", "--out", u.seed).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	u.id = core.UserID(strings.TrimSpace(string(out)))
	s.command("user", "add", string(u.id), "--name", name)
	s.open(u)
	return u
}

// open connects a user.
func (s *story) open(u *person) {
	s.t.Helper()
	u.Client = client.New(client.Config{Servers: s.p.URLs(), Seed: u.seed, Dir: s.t.TempDir(), Name: u.name})
	if err := u.Open(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = u.Close() }) // a revoked user has nothing left to close in order
	s.t.Logf("%s is a user, and talks to %s", u.name, u.Connected())
}

func (s *story) create(by *person, n client.NewRoom) *client.Room {
	s.t.Helper()
	r, err := by.CreateRoom(s.t.Context(), n)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("%s makes the room %s", by.name, r.ID())
	s.listen(by, r)
	return r
}

// invite has guests accept without a look at who invites them.
func (s *story) invite(r *client.Room, guests ...*person) {
	s.t.Helper()
	s.inviteAfter(r, func(*person) {}, guests...)
}

// inviteAndCompare has guests accept after they have compared the safety number with the inviter.
func (s *story) inviteAndCompare(by *person, r *client.Room, guests ...*person) {
	s.t.Helper()
	s.inviteAfter(r, func(g *person) { s.compare(by, g, r) }, guests...)
}

func (s *story) inviteAfter(r *client.Room, look func(*person), guests ...*person) {
	s.t.Helper()
	for _, g := range guests {
		if err := r.Invite(s.t.Context(), g.id, core.MemberMember); err != nil {
			s.t.Fatal(err)
		}
		look(g)
		mine, err := g.Accept(s.t.Context(), r.ID())
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Logf("%s is invited to %s", g.name, r.ID())
		s.listen(g, mine)
	}
}

// compare has the invited look at the invitation, and compare the safety number with
// the inviter. Each then knows the other as verified.
func (s *story) compare(by, g *person, r *client.Room) {
	s.t.Helper()
	pending := must[[]client.Invitation](s.t)(g.Invitations(s.t.Context()))
	at := slices.IndexFunc(pending, func(i client.Invitation) bool { return i.Room == r.ID() })
	if at < 0 || pending[at].By != by.id || pending[at].Signed != r.Encrypted() {
		s.t.Fatalf("%s is shown %+v", g.name, pending)
	}
	shown := pending[at].SafetyNumber
	if !pending[at].Signed {
		shown = must[seal.SafetyNumber](s.t)(g.SafetyNumber(by.id))
	}
	if number := must[seal.SafetyNumber](s.t)(by.SafetyNumber(g.id)); shown != number {
		s.t.Fatalf("%s has the number %s, and %s has %s", g.name, shown, by.name, number)
	}
	err := errors.Join(by.Verify(s.t.Context(), g.id, shown), g.Verify(s.t.Context(), by.id, shown))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("%s and %s have compared %s", by.name, g.name, shown)
}

// sameNumber has the members of a room compare its safety number.
func (s *story) sameNumber(room core.RoomID, all ...*person) {
	s.t.Helper()
	want := must[seal.RoomNumber](s.t)(all[0].in[room].SafetyNumber(s.t.Context()))
	for _, u := range all[1:] {
		if got := must[seal.RoomNumber](s.t)(u.in[room].SafetyNumber(s.t.Context())); got != want {
			s.t.Errorf("%s has the number %v of %s, and %s has %v", u.name, got, room, all[0].name, want)
		}
	}
	s.t.Logf("%s has the number %s after statement %d", room, want.Number, want.Seq)
}

func (s *story) listen(u *person, r *client.Room) {
	u.in[r.ID()] = r
	messages := r.Chan(s.t.Context())
	go func() {
		for m := range messages {
			u.mu.Lock()
			if m.Err != nil {
				u.bad = append(u.bad, m.Err)
			} else {
				u.heard[string(m.Data)] = m.Sender
			}
			u.mu.Unlock()
		}
	}()
}

func (u *person) wantHeard(text string, by *person) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.heard[text] == by.id {
		return nil
	}
	return fmt.Errorf("%s has not heard %q of %s; messages that could not be read: %v", u.name, text, by.name, errors.Join(u.bad...))
}

// talk sends messages until every other member has received one. A message may be lost
// while a client reconnects, as on every NATS without JetStream.
func (s *story) talk(room core.RoomID, by *person, to ...*person) {
	s.t.Helper()
	n, begun := 0, time.Now()
	nodetest.Wait(s.t, 60*time.Second, func() error {
		n++
		text := fmt.Sprintf("%s says %d in %s since %s", by.name, n, room, begun.Format(time.StampNano))
		if err := by.in[room].Send(s.t.Context(), []byte(text)); err != nil {
			return err
		}
		return heardBy(s.t.Context(), text, by, to)
	})
	s.t.Logf("%s speaks in %s and is heard by %d (%d times, %s)", by.name, room, len(to), n, time.Since(begun).Round(time.Millisecond))
}

// heardBy gives a message a second to be heard.
func heardBy(ctx context.Context, text string, by *person, to []*person) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		i := slices.IndexFunc(to, func(u *person) bool { return u.wantHeard(text, by) != nil })
		if i < 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return to[i].wantHeard(text, by)
		case <-tick.C:
		}
	}
}

// nodeOf is the node that a user is connected to.
func (s *story) nodeOf(u *person) int { return s.p.Node(u.Connected()) }

func epochOf(t testing.TB, r *client.Room) core.Epoch {
	t.Helper()
	e, ok := r.Epoch()
	if !ok {
		t.Fatalf("there is no key of %s", r.ID())
	}
	return e
}

func (s *story) epochAfter(room core.RoomID, before core.Epoch, all ...*person) {
	s.t.Helper()
	for _, u := range all {
		nodetest.Wait(s.t, 30*time.Second, func() error {
			if e, ok := u.in[room].Epoch(); !ok || e <= before {
				return fmt.Errorf("%s sends in epoch %d of %s (%v): %v", u.name, e, room, ok, u.in[room].Err())
			}
			return nil
		})
	}
	s.t.Logf("%s is at epoch %d", room, epochOf(s.t, all[0].in[room]))
}

// refused: the SDK says that the user is no member, the node refuses messages sent
// without the SDK, and no member reads one that comes through.
func (s *story) refused(u *person, room core.RoomID) {
	s.t.Helper()
	nodetest.Wait(s.t, 20*time.Second, func() error {
		err := u.in[room].Send(s.t.Context(), []byte("let me in"))
		if !errors.Is(err, client.ErrNotMember) {
			return fmt.Errorf("%s sends in %s: %v", u.name, room, err)
		}
		return nil
	})
	id := must[keys.Identity](s.t)(keys.ReadSeed(u.seed))
	denied := make(chan error, 4)
	nc := must[*nats.Conn](s.t)(s.p.Connect(s.nodeOf(u), id, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case denied <- err:
		default:
		}
	})))
	defer nc.Close()
	if err := nc.Publish("unibus.room."+string(room)+"."+string(u.id), []byte("let me in")); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-denied:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			s.t.Errorf("%s publishes in %s: %v", u.name, room, err)
		}
		s.t.Logf("%s cannot speak in %s any more: %v", u.name, room, err)
	case <-time.After(10 * time.Second):
		s.t.Errorf("%s may publish in %s", u.name, room)
	}
	_, err := control.NewClient(control.ClientConfig{Conn: nc, Identity: id}).Room(s.t.Context(), room)
	if core.KindOf(err) != core.KindRefused {
		s.t.Errorf("%s asks for %s: %v", u.name, room, err)
	}
}

// opensNot says that no node has a key of an epoch for somebody.
func (s *story) opensNot(u *person, room core.RoomID, epoch core.Epoch) {
	s.t.Helper()
	id := must[keys.Identity](s.t)(keys.ReadSeed(u.seed))
	nc := must[*nats.Conn](s.t)(s.p.Connect(s.nodeOf(u), id))
	defer nc.Close()
	k, err := control.NewClient(control.ClientConfig{Conn: nc, Identity: id}).Key(s.t.Context(), room, epoch)
	if core.KindOf(err) != core.KindNotFound {
		s.t.Errorf("%s gets a key of epoch %d: %+v, %v", u.name, epoch, k, err)
	}
}

// keptOut is a revoked user: no node admits them.
func (s *story) keptOut(u *person) {
	s.t.Helper()
	id := must[keys.Identity](s.t)(keys.ReadSeed(u.seed))
	for i := range s.p.Configs {
		if nc, err := s.p.Connect(i, id); err == nil {
			nc.Close()
			s.t.Errorf("%s is admitted by %s", u.name, s.p.Configs[i].Name)
		}
	}
	err := u.in["lobby"].Send(s.t.Context(), []byte("it is me"))
	if err == nil {
		s.t.Errorf("%s still speaks", u.name)
	}
	s.t.Logf("%s is kept out: %v", u.name, err)
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
