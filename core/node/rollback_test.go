package node_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/demo"
	"unibus/core/migrate"
	"unibus/core/nodetest"
	"unibus/core/store/sqlite"
)

// sample is a small control plane: 30 users.
func sample(t *testing.T) core.Snapshot {
	t.Helper()
	s, err := demo.NewSample(demo.SampleConfig{Users: 30, Rooms: 8, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return s.Snapshot
}

// soaking is a cluster whose control plane was migrated from n1's file to KV.
func soaking(t *testing.T) (*nodetest.Cluster, *admin.Client) {
	t.Helper()
	return soakingOf(t, sample(t))
}

func soakingOf(t *testing.T, seed core.Snapshot) (*nodetest.Cluster, *admin.Client) {
	t.Helper()
	c := nodetest.Start(t, nodetest.Config{Seed: seed})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	move(t, c, cl, c.Configs[0].DB, true)
	c.WaitServing(core.BackendKV, 0, 1, 2)
	return c, cl
}

// move runs a migration of n1's file until it stops.
func move(t *testing.T, c *nodetest.Cluster, cl *admin.Client, db string, cutover bool) migrate.Status {
	t.Helper()
	begin(t, cl, migrate.Options{DB: resolved(t, db), Replicas: len(c.Configs), Cutover: cutover})
	if cutover {
		return waitForState(t, cl, migrate.StateSoak)
	}
	return waitForState(t, cl, migrate.StateVerify)
}

// begin starts a migration at n1 once the nodes have seen each other.
func begin(t *testing.T, cl *admin.Client, o migrate.Options) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err != nil {
			return err
		}
		for _, n := range st.View.Nodes {
			if !n.Online || n.Info == nil || len(st.View.Nodes) < st.View.Expected {
				return fmt.Errorf("the nodes are %+v", st.View.Nodes)
			}
		}
		_, err = cl.MigrateStart(t.Context(), "n1", o)
		return err
	})
}

// resolved is a path as the node names it.
func resolved(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// waitForState waits until the migration has stopped in a state.
func waitForState(t *testing.T, cl *admin.Client, want migrate.State) (st migrate.Status) {
	t.Helper()
	nodetest.Wait(t, 60*time.Second, func() (err error) {
		if st, err = cl.Migration(t.Context()); err != nil {
			return err
		}
		if st.Running || st.State != want {
			return fmt.Errorf("%s, running %v, %v", st.State, st.Running, st.Error)
		}
		return nil
	})
	return st
}

func TestRollbackLosesNothing(t *testing.T) {
	t.Parallel()
	c, cl := soaking(t)
	added, gone := nodetest.Identity(t), nodetest.Identity(t)
	for _, id := range []string{added.Public(), gone.Public()} {
		if _, err := c.Client(1, c.Admin).UserAdd(t.Context(), core.User{ID: core.UserID(id), Role: core.RoleMember}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Client(2, c.Admin).UserRevoke(t.Context(), gone.Public()); err != nil {
		t.Fatal(err)
	}
	if _, err := store(t, c, 2).SetUserExpiry(t.Context(), core.UserID(gone.Public()), 7, 7); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}, 1)
	there, err := nats.Connect(c.URL(1), nats.Nkey(added.Public(), added.Sign), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { ended <- struct{}{} }))
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()

	if _, err := cl.MigrateRollback(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	st := waitForState(t, cl, migrate.StateRolledBack)
	c.WaitServing(core.BackendSQLite, 0)
	u, err := c.Client(0, c.Admin).UserGet(t.Context(), gone.Public())
	if err != nil || u.Status != core.UserRevoked || u.Expires != 7 {
		t.Errorf("the user revoked after the cutover is %s and ends at %d, %v", u.Status, u.Expires, err)
	}
	nc, err := c.Connect(0, added)
	if err != nil {
		t.Errorf("the user added after the cutover is not admitted at n1: %v", err)
	} else {
		nc.Close()
	}
	if nc, err := c.Connect(1, added); err == nil {
		nc.Close()
		t.Error("n2 admits users, and is no longer the control plane")
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the session at n2 did not end: n2 would not hear of a revocation")
	}
	checkFile(t, st.Export.Path, 32, 3) // a user has an end

	// The restored file is migrated again like any other one.
	if st = move(t, c, cl, st.Export.Path, true); st.Error != nil {
		t.Fatal(st.Error)
	}
	c.WaitServing(core.BackendKV, 0, 1, 2)
	if u, err = c.Client(2, c.Admin).UserGet(t.Context(), gone.Public()); err != nil || u.Status != core.UserRevoked || u.Expires != 7 {
		t.Errorf("after the second move the revoked one is %s and ends at %d, %v", u.Status, u.Expires, err)
	}
}

func checkFile(t *testing.T, path string, users, schema int) {
	t.Helper()
	db := sqlite.New(sqlite.Config{Path: path, ReadOnly: true, AllowFenced: true})
	if err := db.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	n, err := db.Counts(t.Context())
	if err != nil || n.Users != users || db.SchemaVersion() != schema {
		t.Errorf("the file has %+v, schema %d, %v", n, db.SchemaVersion(), err)
	}
}

// truth is the store from which one node answers at one time.
type truth struct {
	node     int
	backend  core.Backend
	from, to time.Time // it was so all this time
}

// TestNoTwoAuthorities: during a cutover and a rollback no two nodes answer from different
// stores at the same time. Every node is asked without a pause. Two equal answers in a row
// count for all the time between them.
func TestNoTwoAuthorities(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Seed: sample(t)})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	move(t, c, cl, c.Configs[0].DB, false)

	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	seen := make([][]truth, len(c.Nodes))
	for i := range c.Nodes {
		watching.Go(func() { seen[i] = answers(ctx, c, i) })
	}
	if _, err := cl.MigrateCutover(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	waitForState(t, cl, migrate.StateSoak)
	c.WaitServing(core.BackendKV, 0, 1, 2)
	if _, err := cl.MigrateRollback(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	waitForState(t, cl, migrate.StateRolledBack)
	c.WaitServing(core.BackendSQLite, 0)
	stop()
	watching.Wait()

	served := map[core.Backend]bool{}
	for i, mine := range seen {
		for _, a := range mine {
			served[a.backend] = true
			for _, others := range seen[i+1:] {
				for _, b := range others {
					if a.backend != b.backend && a.from.Before(b.to) && b.from.Before(a.to) {
						t.Errorf("n%d answered from %s and n%d from %s at the same time", a.node+1, a.backend, b.node+1, b.backend)
					}
				}
			}
		}
	}
	if !served[core.BackendSQLite] || !served[core.BackendKV] {
		t.Errorf("only %v was seen", served)
	}
}

// answers asks a node's own store until ctx ends, and records which store answered.
func answers(ctx context.Context, c *nodetest.Cluster, i int) []truth {
	var out []truth
	user := core.UserID(c.Admin.Public())
	for broken := true; ctx.Err() == nil; {
		begun := time.Now()
		backend, err := c.Nodes[i].Answers(ctx, user)
		if err != nil {
			broken = true
			continue
		}
		// The answer was decided somewhere between the question and now; a fact that
		// holds at both ends of a run of equal answers holds throughout.
		if n := len(out); n > 0 && out[n-1].backend == backend && !broken {
			out[n-1].to = begun
			continue
		}
		broken = false
		out = append(out, truth{i, backend, time.Now(), time.Now()})
	}
	return slices.DeleteFunc(out, func(t truth) bool { return !t.from.Before(t.to) })
}
