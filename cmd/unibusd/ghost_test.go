package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/client"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestGhostGetsNothing: an encrypted room of ann and bob, on three nodes with the real
// programs. An attacker tries to read in it: by an operator who makes a user-admin of the
// ghost, by a user-admin, and by a node that writes the ghost into the rows, in the end
// with statements of its own. The ghost is given no box of any epoch, hears nothing that
// it could open, and is read by nobody. The members' programs tell of it.
func TestGhostGetsNothing(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	ann, bob := s.user("ann"), s.user("bob")
	plans := s.create(ann, client.NewRoom{ID: "plans", Encrypted: true})
	s.invite(plans, bob)
	s.talk("plans", ann, bob)
	ghost := s.ghost("ghost", "--role", "admin") // an operator ran: user add GHOST --role admin
	chief := s.ghost("chief", "--role", "admin")

	for what, err := range map[string]error{
		"the ghost invites itself":         second(ghost.api(t).Invite(t.Context(), "plans", ghost.id, "", nil)),
		"the ghost makes itself the owner": second(ghost.api(t).SetRole(t.Context(), "plans", ghost.id, core.MemberOwner)),
		"a user-admin invites the ghost":   second(chief.api(t).Invite(t.Context(), "plans", ghost.id, "", nil)),
		"a user-admin makes bob an admin":  second(chief.api(t).SetRole(t.Context(), "plans", bob.id, core.MemberAdmin)),
		"the ghost founds the room anew":   second(ghost.api(t).FoundAnew(t.Context(), foundingBy(t, ghost))),
		"the ghost asks for the members":   second(ghost.api(t).Statements(t.Context(), control.StatementsRequest{Room: "plans"})),
	} {
		if core.KindOf(err) != core.KindRefused {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.getsNothing(ghost, ann, bob)

	t.Log("n3 is a node that lies: it writes the ghost into the rows")
	write := s.lyingNode(2)
	row := core.Member{Room: "plans", User: ghost.id, Role: core.MemberAdmin, State: core.MemberActive, Joined: 1}
	write(row)
	ghost.isAdmitted(t)
	s.getsNothing(ghost, ann, bob)

	t.Log("and with a founding of the ghost's own")
	row.Proof = seal.AppendProof(nil, statementBy(t, ghost))
	write(row)
	ghost.ask(t)
	s.getsNothing(ghost, ann, bob)
	for _, u := range []*person{ann, bob} {
		nodetest.Wait(t, 30*time.Second, func() error { return toldOf(t, u, ghost.id) })
	}
}

// toldOf is nil once a member's program cannot overlook the ghost.
func toldOf(t *testing.T, u *person, ghost core.UserID) error {
	members, err := u.in["plans"].Members(t.Context())
	if err == nil || !strings.Contains(err.Error(), string(ghost)) && u.in["plans"].Err() == nil {
		return fmt.Errorf("%s is shown %d members: %w", u.name, len(members), err)
	}
	return nil
}

// ghostUser is a user without the SDK: it does what the SDK would not.
type ghostUser struct {
	id    core.UserID
	own   keys.Identity
	s     *story
	heard chan []byte
}

func (s *story) ghost(name string, flags ...string) *ghostUser {
	s.t.Helper()
	g := &ghostUser{own: nodetest.Identity(s.t), s: s, heard: make(chan []byte, 1000)}
	g.id = core.UserID(g.own.Public())
	s.command(append([]string{"user", "add", string(g.id), "--name", name}, flags...)...)
	kem := must[*seal.KEM](s.t)(seal.NewKEM())
	key := must[[]byte](s.t)(kem.Publish(g.own, 1))
	must[control.Profile](s.t)(g.api(s.t).PublishKey(s.t.Context(), key))
	return g
}

// connect is a session of the ghost's with the first node.
func (g *ghostUser) connect(t *testing.T) *nats.Conn {
	t.Helper()
	nc := must[*nats.Conn](t)(g.s.p.Connect(0, g.own))
	t.Cleanup(nc.Close)
	return nc
}

func (g *ghostUser) api(t testing.TB) *control.Client {
	t.Helper()
	nc := must[*nats.Conn](t)(g.s.p.Connect(0, g.own))
	t.Cleanup(nc.Close)
	return control.NewClient(control.ClientConfig{Conn: nc, Identity: g.own})
}

// isAdmitted waits until the node lets the ghost into the room, and listens there.
func (g *ghostUser) isAdmitted(t *testing.T) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		nc, err := g.s.p.Connect(0, g.own)
		if err != nil {
			return err
		}
		sub, err := nc.Subscribe(auth.RoomSubject("plans", "*"), func(m *nats.Msg) {
			select {
			case g.heard <- m.Data:
			default:
			}
		})
		if err = errors.Join(err, nc.Flush()); err == nil && !sub.IsValid() {
			err = errors.New("the subscription has ended")
		}
		info, e := control.NewClient(control.ClientConfig{Conn: nc, Identity: g.own}).Room(t.Context(), "plans")
		if err = errors.Join(err, e); err != nil || info.Role != core.MemberAdmin {
			nc.Close()
			return fmt.Errorf("the node does not call it an admin: %q, %w", info.Role, err)
		}
		t.Cleanup(nc.Close)
		return nil
	})
	g.ask(t)
}

// ask requests the room's key, as a member without one does, and talks.
func (g *ghostUser) ask(t *testing.T) {
	t.Helper()
	nc := g.connect(t)
	for _, text := range []string{"\xffunibus.client.plea.v1", "let me in"} {
		if err := nc.Publish(auth.RoomSubject("plans", string(g.id)), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	signed, err := seal.KeyRequest{Room: "plans", User: g.id, Time: core.MillisOf(time.Now()), Kind: seal.RequestKey, KEMTime: 1, KEMHash: seal.Hash{1}}.Sign(g.own)
	if err == nil {
		err = nc.Publish(auth.HeartbeatSubject("plans", string(g.id)), signed)
	}
	if err = errors.Join(err, nc.Flush()); err != nil {
		t.Fatal(err)
	}
}

// getsNothing: the members talk and make new keys, if they can, and the ghost has no box.
func (s *story) getsNothing(g *ghostUser, ann, bob *person) {
	s.t.Helper()
	before := epochOf(s.t, ann.in["plans"])
	if ann.in["plans"].Err() == nil {
		s.talk("plans", ann, bob)
		err := ann.in["plans"].Rekey(s.t.Context())
		if err != nil && core.KindOf(err) != core.KindFailed { // the honest nodes find that the rows are no chain any more
			s.t.Errorf("a new key: %v", err)
		}
	}
	for epoch := range before + 2 {
		k, err := g.api(s.t).Key(s.t.Context(), "plans", epoch)
		if kind := core.KindOf(err); kind != core.KindNotFound && kind != core.KindRefused {
			s.t.Errorf("the ghost has a box of epoch %d: %+v, %v", epoch, k, err)
		}
	}
	for _, u := range []*person{ann, bob} {
		u.mu.Lock()
		for text, by := range u.heard {
			if by == g.id {
				s.t.Errorf("%s has heard the ghost: %q", u.name, text)
			}
		}
		u.mu.Unlock()
	}
	s.t.Logf("the ghost has heard %d sealed messages, and has no key", len(g.heard))
}

// lyingNode kills a node and takes its place in the cluster, and returns what writes rows
// into the bucket of members without asking any control service.
func (s *story) lyingNode(i int) func(core.Member) {
	s.t.Helper()
	s.p.Kill(i)
	c := s.p.Configs[i]
	o := &server.Options{ServerName: c.Name, Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true}
	if err := o.ProcessConfigString("accounts { SYS {}, CONTROL { users: [{user: node, password: node}] }, BUS {} }\nsystem_account: SYS\n"); err != nil {
		s.t.Fatal(err)
	}
	o.Cluster = server.ClusterOpts{Name: c.ClusterName, Host: "127.0.0.1", Port: -1, PoolSize: -1, NoAdvertise: true}
	for _, addr := range c.Routes {
		if addr != c.ClusterListen {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: addr})
		}
	}
	srv := must[*server.Server](s.t)(server.NewServer(o))
	go srv.Start()
	s.t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		s.t.Fatal("the lying node did not start")
	}
	nc := must[*nats.Conn](s.t)(nats.Connect("", nats.InProcessServer(srv), nats.UserInfo("node", "node")))
	s.t.Cleanup(nc.Close)
	return func(m core.Member) {
		s.t.Helper()
		row := core.MemberRow(m)
		nodetest.Wait(s.t, 30*time.Second, func() error {
			ack, err := nc.Request("$KV."+row.Table.Bucket()+"."+row.Key, row.Value, 2*time.Second)
			var stored struct {
				Seq   uint64          `json:"seq"`
				Error json.RawMessage `json:"error"`
			}
			if err == nil {
				err = json.Unmarshal(ack.Data, &stored)
			}
			if err == nil && (stored.Seq == 0 || stored.Error != nil) {
				err = fmt.Errorf("the bucket refuses it: %s", ack.Data)
			}
			return err
		})
	}
}

// statementBy is a founding of the room by the ghost.
func statementBy(t *testing.T, g *ghostUser) seal.Statement {
	t.Helper()
	m := must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: "plans", By: g.own, At: 1, Encrypted: true}))
	return must[seal.Statement](t)(seal.VerifyStatement("plans", m.Statements(0)[0]))
}

func foundingBy(t *testing.T, g *ghostUser) control.FoundAnewRequest {
	t.Helper()
	snapshot := must[[]byte](t)(seal.MakeSnapshot("plans", true, map[core.UserID]core.MemberRole{g.id: core.MemberOwner}))
	m := must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: "plans", By: g.own, At: 1, Encrypted: true, Snapshot: snapshot}))
	return control.FoundAnewRequest{Room: "plans", Founding: m.Statements(0)[0], Snapshot: snapshot}
}

func second[T any](_ T, err error) error { return err }
