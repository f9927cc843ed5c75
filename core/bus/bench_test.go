package bus_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/bus"
	"unibus/core/keys"
)

const (
	benchUsers    = 64
	benchConnects = 800 // of one side in one round
	benchClients  = 8   // at the same time
)

// BenchmarkConnects measures new nkey connections a second: a bus that decides
// by its directory of users, against the same nats-server with the same users and
// permissions in its static configuration. Both take turns in every round.
//
//	make bench   (or: go test -run '^$' -bench Connects -benchtime 10x ./core/bus)
func BenchmarkConnects(b *testing.B) {
	users := &directory{active: map[core.UserID]bool{}, rooms: map[core.UserID][]core.RoomID{}}
	ids := make([]keys.Identity, benchUsers)
	for i := range ids {
		id, err := keys.GenerateIdentity()
		if err != nil {
			b.Fatal(err)
		}
		ids[i] = id
		users.set(id, true)
		users.join(id, "one", "two")
	}
	ours, theirs := openBus(b, users), openStatic(b, ids)
	var mine, static, ratios []float64
	for b.Loop() {
		var m, s float64
		if len(ratios)%2 == 0 { // the second one runs beside the leftovers of the first: they take turns in that too
			m, s = connectRate(b, ours, ids), connectRate(b, theirs, ids)
		} else {
			s, m = connectRate(b, theirs, ids), connectRate(b, ours, ids)
		}
		mine, static, ratios = append(mine, m), append(static, s), append(ratios, m/s)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle(mine), "unibus-connects/s")
	b.ReportMetric(middle(static), "static-connects/s")
	b.ReportMetric(middle(ratios), "ratio-median")
	b.ReportMetric(slices.Min(ratios), "ratio-min")
	b.ReportMetric(slices.Max(ratios), "ratio-max")
}

func middle(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }

func openBus(b *testing.B, users auth.Directory) string {
	b.Helper()
	s := bus.New(bus.Config{Name: "n1", DataDir: b.TempDir(), Listen: "127.0.0.1:0"},
		auth.New(auth.Config{Mode: core.BusAuthEnforce, Users: users}))
	if err := s.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx) // the figures are there
	})
	return s.ClientURL()
}

// openStatic starts the server for comparison: the same nats-server and accounts, with the users in its configuration.
func openStatic(b *testing.B, ids []keys.Identity) string {
	b.Helper()
	o := &server.Options{}
	if err := o.ProcessConfigString("accounts { SYS {}, CONTROL {}, BUS {}, AUDIT {} }\nsystem_account: SYS\n"); err != nil {
		b.Fatal(err)
	}
	o.Host, o.Port, o.NoLog, o.NoSigs, o.AuthTimeout = "127.0.0.1", -1, true, true, 5
	at := slices.IndexFunc(o.Accounts, func(a *server.Account) bool { return a.Name == auth.AccountBus })
	for _, id := range ids {
		u := id.Public()
		o.Nkeys = append(o.Nkeys, &server.NkeyUser{Nkey: u, Account: o.Accounts[at], Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"unibus.room.one." + u, "unibus.room.two." + u, "unibus.control.v1." + u + ".>"}},
			Subscribe: &server.SubjectPermission{Allow: []string{"unibus.room.one.>", "unibus.room.two.>", "_INBOX." + u + ".>"}},
		}})
	}
	s, err := server.NewServer(o)
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	b.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("the static server is not ready")
	}
	return s.ClientURL()
}

// connectRate is how many connections a second several clients open and close.
func connectRate(b *testing.B, url string, ids []keys.Identity) float64 {
	b.Helper()
	began := time.Now()
	var all sync.WaitGroup
	for c := range benchClients {
		all.Go(func() {
			for i := c; i < benchConnects; i += benchClients {
				id := ids[i%len(ids)]
				nc, err := nats.Connect(url, nats.Nkey(id.Public(), id.Sign), nats.NoReconnect())
				if err != nil {
					b.Error(err)
					return
				}
				nc.Close()
			}
		})
	}
	all.Wait()
	return benchConnects / time.Since(began).Seconds()
}

func percentile(v []float64, p int) float64 {
	return slices.Sorted(slices.Values(v))[(len(v)-1)*p/100]
}

// openForOperator opens a bus at the default limits, with TLS, that knows one operator.
func openForOperator(b *testing.B, dir string) (*bus.Server, keys.Identity) {
	b.Helper()
	operator, err := keys.GenerateIdentity()
	must(b, err)
	s := bus.New(bus.Config{
		Name: "n1", DataDir: b.TempDir(), Listen: "127.0.0.1:0",
		CertFile: filepath.Join(dir, keys.NodeCertFile), KeyFile: filepath.Join(dir, keys.NodeKeyFile),
	}, auth.New(auth.Config{
		Mode: core.BusAuthEnforce, Users: &directory{},
		Operators: []core.Operator{{Key: operator.Public(), Role: core.OperatorViewer, Name: "viewer"}},
	}))
	must(b, s.Open(b.Context()))
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx) // the figures are there
	})
	return s, operator
}
