package node_test

import (
	"crypto/rand"
	"flag"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/backup"
	"unibus/core/nodetest"
)

// scrapeUsers are the users of the cluster that BenchmarkScrapeOfManyUsers scrapes.
var scrapeUsers = flag.Int("scrape-users", 100_000, "users in the cluster of BenchmarkScrapeOfManyUsers")

// BenchmarkScrapeOfManyUsers is BenchmarkScrape with 100,000 users in the buckets.
func BenchmarkScrapeOfManyUsers(b *testing.B) {
	var seed core.Snapshot
	for range *scrapeUsers {
		seed.Users = append(seed.Users, core.User{ID: core.UserID(anyUser()), Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
	}
	file := filepath.Join(b.TempDir(), "users.db")
	nodetest.Seed(b, file, seed)
	measureScrapes(b, func(c *nodetest.Cluster) {
		if _, _, err := backup.RestoreIntoCluster(b.Context(), c.Client(0, c.Admin), file, "", backup.Expect{}, nil); err != nil {
			b.Fatal(err)
		}
	})
}

// anyUser looks like a user's key and has no seed: real ones take minutes for so many.
func anyUser() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	key, _ := nkeys.Encode(nkeys.PrefixByteUser, raw[:])
	return string(key)
}

// BenchmarkScrape measures the processor time of one scrape, the reader's part included, in a
// cluster of three nodes, all of them in this process. The time that the same cluster uses
// without a scrape is subtracted.
func BenchmarkScrape(b *testing.B) { measureScrapes(b, func(*nodetest.Cluster) {}) }

func measureScrapes(b *testing.B, fill func(*nodetest.Cluster)) {
	b.Helper()
	b.StopTimer()
	c, addr := metered(b, nodetest.Config{})
	fill(c)
	until(b, addr, scrape{"unibus_verdict": 0})
	idleFrom, begun := processorTime(b), time.Now()
	<-time.After(3 * time.Second)
	idle := float64(processorTime(b)-idleFrom) / float64(time.Since(begun))
	b.StartTimer()
	from, begun := processorTime(b), time.Now()
	n := 0
	for b.Loop() {
		scrapeOf(b, addr)
		n++
	}
	used := float64(processorTime(b)-from) - idle*float64(time.Since(begun))
	b.ReportMetric(used/float64(n)/1e6, "cpu-ms/scrape")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
