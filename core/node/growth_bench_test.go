package node_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// growthRows is the most rows that BenchmarkGrowth goes to.
var growthRows = flag.Int("growth-rows", 100_000, "rows up to which BenchmarkGrowth goes")

// BenchmarkGrowth migrates a thousand rows, ten thousand and so on into three and into
// five nodes, all of them in this process, and then uses the cluster: it shows which
// figures grow with the rows, and which do not. A row is a user, a room, a member or a
// key.
func BenchmarkGrowth(b *testing.B) {
	for _, nodes := range []int{3, 5} {
		for rows := 1000; rows <= *growthRows; rows *= 10 {
			b.Run(fmt.Sprintf("nodes=%d/rows=%d", nodes, rows), func(b *testing.B) {
				path := filepath.Join(b.TempDir(), "seed.db")
				nodetest.Seed(b, path, nodetest.SampleRows(b, rows))
				for b.Loop() {
					grow(b, path, nodes)
				}
			})
		}
	}
}

func grow(b *testing.B, path string, nodes int) {
	b.Helper()
	round := &inRound{TB: b}
	defer round.end()
	c := nodetest.Start(round, nodetest.Config{Nodes: nodes, SeedDB: path})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	o := migrate.Options{DB: c.Configs[0].DB, Replicas: nodes, Cutover: true}
	begun := time.Now()
	nodetest.Wait(b, time.Minute, func() error {
		_, err := cl.MigrateStart(b.Context(), "n1", o)
		return err
	})
	nodetest.Wait(b, 10*time.Minute, func() error {
		st, err := cl.Migration(b.Context())
		if err == nil && st.State != migrate.StateSoak {
			err = fmt.Errorf("the migration is in %s: %v", st.State, st.Error)
		}
		return err
	})
	b.ReportMetric(time.Since(begun).Seconds(), "move-s")
	for i := range nodes {
		c.WaitServing(core.BackendKV, i)
	}
	runtime.GC() // what the migration left is not what a request costs
	users := someUsers(b, cl)
	b.ReportMetric(admissions(b, c, users), "admission-µs")
	b.ReportMetric(middle(b, 50, func(i int) error {
		_, err := cl.UserPage(b.Context(), core.UserPageRequest{Limit: 50, Offset: i})
		return err
	}), "user-page-ms")
	b.ReportMetric(middle(b, 50, func(i int) error {
		_, err := cl.RoomPage(b.Context(), core.RoomPageRequest{Limit: 50, Offset: i})
		return err
	}), "room-page-ms")
	b.ReportMetric(middle(b, 30, func(int) error {
		_, err := cl.UserGet(b.Context(), string(users[0]))
		return err
	}), "user-get-ms")
	b.ReportMetric(many(b, func(ctx context.Context, _ int64) error {
		_, err := cl.UserAdd(ctx, core.User{ID: core.UserID(nodetest.Identity(b).Public()), Role: core.RoleMember})
		return err
	}), "adds/s")
	b.ReportMetric(many(b, func(ctx context.Context, i int64) error {
		_, err := cl.UserRevoke(ctx, string(users[int(i)%len(users)]))
		return err
	}), "revocations/s")
	b.ReportMetric(restart(b, c, nodes-1), "restart-s")
	b.ReportMetric(float64(resident())/float64(nodes)/(1<<20), "MiB/node")
}

// someUsers are up to a thousand users of the store.
func someUsers(b *testing.B, cl *admin.Client) (ids []core.UserID) {
	b.Helper()
	p, err := cl.UserPage(b.Context(), core.UserPageRequest{Limit: core.MaxPage})
	if err != nil {
		b.Fatal(err)
	}
	for _, u := range p.Users {
		ids = append(ids, u.ID)
	}
	return ids
}

// admissions is the mean time of one decision about a user at one node, in µs.
func admissions(b *testing.B, c *nodetest.Cluster, users []core.UserID) float64 {
	b.Helper()
	const n = 200_000
	begun := time.Now()
	for i := range n {
		if _, err := c.Nodes[0].Answers(b.Context(), users[i%len(users)]); err != nil {
			b.Fatal(err)
		}
	}
	return float64(time.Since(begun).Microseconds()) / n
}

// middle is the median time of n calls, one after the other, in ms.
func middle(b *testing.B, n int, do func(i int) error) float64 {
	b.Helper()
	var took []time.Duration
	for i := range n {
		begun := time.Now()
		if err := do(i); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return float64(took[n/2].Microseconds()) / 1000
}

// many is how often 32 callers do something in a second, over three seconds.
func many(b *testing.B, do func(ctx context.Context, i int64) error) float64 {
	b.Helper()
	const callers = 32
	begun := time.Now()
	var done, failed atomic.Int64
	var last atomic.Value
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for time.Since(begun) < 3*time.Second {
				if err := do(b.Context(), done.Add(1)); err != nil {
					last.Store(err)
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := failed.Load(); n > 0 {
		b.Fatalf("%d of %d calls failed: %v", n, done.Load(), last.Load())
	}
	return float64(done.Load()) / time.Since(begun).Seconds()
}

// restart stops a node and starts it again, and returns the seconds until it has all rows and serves.
func restart(b *testing.B, c *nodetest.Cluster, i int) float64 {
	b.Helper()
	if err := c.Nodes[i].Close(); err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	if err := c.Open(i); err != nil {
		b.Fatal(err)
	}
	c.WaitServing(core.BackendKV, i)
	return time.Since(begun).Seconds()
}

// resident is this process's memory, after a collection, in bytes.
func resident() int64 {
	runtime.GC()
	var pages, size int64
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		_, _ = fmt.Sscan(string(data), &size, &pages)
	}
	return pages * int64(os.Getpagesize())
}
