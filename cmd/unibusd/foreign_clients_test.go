package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/logtest"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// foreignClient is a client that does not come from this repository, with its own
// options except that it reconnects for ever. It listens in the room "talk".
type foreignClient struct {
	name   string
	output func() string // the messages that it received, and its other output
	ended  func() bool   // it does not reconnect any more
}

// foreignLogin is what a client connects with.
type foreignLogin struct {
	urls []string
	seed string // a file
	id   keys.Identity
}

// foreignKind is one of the official clients of NATS.
type foreignKind struct {
	name  string
	start func(t *testing.T, as foreignLogin) foreignClient
}

// majorityLost is how long the clients meet a node that cannot decide. Clients that
// take a refusal as final give up at the second one; all try again every two seconds.
// MAJORITY_LOST is another duration, for `make nemesis`.
func majorityLost(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("MAJORITY_LOST")
	if text == "" {
		return 15 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestNatsGoComesBack: a client of nats.go, with its own options and told to reconnect for ever, comes
// back by itself from everything that passes: see outages.
func TestNatsGoComesBack(t *testing.T) {
	t.Parallel()
	outages(t, majorityLost(t), foreignKind{"nats.go", startNatsGo})
}

// TestForeignClientsComeBack is the same for the npm package nats, for its successor, and for the
// nats CLI, side by side. NATS_NODE_MODULES names the directory that holds node_modules with both
// packages, NATS_CLI the program; either may be missing.
func TestForeignClientsComeBack(t *testing.T) {
	t.Parallel()
	modules, program := os.Getenv("NATS_NODE_MODULES"), os.Getenv("NATS_CLI")
	var all []foreignKind
	if modules != "" {
		all = append(all, natsJS(modules, "nats"), natsJS(modules, "@nats-io/transport-node"))
	}
	if program != "" {
		all = append(all, natsCLI(program))
	}
	if len(all) == 0 {
		t.Skip("neither NATS_NODE_MODULES nor NATS_CLI is set: `make foreign` runs this test")
	}
	outages(t, majorityLost(t), all...)
}

func startNatsGo(t *testing.T, as foreignLogin) foreignClient {
	t.Helper()
	var out logtest.Buffer
	c := foreignClient{output: out.String, ended: func() bool { return true }}
	nc, err := nats.Connect(strings.Join(as.urls, ","), nats.MaxReconnects(-1), nats.Nkey(as.id.Public(), as.id.SignNonce),
		nats.CustomInboxPrefix("_INBOX."+as.id.Public()),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { _, _ = fmt.Fprintln(&out, err) }))
	if err == nil {
		t.Cleanup(nc.Close)
		c.ended = nc.IsClosed
		_, err = nc.Subscribe("unibus.room.talk.*", func(m *nats.Msg) { _, _ = fmt.Fprintf(&out, "%s\n", m.Data) })
	}
	if err != nil {
		_, _ = fmt.Fprintln(&out, err)
	}
	return c
}

func natsJS(modules, module string) foreignKind {
	return foreignKind{module, func(t *testing.T, as foreignLogin) foreignClient {
		t.Helper()
		script, err := filepath.Abs("testdata/listen.cjs")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("node", script)
		cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(modules, "node_modules"), "MODULE="+module,
			"SERVERS="+strings.Join(as.urls, ","), "SEED="+as.seed, "USER_KEY="+as.id.Public(), "SUBJECT=unibus.room.talk.*")
		if os.Getenv("MAJORITY_LOST") == "" { // a short outage must have two tries, too
			cmd.Env = append(cmd.Env, "TIMEOUT=3000")
		}
		return startForeign(t, cmd)
	}}
}

func natsCLI(program string) foreignKind {
	return foreignKind{"nats CLI", func(t *testing.T, as foreignLogin) foreignClient {
		t.Helper()
		cmd := exec.Command(program, "--server", strings.Join(as.urls, ","), "--nkey", as.seed, "--inbox-prefix", "_INBOX."+as.id.Public(),
			"subscribe", "unibus.room.talk.*")
		cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir())
		return startForeign(t, cmd)
	}}
}

// startForeign starts a client that is a program of its own; it ends with the test.
func startForeign(t *testing.T, cmd *exec.Cmd) foreignClient {
	t.Helper()
	var out logtest.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the output says how it ended
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	return foreignClient{output: out.String, ended: func() bool {
		select {
		case <-exited:
			return true
		default:
			return false
		}
	}}
}

// outages takes clients side by side through each kind of outage: a control plane that one node of three has, a
// cutover, the loss of a majority, a restart of all nodes and of one, a node that hangs, and a rollback. Each ends
// sessions, and they come back by themselves. A proven refusal stays a refusal. An unknown key is refused by that
// word. A user who is revoked while the client's node hangs is refused once the node goes on. One who is revoked in
// the end is refused, too.
func outages(t *testing.T, withoutMajority time.Duration, kinds ...foreignKind) {
	t.Helper()
	s := startOutages(t, kinds)
	p := s.p
	s.hear(t, "one node of three has the control plane")
	s.refuseUnknown(t)

	cl := p.Client(0, 1, 2)
	nodetest.Wait(t, bootBudget, func() error { // once the nodes have seen each other
		_, err := cl.MigrateStart(t.Context(), "n1", migrate.Options{DB: realPath(t, p.Configs[0].DB), Replicas: 3, Cutover: true})
		return err
	})
	nodetest.WaitMigration(t, cl, time.Minute, migrate.StateSoak)
	s.restart(0)
	s.hear(t, "a cutover, and a restart of the node that the clients were at")

	s.loseMajority(t, withoutMajority)
	s.hear(t, "the loss of a majority")

	s.restart(0, 1, 2)
	s.hear(t, "a restart of all nodes")
	s.serveKV(t)
	s.refuseUnknown(t)
	s.revokeBehindHungNode(t)
	s.hear(t, "a node that hung")

	s.restart(0) // so that the clients are at another node, whose sessions end
	s.serveKV(t)
	s.hear(t, "a restart of n1")
	rollBack(t, p)
	s.hear(t, "a rollback")
	s.revoke(t, s.clients, s.ids)
}

// rollBack brings the control plane back to n1's file.
func rollBack(t *testing.T, p *nodetest.Processes) {
	t.Helper()
	cl := p.Client(0)
	nodetest.Wait(t, bootBudget, func() error {
		_, err := cl.MigrateRollback(t.Context(), "n1")
		return err
	})
	nodetest.WaitMigration(t, cl, time.Minute, migrate.StateRolledBack)
	waitServing(t, p, 0, core.BackendSQLite)
}

// talkRoom is a control plane with members of the room "talk".
func talkRoom(members ...keys.Identity) core.Snapshot {
	s := core.Snapshot{Rooms: []core.Room{{ID: "talk", Owner: core.UserID(members[0].Public()), Rec: core.LegacyRec, State: core.RoomActive}}}
	for _, id := range members {
		s.Users = append(s.Users, user(id))
		s.Members = append(s.Members, core.Member{Room: "talk", User: core.UserID(id.Public()), Role: core.MemberMember, State: core.MemberActive})
	}
	return s
}

// outageStory is a cluster, the clients that are taken through outages, and a member who speaks.
type outageStory struct {
	p       *nodetest.Processes
	kinds   []foreignKind
	urls    []string
	clients []foreignClient // one of each kind
	ids     []keys.Identity
	victims []foreignLogin // one for each kind: they are revoked while a node hangs
	speaker keys.Identity
	said    int
}

func startOutages(t *testing.T, kinds []foreignKind) *outageStory {
	t.Helper()
	s := &outageStory{kinds: kinds, speaker: nodetest.Identity(t)}
	members := []keys.Identity{s.speaker}
	login := func() foreignLogin {
		seed, id := nodetest.SeedFile(t, fmt.Sprintf("listener-%d", len(members)))
		members = append(members, id)
		return foreignLogin{seed: seed, id: id}
	}
	var logins []foreignLogin
	for range kinds {
		logins, s.victims = append(logins, login()), append(s.victims, login())
	}
	s.p = nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Seed: talkRoom(members...)})
	s.urls = []string{s.p.URLs(2)[0], s.p.URLs(1)[0], s.p.URLs(0)[0]}
	waitServing(t, s.p, 0, core.BackendSQLite)
	for i, as := range logins {
		s.clients, s.ids = append(s.clients, s.start(t, i, as, s.urls)), append(s.ids, as.id)
	}
	return s
}

func (s *outageStory) start(t *testing.T, kind int, as foreignLogin, urls []string) foreignClient {
	t.Helper()
	as.urls = urls
	c := s.kinds[kind].start(t, as)
	c.name = s.kinds[kind].name
	return c
}

// restart stops some nodes and starts them again.
func (s *outageStory) restart(nodes ...int) {
	for _, i := range nodes {
		s.p.Stop(i)
	}
	for _, i := range nodes {
		s.p.Start(i)
	}
}

func (s *outageStory) serveKV(t *testing.T) {
	t.Helper()
	for i := range s.p.Configs {
		waitServing(t, s.p, i, core.BackendKV)
	}
}

// loseMajority leaves n1 alone for a while.
func (s *outageStory) loseMajority(t *testing.T, d time.Duration) {
	t.Helper()
	s.p.Kill(1)
	s.p.Kill(2)
	s.restart(0)
	lost := time.Now()
	nodetest.Wait(t, 2*d, func() error {
		for _, c := range s.clients {
			if c.ended() {
				t.Fatalf("%s gave up %s after the majority was lost:\n%s", c.name, time.Since(lost), c.output())
			}
		}
		if left := d - time.Since(lost); left > 0 {
			return fmt.Errorf("the majority comes back in %s", left)
		}
		return nil
	})
	s.p.Start(1)
	s.p.Start(2)
}

// refuseUnknown has each kind try a key that is no user's: it is refused by the word that is final.
func (s *outageStory) refuseUnknown(t *testing.T) {
	t.Helper()
	for i := range s.kinds {
		seed, id := nodetest.SeedFile(t, fmt.Sprintf("unknown-%d-%d", i, s.said))
		c := s.start(t, i, foreignLogin{seed: seed, id: id}, s.p.URLs(0))
		nodetest.Wait(t, time.Minute, func() error {
			if c.ended() && strings.Contains(strings.ToLower(c.output()), "authorization violation") {
				return nil
			}
			return fmt.Errorf("%s is not refused an unknown key (ended: %v):\n%s", c.name, c.ended(), c.output())
		})
	}
}

// revokeBehindHungNode revokes users whose clients are at a node that hangs meanwhile.
func (s *outageStory) revokeBehindHungNode(t *testing.T) {
	t.Helper()
	var victims []foreignClient
	var ids []keys.Identity
	for i, v := range s.victims {
		victims, ids = append(victims, s.start(t, i, v, s.p.URLs(2))), append(ids, v.id)
	}
	s.said++
	for _, c := range victims {
		s.hearOne(t, c, "its start at n3", fmt.Sprintf("message-%d-of-the-speaker", s.said))
	}
	s.p.Signal(2, syscall.SIGSTOP)
	for _, id := range ids {
		nodetest.Wait(t, time.Minute, func() error { // the leader may have been the one that hangs
			_, err := s.p.Client(0).UserRevoke(t.Context(), id.Public())
			return err
		})
	}
	s.p.Signal(2, syscall.SIGCONT)
	s.awaitRefused(t, victims)
}

// revoke revokes the users of clients.
func (s *outageStory) revoke(t *testing.T, clients []foreignClient, ids []keys.Identity) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.p.Client(0).UserRevoke(t.Context(), id.Public()); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitRefused(t, clients)
}

// awaitRefused waits until the clients of revoked users say that they are refused, or end.
func (s *outageStory) awaitRefused(t *testing.T, clients []foreignClient) {
	t.Helper()
	for _, c := range clients {
		nodetest.Wait(t, time.Minute, func() error {
			if c.ended() || strings.Contains(strings.ToLower(c.output()), "authorization") {
				return nil
			}
			return fmt.Errorf("%s of a revoked user is not refused:\n%s", c.name, c.output())
		})
	}
}

// hear waits until every client receives what is said from now on.
func (s *outageStory) hear(t *testing.T, after string) {
	t.Helper()
	s.said++
	begin := time.Now()
	for _, c := range s.clients {
		s.hearOne(t, c, after, fmt.Sprintf("message-%d-of-the-speaker", s.said))
		t.Logf("%s was back %s after %s", c.name, time.Since(begin).Round(100*time.Millisecond), after)
	}
}

func (s *outageStory) hearOne(t *testing.T, c foreignClient, after, text string) {
	t.Helper()
	nodetest.Wait(t, 2*time.Minute, func() error {
		if c.ended() {
			t.Fatalf("%s gave up after %s:\n%s", c.name, after, c.output())
		}
		if strings.Contains(c.output(), text) {
			return nil
		}
		if err := s.say(t.Context(), text); err != nil {
			return fmt.Errorf("after %s the speaker is not admitted: %w", after, err)
		}
		return fmt.Errorf("after %s %s hears nothing:\n%s", after, c.name, c.output())
	})
}

// say sends a text to the room, by the first node that admits the speaker.
func (s *outageStory) say(ctx context.Context, text string) (err error) {
	for i := range s.p.Configs {
		var nc *nats.Conn
		if nc, err = s.p.Connect(i, s.speaker); err != nil {
			continue
		}
		defer nc.Close()
		if err = nc.Publish("unibus.room.talk."+s.speaker.Public(), []byte(text)); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return nc.FlushWithContext(ctx)
	}
	return err
}
