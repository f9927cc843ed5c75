package kv

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
	"unibus/core/loopback"
)

// Tests share one cluster of three and one single server. Each test has an
// account, and so a JetStream, of its own: nothing is wiped, tests run side by side.
const accounts = 120

var shared struct {
	clusterOnce, singleOnce sync.Once
	cluster, single         *servers
	accounts                atomic.Int32
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range []*servers{shared.cluster, shared.single} {
		if s != nil {
			s.stop()
		}
	}
	os.Exit(code)
}

type servers struct {
	dir   string
	nodes []*server.Server
}

func (s *servers) stop() {
	for _, n := range s.nodes {
		n.Shutdown()
	}
	for _, n := range s.nodes {
		n.WaitForShutdown()
	}
	_ = os.RemoveAll(s.dir)
}

func accountConfig() string {
	var b strings.Builder
	b.WriteString("accounts {\n")
	for i := range accounts {
		fmt.Fprintf(&b, "T%d { jetstream: enabled, users: [{user: t%d, password: x}] }\n", i, i)
	}
	b.WriteString("}\n")
	return b.String()
}

// startServers starts n servers, a cluster if there is more than one.
func startServers(tb testing.TB, n int) *servers {
	tb.Helper()
	dir, err := os.MkdirTemp("", "unibus-kv-")
	if err != nil {
		tb.Fatal(err)
	}
	s := &servers{dir: dir}
	ports := freePorts(tb, n)
	for i := range n {
		s.nodes = append(s.nodes, startServer(tb, dir, i, ports))
	}
	for _, node := range s.nodes {
		if !node.ReadyForConnections(20 * time.Second) {
			tb.Fatal("a test server did not start")
		}
	}
	return s
}

func startServer(tb testing.TB, dir string, i int, ports []int) *server.Server {
	tb.Helper()
	return startServerWith(tb, dir, i, ports, func(*server.Options) {})
}

func startServerWith(tb testing.TB, dir string, i int, ports []int, change func(*server.Options)) *server.Server {
	tb.Helper()
	opts := &server.Options{
		ServerName: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1", Port: -1,
		JetStream: true, StoreDir: fmt.Sprintf("%s/n%d", dir, i+1), SyncAlways: true, NoSigs: true, NoLog: true,
	}
	if err := opts.ProcessConfigString(accountConfig()); err != nil {
		tb.Fatal(err)
	}
	if len(ports) > 1 {
		opts.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i], PoolSize: -1, NoAdvertise: true}
		var routes []string
		for _, p := range ports {
			routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p))
		}
		opts.Routes = server.RoutesFromStr(strings.Join(routes, ","))
	}
	change(opts)
	node, err := server.NewServer(opts)
	if err != nil {
		tb.Fatal(err)
	}
	node.Start()
	return node
}

func freePorts(tb testing.TB, n int) []int {
	tb.Helper()
	ports, err := loopback.FreePorts(n)
	if err != nil {
		tb.Fatal(err)
	}
	return ports
}

// tenant is one test's account on some servers.
type tenant struct {
	*servers
	account int32
}

func newTenant(tb testing.TB, s *servers) tenant {
	tb.Helper()
	a := shared.accounts.Add(1) - 1
	if a >= accounts {
		tb.Fatal("more tests than accounts: raise the constant")
	}
	return tenant{s, a}
}

func onCluster(tb testing.TB) tenant {
	tb.Helper()
	if testing.Short() {
		tb.Skip("not with -short")
	}
	shared.clusterOnce.Do(func() {
		shared.cluster = startServers(tb, 3)
		// Open waits for a meta leader by itself, ordinary clients do not.
		eventually(tb, 30*time.Second, "a meta leader", func() bool {
			return slices.ContainsFunc(shared.cluster.nodes, (*server.Server).JetStreamIsLeader)
		})
	})
	return newTenant(tb, shared.cluster)
}

func onSingle(tb testing.TB) tenant {
	shared.singleOnce.Do(func() { shared.single = startServers(tb, 1) })
	return newTenant(tb, shared.single)
}

// ownServers are for tests that stop some of them.
func ownServers(tb testing.TB, n int) tenant {
	tb.Helper()
	if testing.Short() && n > 1 {
		tb.Skip("not with -short")
	}
	s := startServers(tb, n)
	tb.Cleanup(s.stop)
	return newTenant(tb, s)
}

// conn connects to node i, counted from 0.
func (t tenant) conn(tb testing.TB, i int) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(t.nodes[i]), nats.UserInfo(fmt.Sprintf("t%d", t.account), "x"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// open opens a store through node i.
func (t tenant) open(tb testing.TB, i, replicas int) *Store {
	tb.Helper()
	return t.openWith(tb, i, Config{Replicas: replicas, Timeout: 5 * time.Second})
}

func (t tenant) openWith(tb testing.TB, i int, c Config) *Store {
	tb.Helper()
	c.Conn, c.Budget = t.conn(tb, i), 30*time.Second
	s := New(c)
	mustDo(tb, s.Open(tb.Context()))
	tb.Cleanup(func() { _ = s.Close() })
	mustDo(tb, s.OpenFor(tb.Context(), core.Authority{Backend: core.BackendNone}))
	return s
}

func mustDo(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%v (cause: %v)", err, cause(err))
	}
}

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		mustDo(tb, err)
		return v
	}
}

func cause(err error) error {
	if e, ok := err.(*core.Error); ok {
		return e.Err
	}
	return nil
}

func wantKind(tb testing.TB, err error, want core.Kind) {
	tb.Helper()
	if got := core.KindOf(err); got != want {
		tb.Errorf("kind %q, want %q (error: %v, cause: %v)", got, want, err, cause(err))
	}
}

// eventually waits for a condition, asked again and again within a bound.
func eventually(tb testing.TB, within time.Duration, what string, ok func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), within)
	defer cancel()
	for !ok() {
		if !jsapi.Sleep(ctx, 5*time.Millisecond) {
			tb.Fatalf("not within %v: %s", within, what)
		}
	}
}
