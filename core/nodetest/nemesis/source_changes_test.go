//go:build nemesis && linux

package nemesis

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/core/nodetest"
	"unibus/core/store/sqlite"
)

// sourceWriter changes a control plane during its migration, and keeps what was
// acknowledged.
type sourceWriter struct {
	mu      sync.Mutex
	added   map[core.UserID]core.UserStatus // those that were added, as they were acknowledged last
	removed map[membership]bool
	refused int
	last    error
	done    map[string]int // by kind
}

type membership struct {
	room core.RoomID
	user core.UserID
}

func (c *sourceWriter) note(kind string, err error, acked func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.refused++
		c.last = err
		return
	}
	c.done[kind]++
	acked()
}

// TestSourceChangesUnderWay adds and revokes users and removes members of 200,000
// rows, from the start of a migration to its fence, through the node and by a
// second process on the file. Every acknowledged change is on every node.
func TestSourceChangesUnderWay(t *testing.T) {
	m := newMigration(t, manyRows)
	c := &sourceWriter{added: map[core.UserID]core.UserStatus{}, removed: map[membership]bool{}, done: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	before, fence := context.WithCancel(ctx) // what the node adds after the fence would be in KV alone
	var all sync.WaitGroup
	stop := func() { fence(); cancel(); all.Wait() }
	t.Cleanup(stop)
	db := sqlite.New(sqlite.Config{Path: m.Configs[0].DB, Timeout: 20 * time.Second})
	if err := db.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	cl := m.Client(0)
	all.Go(func() { // the node
		c.change(before, t, "node", func(ctx context.Context, u core.User) error { _, err := cl.UserAdd(ctx, u); return err },
			func(ctx context.Context, id core.UserID) error { _, err := cl.UserRevoke(ctx, string(id)); return err })
	})
	all.Go(func() { // another process
		c.change(ctx, t, "file", db.AddUser, func(ctx context.Context, id core.UserID) error {
			_, err := db.SetUserStatus(ctx, id, core.UserRevoked, 2)
			return err
		})
	})
	all.Go(func() { c.remove(ctx, db) })

	seen := map[migrate.State]map[string]int{}
	m.awaitState(migrate.StateSoak, func(e migrate.Entry) bool {
		if e.Migration.Running && seen[e.Migration.State] == nil {
			seen[e.Migration.State] = c.counts()
		}
		if e.Migration.State == migrate.StateFence {
			fence()
		}
		return e.Migration.State == migrate.StateSoak && !e.Migration.Running
	})
	stop()
	for _, s := range migrate.States() {
		t.Logf("changes acknowledged when %s was entered: %v", s, seen[s])
	}
	t.Logf("%v in all, %d refused, the last: %v", c.done, c.refused, c.last)
	for i, s := range []migrate.State{migrate.StateCopy, migrate.StateVerify, migrate.StateFence} {
		if before := []migrate.State{migrate.StateBackup, migrate.StateCopy, migrate.StateVerify}[i]; cmp.Equal(seen[s], seen[before]) {
			t.Errorf("nothing changed during %s", before)
		}
	}
	m.requireConsistent(m.awaitStoppedIn(migrate.StateSoak))
	c.requireApplied(t, m)
	fenced := digests(t, m.Configs[0].DB)
	m.requireEqual(m.awaitStopped(), fenced)
	m.roundTrip(fenced)
}

func (c *sourceWriter) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for k, n := range c.done {
		out[k] = n
	}
	return out
}

// change adds users and revokes every other one until ctx ends.
func (c *sourceWriter) change(ctx context.Context, t *testing.T, by string, add func(context.Context, core.User) error, revoke func(context.Context, core.UserID) error) {
	pace := time.NewTicker(20 * time.Millisecond) // the migration needs the processor too
	defer pace.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		<-pace.C
		_, rows := users(t, 1)
		u := rows.Users[0]
		each, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second) // an outcome is awaited
		err := add(each, u)
		c.note(by+" added", err, func() { c.added[u.ID] = core.UserActive })
		if err == nil && i%2 == 0 {
			err = revoke(each, u.ID)
			c.note(by+" revoked", err, func() { c.added[u.ID] = core.UserRevoked })
		}
		cancel()
	}
}

// remove removes members from their rooms, one of each room, until ctx ends.
func (c *sourceWriter) remove(ctx context.Context, db *sqlite.Store) {
	rooms, err := db.Rooms(ctx)
	c.note("rooms", err, func() {})
	pace := time.NewTicker(25 * time.Millisecond)
	defer pace.Stop()
	for _, r := range rooms {
		<-pace.C
		if ctx.Err() != nil {
			return
		}
		each, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		members, err := db.Members(each, r.ID)
		if err == nil && len(members) > 0 {
			user := members[len(members)-1].User
			_, err = db.RemoveMember(each, r.ID, user)
			c.note("file removed", err, func() { c.removed[membership{r.ID, user}] = true })
		}
		cancel()
	}
}

// requireApplied fails the test if an acknowledged change is missing on a node.
func (c *sourceWriter) requireApplied(t *testing.T, m *runningMigration) {
	t.Helper()
	for i := range m.Configs {
		cl := m.Client(i)
		all, err := admin.AllUsers(t.Context(), cl.UserPage)
		if err != nil {
			t.Fatal(err)
		}
		there := map[core.UserID]core.UserStatus{}
		for _, u := range all {
			there[u.ID] = u.Status
		}
		for id, want := range c.added {
			if there[id] != want {
				t.Errorf("%s: user %s is %q, and was acknowledged as %q", m.Configs[i].Name, id, there[id], want)
			}
		}
	}
	checked := 0
	for gone := range c.removed {
		if checked++; checked > 50 {
			break // the digests compare all of them
		}
		nodetest.Wait(t, eventTimeout, func() error { return checkRemoved(t.Context(), m, gone) })
	}
}

func checkRemoved(ctx context.Context, m *runningMigration, gone membership) error {
	room, err := m.cl.RoomGet(ctx, string(gone.room))
	if err != nil {
		return err
	}
	for _, mb := range room.Members {
		if mb.User == gone.user {
			return errors.New(string(gone.user) + " is still a member of " + string(gone.room))
		}
	}
	return nil
}
