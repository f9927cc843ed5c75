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
	"unibus/core/auth"
	"unibus/core/bus"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/store/sqlite"
)

// BenchmarkNodeConnects measures what a node adds to a connection of a user: events, when users were
// seen last, sessions and metrics. The peer is a bus without any of it, which admits the same
// users by a SQLite file of the same content. The node writes when users were seen each second,
// and not each ten minutes. Both take turns; cost is the processor time of a connection, its
// client's part included, as a multiple of the peer's.
func BenchmarkNodeConnects(b *testing.B) {
	rows, ids := nodetest.SampleRows(b, 1000), make([]keys.Identity, 64)
	for i := range ids {
		ids[i] = nodetest.Identity(b)
		rows.Users = append(rows.Users, core.User{ID: core.UserID(ids[i].Public()), Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
	}
	c := nodetest.Start(b, nodetest.Config{Nodes: 1, Seed: rows, SeenEvery: time.Second})
	c.WaitServing(core.BackendSQLite, 0)
	node, bare := c.URL(0), bareBus(b, rows)
	var costs []float64
	for b.Loop() {
		var of [2]time.Duration
		for turn := range 2 { // the second one runs beside what the first has left: they take turns in that, too
			side := (len(costs) + turn) % 2
			from := processorTime(b)
			connectAll(b, []string{node, bare}[side], ids, 800)
			of[side] = processorTime(b) - from
		}
		costs = append(costs, of[0].Seconds()/of[1].Seconds())
	}
	slices.Sort(costs)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(costs[len(costs)/2], "cost-median")
	b.ReportMetric(costs[0], "cost-min")
	b.ReportMetric(costs[len(costs)-1], "cost-max")
}

func bareBus(b *testing.B, rows core.Snapshot) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "users.db")
	nodetest.Seed(b, path, rows)
	users := sqlite.New(sqlite.Config{Path: path})
	if err := users.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	var handle core.StoreHandle
	handle.Publish(users)
	listen := fmt.Sprintf("127.0.0.1:%d", nodetest.Ports(b, 1)[0])
	s := bus.New(bus.Config{Name: "bare", DataDir: b.TempDir(), Listen: listen}, auth.New(auth.Config{Mode: core.BusAuthEnforce, Users: &handle}))
	if err := s.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx) // the figures are there
		_ = users.Close()
	})
	return "nats://" + listen
}

func connectAll(b *testing.B, url string, ids []keys.Identity, n int) {
	b.Helper()
	const clients = 8
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := c; i < n; i += clients {
				id := ids[i%len(ids)]
				nc, err := nats.Connect(url, nats.Nkey(id.Public(), id.SignNonce), nats.CustomInboxPrefix("_INBOX."+id.Public()), nats.NoReconnect(), nats.Timeout(20*time.Second))
				if err != nil {
					b.Error(err)
					return
				}
				nc.Close()
			}
		})
	}
	all.Wait()
}
