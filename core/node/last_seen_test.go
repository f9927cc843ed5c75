package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/keys"
	"unibus/core/migrate"
	"unibus/core/nodetest"
	"unibus/core/store/kv"
)

// seenAs waits until a node says that a user had a session in this hour or the one before, or had none.
func seenAs(t *testing.T, cl *admin.Client, id keys.Identity, want bool) admin.UserSeen {
	t.Helper()
	var out admin.UserSeen
	nodetest.Wait(t, 30*time.Second, func() (err error) {
		out, err = cl.UserSeen(t.Context(), id.Public())
		switch age := time.Since(out.Seen.Time()); {
		case err != nil:
			return err
		case out.SeenSince == 0, (out.Seen != 0) != want, want && (age < 0 || age > 2*time.Hour):
			return fmt.Errorf("seen %v, recorded since %v", out.Seen, out.SeenSince)
		}
		return nil
	})
	return out
}

// TestLastSeenInACluster: every node knows the times that one node saw, also after all of
// them were restarted; the internal bucket gets the replicas that the others get.
func TestLastSeenInACluster(t *testing.T) {
	t.Parallel()
	ana, ben := nodetest.Identity(t), nodetest.Identity(t)
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, Replicas: 1, SeenEvery: 200 * time.Millisecond})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := c.Client(1, c.Admin)
	for _, id := range []keys.Identity{ana, ben} {
		if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(id.Public())}); err != nil {
			t.Fatal(err)
		}
	}
	if u, err := cl.UserSeen(t.Context(), ana.Public()); err != nil || u.Seen != 0 || u.SeenSince != 0 {
		t.Errorf("before anybody was connected: %+v, %v", u, err)
	}
	connect(t, c, 0, ana).Close() // before the next look: the admission counts
	for i := range 3 {
		seenAs(t, c.Client(i, c.Admin), ana, true)
		seenAs(t, c.Client(i, c.Admin), ben, false)
	}
	checkInactive(t, cl, ana, ben)
	if _, err := cl.BucketScale(t.Context(), 3); err != nil {
		t.Error(err)
	}
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		i := slices.IndexFunc(st.InternalBuckets, func(b cluster.Bucket) bool { return b.Name == kv.LastSeenBucket })
		if err == nil && (i < 0 || len(st.InternalBuckets[i].Replicas) != 3) {
			err = fmt.Errorf("%+v", st.InternalBuckets)
		}
		return err
	})
	for i := range c.Nodes {
		if err := c.Nodes[i].Close(); err != nil {
			t.Error(err)
		}
	}
	errs := make(chan error, 3)
	for i := range c.Nodes {
		go func() { errs <- c.Open(i) }()
	}
	for range c.Nodes {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	c.WaitServing(core.BackendKV, 0, 1, 2)
	seenAs(t, c.Client(2, c.Admin), ana, true)
	seenAs(t, c.Client(2, c.Admin), ben, false)
}

// checkInactive: a user who was seen is not inactive, and one who was not is, once recording is as old as that.
func checkInactive(t *testing.T, cl *admin.Client, seen, never keys.Identity) {
	t.Helper()
	for _, c := range []struct {
		since core.Millis
		want  []core.UserID
	}{
		{core.MillisOf(time.Now().Add(-24 * time.Hour)), nil},
		{core.MillisOf(time.Now().Add(time.Second)), []core.UserID{core.UserID(never.Public())}},
		{core.MillisOf(time.Now().Add(2 * time.Hour)), slices.Sorted(slices.Values([]core.UserID{core.UserID(seen.Public()), core.UserID(never.Public())}))},
	} {
		p, err := cl.UserPage(t.Context(), core.UserPageRequest{UserQuery: core.UserQuery{InactiveSince: c.since}})
		var got []core.UserID
		for _, u := range p.Users {
			got = append(got, u.ID)
		}
		if err != nil || !slices.Equal(got, c.want) || p.Total != len(c.want) || p.SeenSince == 0 {
			t.Errorf("%v, %+v, %v", c.want, p, err)
		}
		if p.Seen[core.UserID(never.Public())] != 0 || len(c.want) == 2 && p.Seen[core.UserID(seen.Public())] == 0 {
			t.Errorf("seen: %v", p.Seen)
		}
	}
}

// TestLastSeenOfANodeAlone: a file keeps it over a restart, and a damaged one is written anew.
func TestLastSeenOfANodeAlone(t *testing.T) {
	t.Parallel()
	ana, ben := nodetest.Identity(t), nodetest.Identity(t)
	c := nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: seed(ana, ben)})
	c.WaitServing(core.BackendSQLite, 0)
	connect(t, c, 0, ana).Close()
	reopen := func() {
		t.Helper()
		if err := c.Nodes[0].Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Open(0); err != nil {
			t.Fatal(err)
		}
	}
	reopen()
	seenAs(t, c.Client(0, c.Admin), ana, true)
	seenAs(t, c.Client(0, c.Admin), ben, false)
	file := filepath.Join(c.Configs[0].Data, "last-seen")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := c.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(0); err != nil {
		t.Fatal(err)
	}
	connect(t, c, 0, ben).Close()
	reopen()
	seenAs(t, c.Client(0, c.Admin), ben, true)
}

// TestLastSeenBesideAMigration: the record is written while a migration compares every replica,
// and a rollback goes back; neither takes it for a table, and both leave it.
func TestLastSeenBesideAMigration(t *testing.T) {
	t.Parallel()
	ana, ben := nodetest.Identity(t), nodetest.Identity(t)
	s := sample(t)
	for _, id := range []keys.Identity{ana, ben} {
		s.Users = append(s.Users, user(id))
	}
	c := nodetest.Start(t, nodetest.Config{Seed: s, SeenEvery: 100 * time.Millisecond})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	connect(t, c, 0, ana).Close()
	seenAs(t, cl, ana, true)
	if st := move(t, c, cl, c.Configs[0].DB, true); st.Error != nil || !st.Verified {
		t.Fatalf("%+v", st)
	}
	c.WaitServing(core.BackendKV, 0, 1, 2)
	connect(t, c, 2, ben).Close()
	for i := range 3 {
		seenAs(t, c.Client(i, c.Admin), ana, true)
		seenAs(t, c.Client(i, c.Admin), ben, true)
	}
	st, err := cl.Status(t.Context())
	if err != nil || len(st.Buckets) != len(core.Tables()) || len(st.Lost) != 0 {
		t.Errorf("%d buckets, lost %v, %v", len(st.Buckets), st.Lost, err)
	}
	if _, err := cl.MigrateRollback(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	waitForState(t, cl, migrate.StateRolledBack)
	c.WaitServing(core.BackendSQLite, 0)
	seenAs(t, cl, ana, true)
}
