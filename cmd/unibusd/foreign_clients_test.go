package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// foreignClient is a client that does not come from this repository, with its own
// options except that it reconnects for ever. It listens in the room "talk".
type foreignClient struct {
	output func() string // what it received, and what else it said
	ended  func() bool   // it does not reconnect any more
}

// TestNatsGoComesBack: a client of nats.go, with its own options and told to reconnect for ever, comes
// back by itself from everything that passes: see outages.
func TestNatsGoComesBack(t *testing.T) {
	t.Parallel()
	outages(t, 12*time.Second, func(t *testing.T, urls []string, _ string, id keys.Identity) foreignClient {
		var out lockedText
		nc, err := nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1), nats.Nkey(id.Public(), id.SignNonce),
			nats.CustomInboxPrefix("_INBOX."+id.Public()), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { out.add(err.Error()) }))
		if err != nil {
			t.Fatalf("the first connection: %v", err)
		}
		t.Cleanup(nc.Close)
		if _, err := nc.Subscribe("unibus.room.talk.*", func(m *nats.Msg) { out.add(string(m.Data)) }); err != nil {
			t.Fatal(err)
		}
		return foreignClient{out.text, nc.IsClosed}
	})
}

// TestNatsJSComesBack is the same for the npm package nats, and for its successor.
// NATS_NODE_MODULES names the directory that holds node_modules with both.
func TestNatsJSComesBack(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("NATS_NODE_MODULES")
	if dir == "" {
		t.Skip("NATS_NODE_MODULES is not set: `make foreign` runs this test")
	}
	for _, module := range []string{"nats", "@nats-io/transport-node"} {
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			outages(t, time.Minute, func(t *testing.T, urls []string, seed string, id keys.Identity) foreignClient {
				script, err := filepath.Abs("testdata/listen.cjs")
				if err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command("node", script)
				cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"), "MODULE="+module,
					"SERVERS="+strings.Join(urls, ","), "SEED="+seed, "USER_KEY="+id.Public(), "SUBJECT=unibus.room.talk.*")
				return startForeign(t, cmd)
			})
		})
	}
}

// TestNatsCLIComesBack is the same for the nats CLI. NATS_CLI is its program.
func TestNatsCLIComesBack(t *testing.T) {
	t.Parallel()
	program := os.Getenv("NATS_CLI")
	if program == "" {
		t.Skip("NATS_CLI is not set: `make foreign` runs this test")
	}
	outages(t, time.Minute, func(t *testing.T, urls []string, seed string, id keys.Identity) foreignClient {
		cmd := exec.Command(program, "--server", strings.Join(urls, ","), "--nkey", seed, "--inbox-prefix", "_INBOX."+id.Public(),
			"subscribe", "unibus.room.talk.*")
		cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir())
		return startForeign(t, cmd)
	})
}

// startForeign starts a client that is a program of its own; it ends with the test.
func startForeign(t *testing.T, cmd *exec.Cmd) foreignClient {
	t.Helper()
	var out lockedText
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
	return foreignClient{out.text, func() bool {
		select {
		case <-exited:
			return true
		default:
			return false
		}
	}}
}

// lockedText is a text that grows.
type lockedText struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lockedText) add(line string) { _, _ = io.WriteString(l, line+"\n") }

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lockedText) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// outages takes a client through a control plane that one node of three has, a cutover, the loss of a
// majority, a restart of all nodes, and a rollback. Each ends its session, and it comes back by itself.
// In the end its user is revoked, and it is refused.
func outages(t *testing.T, withoutMajority time.Duration, start func(t *testing.T, urls []string, seed string, id keys.Identity) foreignClient) {
	t.Helper()
	seed, id := nodetest.SeedFile(t, "listener")
	speaker := nodetest.Identity(t)
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Seed: talkRoom(id, speaker)})
	waitServing(t, p, 0, core.BackendSQLite)
	cl := p.Client(0, 1, 2)
	f := start(t, []string{p.URLs(2)[0], p.URLs(1)[0], p.URLs(0)[0]}, seed, id)
	s := &outageStory{p: p, f: f, speaker: speaker}
	s.hears(t, "one node of three has the control plane")

	nodetest.Wait(t, bootBudget, func() error { // once the nodes have seen each other
		_, err := cl.MigrateStart(t.Context(), "n1", migrate.Options{DB: realPath(t, p.Configs[0].DB), Replicas: 3, Cutover: true})
		return err
	})
	nodetest.WaitMigration(t, cl, time.Minute, migrate.StateSoak)
	s.restart(0)
	s.hears(t, "a cutover, and a restart of the node that the client was at")

	p.Kill(1)
	p.Kill(2)
	s.restart(0)
	lost := time.Now()
	nodetest.Wait(t, 2*withoutMajority, func() error {
		if f.ended() {
			t.Fatalf("the client gave up %s after the majority was lost:\n%s", time.Since(lost), f.output())
		}
		if left := withoutMajority - time.Since(lost); left > 0 {
			return fmt.Errorf("the majority comes back in %s", left)
		}
		return nil
	})
	p.Start(1)
	p.Start(2)
	s.hears(t, "the loss of a majority")

	s.restart(0, 1, 2)
	s.hears(t, "a restart of all nodes")

	for i := range p.Configs {
		waitServing(t, p, i, core.BackendKV)
	}
	s.restart(0) // so that the client is at another node, whose sessions end
	waitServing(t, p, 0, core.BackendKV)
	s.hears(t, "a restart of n1")
	rollBack(t, p)
	s.hears(t, "a rollback")

	if _, err := p.Client(0).UserRevoke(t.Context(), id.Public()); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, time.Minute, func() error {
		if f.ended() || strings.Contains(strings.ToLower(f.output()), "authorization") {
			return nil
		}
		return fmt.Errorf("the client of a revoked user is not refused:\n%s", f.output())
	})
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

// talkRoom is a control plane with two members of the room "talk".
func talkRoom(listener, speaker keys.Identity) core.Snapshot {
	s := core.Snapshot{Rooms: []core.Room{{ID: "talk", Owner: core.UserID(listener.Public()), Rec: core.LegacyRec, State: core.RoomActive}}}
	for _, id := range []keys.Identity{listener, speaker} {
		s.Users = append(s.Users, user(id))
		s.Members = append(s.Members, core.Member{Room: "talk", User: core.UserID(id.Public()), Role: core.MemberMember, State: core.MemberActive})
	}
	return s
}

// outageStory is a cluster, the client that is taken through outages, and a member who speaks.
type outageStory struct {
	p       *nodetest.Processes
	f       foreignClient
	speaker keys.Identity
	said    int
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

// hears waits until the client receives what is said from now on.
func (s *outageStory) hears(t *testing.T, after string) {
	t.Helper()
	s.said++
	text := fmt.Sprintf("message-%d-of-the-speaker", s.said)
	begin := time.Now()
	nodetest.Wait(t, 2*time.Minute, func() error {
		if s.f.ended() {
			t.Fatalf("the client gave up after %s:\n%s", after, s.f.output())
		}
		if strings.Contains(s.f.output(), text) {
			return nil
		}
		if err := s.say(t.Context(), text); err != nil {
			return fmt.Errorf("after %s the speaker is not admitted: %w", after, err)
		}
		return fmt.Errorf("after %s the client hears nothing:\n%s", after, s.f.output())
	})
	t.Logf("the client was back %s after %s", time.Since(begin).Round(100*time.Millisecond), after)
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
