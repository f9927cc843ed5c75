package bus_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
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
	"unibus/core/loopback"
)

// directory keeps users in memory; a user that is not in active is unknown.
type directory struct {
	mu     sync.Mutex
	active map[core.UserID]bool
	rooms  map[core.UserID][]core.RoomID
}

func (d *directory) Admit(_ context.Context, id core.UserID) (core.Admission, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.active[id] {
		return core.Admission{}, nil
	}
	return core.Admission{Status: core.UserActive, Rooms: slices.Clone(d.rooms[id])}, nil
}

func (d *directory) join(id keys.Identity, rooms ...core.RoomID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rooms[core.UserID(id.Public())] = rooms
}

func (d *directory) set(id keys.Identity, active bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active[core.UserID(id.Public())] = active
}

// fixture holds the identities and certificates that the nodes of a test share.
type fixture struct {
	dir                                          string // of the authority, the clients' certificate and the nodes' directories
	certs                                        sync.Mutex
	users                                        *directory
	system, store, service, peer                 keys.Identity // internal
	viewer, admin, sysOperator, auditor, a, b, x keys.Identity
	auth                                         *auth.Authenticator
}

func newFixture(t *testing.T, mode core.BusAuth) *fixture {
	t.Helper()
	r := &fixture{dir: t.TempDir(), users: &directory{active: map[core.UserID]bool{}, rooms: map[core.UserID][]core.RoomID{}}}
	must(t, keys.WriteCA(r.dir))
	must(t, keys.NodeCert(r.dir, "", []string{"127.0.0.1"}, r.dir))
	for _, id := range []*keys.Identity{&r.system, &r.store, &r.service, &r.peer, &r.viewer, &r.admin, &r.sysOperator, &r.auditor, &r.a, &r.b, &r.x} {
		made, err := keys.GenerateIdentity()
		must(t, err)
		*id = made
	}
	r.users.set(r.a, true)
	r.users.set(r.b, true)
	r.users.join(r.a, "r", "both")
	r.users.join(r.b, "both", "other")
	cfg := auth.Config{
		Mode: mode, Users: r.users,
		Operators: []core.Operator{
			{Key: r.viewer.Public(), Role: core.OperatorViewer, Name: "viewer"},
			{Key: r.admin.Public(), Role: core.OperatorAdmin, Name: "admin"},
			{Key: r.sysOperator.Public(), Role: core.OperatorSystem, Name: "system"},
			{Key: r.auditor.Public(), Role: core.OperatorAuditor, Name: "auditor"},
		},
		Internal: map[string]auth.Grant{
			r.system.Public(): auth.GrantSystem(), r.store.Public(): auth.GrantStore(),
			r.service.Public(): auth.GrantAdminService(), r.peer.Public(): auth.GrantPeer(),
		},
		ViewerVerbs: []string{"status"},
	}
	r.auth = auth.New(cfg)
	return r
}

func (r *fixture) file(name string) string { return filepath.Join(r.dir, name) }

// config is a node on its own, with TLS.
func (r *fixture) config(t *testing.T, name string) bus.Config {
	t.Helper()
	return bus.Config{
		Name: name, DataDir: t.TempDir(), Listen: "127.0.0.1:0",
		CertFile: r.file(keys.NodeCertFile), KeyFile: r.file(keys.NodeKeyFile),
		Fatal: func(text string) { t.Errorf("%s: %s", name, text) },
	}
}

func (r *fixture) open(t *testing.T, cfg bus.Config) *bus.Server {
	t.Helper()
	s := bus.New(cfg, r.auth)
	if err := s.Open(t.Context()); err != nil {
		t.Fatalf("%s: %v", cfg.Name, err)
	}
	closeAtEnd(t, s)
	return s
}

func closeAtEnd(t *testing.T, s *bus.Server) {
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // at once
		must(t, s.Close(ctx))
	})
}

// cluster opens three nodes and waits until each of them knows the meta leader.
func (r *fixture) cluster(t *testing.T) []*bus.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("not with -short")
	}
	var nodes []*bus.Server
	routes := freeAddrs(t, 3)
	for i, name := range []string{"n1", "n2", "n3"} {
		cfg := r.config(t, name)
		cfg.JetStream, cfg.MaxStore = true, 64<<20
		cfg.Cluster = r.member(t, routes, i)
		nodes = append(nodes, r.open(t, cfg))
	}
	eventually(t, "a meta leader that all three know", func() bool {
		leader := nodes[0].MetaLeader()
		return leader != "" && nodes[1].MetaLeader() == leader && nodes[2].MetaLeader() == leader && nodes[0].Healthz() == nil
	})
	return nodes
}

func (r *fixture) member(t *testing.T, routes []string, i int) *bus.Cluster {
	name := fmt.Sprintf("n%d", i+1)
	r.nodeDir(t, name)
	return &bus.Cluster{
		Name: "test", Listen: routes[i], Routes: routes,
		CertFile: filepath.Join(r.dir, name, keys.NodeCertFile), KeyFile: filepath.Join(r.dir, name, keys.NodeKeyFile), CAFile: r.file(keys.CACertFile),
	}
}

// nodeDir is the directory with the certificate of a node, which is made at the first call.
func (r *fixture) nodeDir(t *testing.T, name string) string {
	t.Helper()
	r.certs.Lock()
	defer r.certs.Unlock()
	dir := r.file(name)
	if _, err := os.Stat(dir); err != nil {
		must(t, os.Mkdir(dir, 0o700))
		must(t, keys.NodeCert(r.dir, name, []string{"127.0.0.1"}, dir))
	}
	return dir
}

func freeAddrs(t *testing.T, n int) []string {
	t.Helper()
	addrs, err := loopback.FreeAddresses(n)
	must(t, err)
	return addrs
}

// dialTCP connects without a word. A dial without a bound has been seen to wait for ever where the
// server closed the connection in the moment in which it was made.
func dialTCP(t testing.TB, addr string) net.Conn {
	t.Helper()
	var err error
	for range 5 {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", addr, 3*time.Second); err == nil {
			return c
		}
	}
	t.Fatal(err)
	return nil
}

// dial connects over TCP; the zero Identity connects without one.
func (r *fixture) dial(t *testing.T, s *bus.Server, id keys.Identity, opts ...nats.Option) (*nats.Conn, error) {
	t.Helper()
	if id.Public() != "" {
		opts = append(opts, nats.Nkey(id.Public(), id.Sign), nats.CustomInboxPrefix("_INBOX."+id.Public()))
	}
	pool, err := keys.LoadPool(r.file(keys.CACertFile))
	must(t, err)
	all := append([]nats.Option{
		nats.Secure(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}), nats.Timeout(10 * time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, opts...)
	nc, err := nats.Connect(s.ClientURL(), all...)
	if err == nil {
		t.Cleanup(nc.Close)
	}
	return nc, err
}

func (r *fixture) mustDial(t *testing.T, s *bus.Server, id keys.Identity, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := r.dial(t, s, id, opts...)
	must(t, err)
	return nc
}

// mayPublish says whether the connection may publish, by the server's answer.
func mayPublish(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	before := nc.LastError()
	must(t, nc.Publish(subject, []byte("x")))
	return allowed(t, nc, before)
}

func maySubscribe(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	before := nc.LastError()
	sub, err := nc.SubscribeSync(subject)
	must(t, err)
	ok := allowed(t, nc, before)
	if ok {
		must(t, sub.Unsubscribe())
	}
	return ok
}

// allowed waits for the server's answer: a refusal is a new last error when a flush returns.
func allowed(t *testing.T, nc *nats.Conn, before error) bool {
	t.Helper()
	must(t, nc.FlushTimeout(10*time.Second))
	err := nc.LastError()
	if err == before { //nolint:errorlint // each refusal is an error value of its own
		return true
	}
	if !errors.Is(err, nats.ErrPermissionViolation) {
		t.Fatalf("unexpected error %v", err)
	}
	return false
}

// eventually waits for a condition, at most half a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not within 30 s: %s", what)
		case <-tick.C:
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
