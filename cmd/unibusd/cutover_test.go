package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// TestCutoverSwapsEveryNode moves the control plane of three running processes
// and looks at each of them through its own front door.
func TestCutoverSwapsEveryNode(t *testing.T) {
	t.Parallel()
	old, gone, fresh := nodetest.Identity(t), nodetest.Identity(t), nodetest.Identity(t)
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Seed: core.Snapshot{Users: []core.User{user(old), user(gone)}}})
	waitServing(t, p, 0, core.BackendSQLite)
	pids := []int{p.PID(0), p.PID(1), p.PID(2)}
	clients := []*admin.Client{p.Client(0), p.Client(1), p.Client(2)}

	move(t, clients[1], "n1", migrate.Options{DB: realPath(t, p.Configs[0].DB), Replicas: 3, Cutover: true})
	for i := range p.Configs {
		waitServing(t, p, i, core.BackendKV)
	}
	if _, err := clients[0].UserAdd(t.Context(), user(fresh)); err != nil {
		t.Fatal(err)
	}
	if _, err := clients[0].UserRevoke(t.Context(), gone.Public()); err != nil {
		t.Fatal(err)
	}
	admitted(t, p, 2, fresh)
	admitted(t, p, 2, old)
	if nc, err := p.Connect(1, gone); !errors.Is(err, nats.ErrAuthorization) {
		if err == nil {
			nc.Close()
		}
		t.Errorf("a user revoked at n1 connects at n2: got %v, want a refusal", err)
	}
	for i, cl := range clients {
		st, err := cl.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range st.Nodes {
			if n.Name == p.Configs[i].Name && (n.Info == nil || n.Info.PID != pids[i]) {
				t.Errorf("%s was restarted: it was process %d, now %+v", n.Name, pids[i], n.Info)
			}
		}
		nodetest.Wait(t, bootBudget, func() error { return replicated(t, cl, 3) }) // a busy replica may be behind for a moment
	}
	theFileIsShut(t, p)
	for i := range p.Configs {
		listens(t, p, i)
	}
	restartedNodeServesKV(t, p)
}

func user(id keys.Identity) core.User {
	return core.User{ID: core.UserID(id.Public()), Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1}
}

// move starts a move and waits until it has stopped; it must have cut over.
func move(t *testing.T, cl *admin.Client, node string, o migrate.Options) {
	t.Helper()
	if _, err := cl.MigrateStart(t.Context(), node, o); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, time.Minute, func() error {
		st, err := cl.Migration(t.Context())
		if err != nil {
			return err
		}
		if st.Error != nil {
			t.Fatalf("the move stopped in %s: %v", st.State, st.Error)
		}
		if st.State != migrate.StateSoak {
			return fmt.Errorf("the move is at %s", st.State)
		}
		return nil
	})
}

func admitted(t *testing.T, p *nodetest.Processes, i int, id keys.Identity) {
	t.Helper()
	nc, err := p.Connect(i, id)
	if err != nil {
		t.Errorf("%s is not admitted at %s: %v", id.Public(), p.Configs[i].Name, err)
		return
	}
	nc.Close()
}

// theFileIsShut: nobody writes into the old file any more, and no CLI serves from it.
func theFileIsShut(t *testing.T, p *nodetest.Processes) {
	t.Helper()
	us, end, err := (&userTarget{db: p.Configs[0].DB}).open(t.Context(), true)
	if err == nil {
		defer end()
		_, err = us.UserAdd(t.Context(), user(nodetest.Identity(t)))
	}
	if k := core.KindOf(err); k != core.KindRefused && k != core.KindUnavailable {
		t.Errorf("adding a user to the old file: got %v, want it refused", err)
	}
}

// restartedNodeServesKV: a node started with --store sqlite afterwards does not serve its old file.
func restartedNodeServesKV(t *testing.T, p *nodetest.Processes) {
	t.Helper()
	p.Stop(0)
	p.Start(0)
	waitServing(t, p, 0, core.BackendKV)
}

func realPath(t *testing.T, path string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return real
}
