// Package nodetest starts real nodes for tests: in this process (Start), as child
// processes of the real binary (StartProcesses), or as processes in network
// namespaces of their own whose links a test can cut (StartNet, Linux only).
// Tests of core/node, cmd and tui use it; the package nemesis beside it kills,
// cuts and fills nodes during migrations. Begin reading with this file, then
// process_cluster.go. Tests wait for conditions with Wait; they never sleep.
package nodetest

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/config"
	"unibus/core/keys"
	"unibus/core/loopback"
	"unibus/core/node"
	"unibus/core/store/sqlite"
)

// Config describes a test's cluster. The zero value is three nodes that enforce
// admission and serve their SQLite file, if they have one.
type Config struct {
	Nodes    int // 0: 3
	Store    core.Backend
	Replicas int           // 0: as many as nodes, where Store is kv
	BusAuth  core.BusAuth  // "": enforce
	Seed     core.Snapshot // written to the first node's SQLite file, if it has users
	SeedDB   string        // a closed file, as Seed writes it; the first node gets a copy
	Hosts    []string      // addresses of the nodes, with TLS between them; nil: free ports of 127.0.0.1
	Env      []string      // NAME=value for child processes, beside the test's own
	Listed   bool          // every configuration lists the names of the nodes

	Before    func(*Cluster)  // called before the first node starts
	Operators []core.Operator // beside the cluster's Admin and Viewer
	SeenEvery time.Duration   // between two writes of when users had a session last; 0: a node's own
	OldKeys   time.Duration   // between two passes that delete old sealed keys; 0: a node's own
	CertCheck time.Duration   // the shortest time between two checks of a certificate file; 0: 10 s
	TLS       bool            // for clients: every node has a certificate of its own for 127.0.0.1, of the authority Cluster.CA
}

// Cluster is a running cluster of nodes in this process.
type Cluster struct {
	Configs       []config.Node
	Nodes         []*node.Node
	Admin         keys.Identity // an operator of role admin
	AdminSeedFile string        // for commands
	Viewer        keys.Identity
	CA            string // the directory of the authority that clients trust; "" without TLS
	certCheck     time.Duration
	seenEvery     time.Duration
	oldKeys       time.Duration
	later         map[int]bool // nodes that Start does not start
	t             testing.TB
}

// Start starts the nodes; they stop with the test. It returns when all of them
// listen, before they serve.
func Start(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	if cfg.Nodes != 1 {
		SkipShort(t)
	}
	c := prepareCluster(t, cfg)
	if cfg.Before != nil {
		cfg.Before(c)
	}
	c.Nodes = make([]*node.Node, len(c.Configs))
	errs := make(chan error, len(c.Configs))
	for i := range c.Configs {
		if c.later[i] {
			continue
		}
		go func() { errs <- c.Open(i) }()
	}
	for range len(c.Configs) - len(c.later) {
		if err := <-errs; err != nil {
			t.Fatalf("starting a node: %v", err)
		}
	}
	return c
}

// SkipShort skips a test of several servers or processes, or of many rows, where
// -short asks for the fast tests alone.
func SkipShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("not with -short")
	}
}

// Furnish prepares a cluster and starts nothing: the test opens nodes of its own from Configs.
func Furnish(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	if cfg.Nodes != 1 {
		SkipShort(t)
	}
	return prepareCluster(t, cfg)
}

// WriteConfig writes a node's configuration file, extra at its beginning.
func WriteConfig(t testing.TB, file string, cfg config.Node, extra string) {
	t.Helper()
	data, err := cfg.Encode()
	if err == nil {
		err = os.WriteFile(file, append([]byte(extra+"\n"), data...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// prepareCluster creates what a cluster needs before its first node starts.
func prepareCluster(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	if cfg.BusAuth == "" {
		cfg.BusAuth = core.BusAuthEnforce
	}
	if cfg.Store == "" {
		cfg.Store = core.BackendSQLite
	}
	if cfg.Replicas == 0 {
		cfg.Replicas = 1
		if cfg.Store == core.BackendKV {
			cfg.Replicas = cfg.Nodes
		}
	}
	c := &Cluster{t: t, Viewer: Identity(t), certCheck: cfg.CertCheck, seenEvery: cfg.SeenEvery, oldKeys: cfg.OldKeys}
	c.AdminSeedFile, c.Admin = SeedFile(t, "admin")
	c.configure(cfg)
	if cfg.SeedDB != "" {
		MkdirAll(t, c.Configs[0].Data)
		copyFile(t, cfg.SeedDB, c.Configs[0].DB)
	}
	if len(cfg.Seed.Users) > 0 {
		Seed(t, c.Configs[0].DB, cfg.Seed)
	}
	return c
}

func (c *Cluster) configure(cfg Config) {
	c.t.Helper()
	dir := c.t.TempDir()
	listen, routes := addresses(c.t, cfg)
	for i := range cfg.Nodes {
		n := config.Default()
		n.Name = fmt.Sprintf("n%d", i+1)
		n.Data = filepath.Join(dir, n.Name)
		n.DB = filepath.Join(n.Data, "unibus.db")
		n.Listen = listen[i]
		n.Store, n.Replicas, n.BusAuth = cfg.Store, cfg.Replicas, cfg.BusAuth
		n.Operators = []core.Operator{
			{Key: c.Admin.Public(), Role: core.OperatorAdmin, Name: "ana"},
			{Key: c.Viewer.Public(), Role: core.OperatorViewer, Name: "vic"},
		}
		n.Operators = append(n.Operators, cfg.Operators...)
		if cfg.Nodes > 1 {
			n.ClusterName, n.ClusterListen, n.Routes = "test", routes[i], routes
			for j := range cfg.Nodes {
				if cfg.Listed {
					n.Nodes = append(n.Nodes, fmt.Sprintf("n%d", j+1))
				}
			}
		}
		c.Configs = append(c.Configs, n)
	}
	if cfg.TLS {
		c.secureClients(filepath.Join(dir, "client-ca"))
	}
	if cfg.Nodes > 1 && len(cfg.Hosts) > 0 {
		c.secureRoutes(filepath.Join(dir, "ca"), cfg.Hosts)
	}
}

// addresses are where the nodes listen, for clients and for each other.
func addresses(t testing.TB, cfg Config) (listen, routes []string) {
	t.Helper()
	if len(cfg.Hosts) > 0 {
		for _, host := range cfg.Hosts[:cfg.Nodes] {
			listen = append(listen, net.JoinHostPort(host, "4222"))
			routes = append(routes, net.JoinHostPort(host, "6222"))
		}
		return listen, routes
	}
	for i, port := range Ports(t, 2*cfg.Nodes) {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if i < cfg.Nodes {
			listen = append(listen, addr)
		} else {
			routes = append(routes, addr)
		}
	}
	return listen, routes
}

// secureClients gives every node a certificate for its clients.
func (c *Cluster) secureClients(ca string) {
	c.t.Helper()
	c.CA = ca
	MkdirAll(c.t, ca)
	if err := keys.WriteCA(ca); err != nil {
		c.t.Fatal(err)
	}
	for i := range c.Configs {
		n := &c.Configs[i]
		out := n.Data + "-client-tls"
		MkdirAll(c.t, out)
		if err := keys.NodeCert(ca, "", []string{"127.0.0.1"}, out); err != nil {
			c.t.Fatal(err)
		}
		n.TLSCert, n.TLSKey = filepath.Join(out, keys.NodeCertFile), filepath.Join(out, keys.NodeKeyFile)
	}
}

// TLSConfig is how clients of the cluster verify its nodes; nil without TLS.
func (c *Cluster) TLSConfig() *tls.Config {
	c.t.Helper()
	if c.CA == "" {
		return nil
	}
	pool, err := keys.LoadPool(filepath.Join(c.CA, keys.CACertFile))
	if err != nil {
		c.t.Fatal(err)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
}

// secureRoutes gives every node a certificate for its host. Without one a node
// listens for other nodes only on the loopback interface.
func (c *Cluster) secureRoutes(ca string, hosts []string) {
	c.t.Helper()
	MkdirAll(c.t, ca)
	if err := keys.WriteCA(ca); err != nil {
		c.t.Fatal(err)
	}
	for i := range c.Configs {
		n := &c.Configs[i]
		out := n.Data + "-tls"
		MkdirAll(c.t, out)
		if err := keys.NodeCert(ca, n.Name, hosts[i:i+1], out); err != nil {
			c.t.Fatal(err)
		}
		n.RouteTLSCert, n.RouteTLSKey = filepath.Join(out, keys.NodeCertFile), filepath.Join(out, keys.NodeKeyFile)
		n.RouteTLSCA = filepath.Join(ca, keys.CACertFile)
	}
}

// Later keeps Start from starting a node; Open does. Config.Before calls it.
func (c *Cluster) Later(i int) {
	if c.later == nil {
		c.later = map[int]bool{}
	}
	c.later[i] = true
}

// Open starts node i (again); it stops with the test.
func (c *Cluster) Open(i int) error {
	n := node.New(node.Config{Node: c.Configs[i], Version: "test", Log: Log(c.t), CertCheck: c.certCheck, SeenEvery: c.seenEvery, OldKeys: c.oldKeys})
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := n.Open(ctx); err != nil {
		return err
	}
	c.Nodes[i] = n
	c.t.Cleanup(func() { _ = n.Close() })
	return nil
}

// URL is the address of node i.
func (c *Cluster) URL(i int) string {
	if c.CA != "" {
		return "tls://" + c.Configs[i].Listen
	}
	return "nats://" + c.Configs[i].Listen
}

// Client connects to node i only, as the operator.
func (c *Cluster) Client(i int, as keys.Identity) *admin.Client {
	c.t.Helper()
	cl := admin.NewClient(admin.ClientConfig{Servers: []string{c.URL(i)}, Identity: as, TLS: c.TLSConfig(), Name: c.t.Name()})
	if err := cl.Open(c.t.Context()); err != nil {
		c.t.Fatalf("connecting to %s: %v", c.Configs[i].Name, err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// Connect tries once to connect to node i as a user of the bus.
func (c *Cluster) Connect(i int, as keys.Identity) (*nats.Conn, error) {
	return nats.Connect(c.URL(i), nats.Nkey(as.Public(), as.SignNonce), nats.CustomInboxPrefix("_INBOX."+as.Public()),
		nats.NoReconnect(), nats.Timeout(5*time.Second))
}

// WaitServing waits until the nodes serve a store of the backend.
func (c *Cluster) WaitServing(backend core.Backend, nodes ...int) {
	c.t.Helper()
	for _, i := range nodes {
		cl := c.Client(i, c.Admin)
		Wait(c.t, 30*time.Second, func() error {
			st, err := cl.Status(c.t.Context())
			if err != nil {
				return err
			}
			if st.Serving.Backend != backend {
				return fmt.Errorf("%s serves %s (%s)", c.Configs[i].Name, st.Serving.Backend, st.Serving.Reason)
			}
			return nil
		})
	}
}

// SeedFile creates an identity and writes its seed to a file that is removed with
// the test.
func SeedFile(t testing.TB, name string) (path string, id keys.Identity) {
	t.Helper()
	seed, _, err := keys.Generate()
	if err == nil {
		path = filepath.Join(t.TempDir(), name+".nk")
		err = keys.WriteSeed(path, seed)
	}
	if err == nil {
		id, err = keys.ParseSeed(seed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path, id
}

// Identity creates a key.
func Identity(t testing.TB) keys.Identity {
	t.Helper()
	id, err := keys.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// seedTimeout is the store's for one operation. An import may take twelve times as
// long: a million rows take more than the default minute.
const seedTimeout = time.Minute

// Seed writes a snapshot to a new SQLite file, in its own order: a file that grew
// in use is not sorted by key, and a sorted one would be faster to read.
func Seed(t testing.TB, path string, s core.Snapshot) {
	t.Helper()
	MkdirAll(t, filepath.Dir(path))
	st := sqlite.New(sqlite.Config{Path: path, Create: true, Timeout: seedTimeout})
	if err := st.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Import(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// Ports returns different free ports of the loopback interface. Another program
// may take one before it is used.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	ports, err := loopback.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

// Log writes a node's warnings to the test's log.
func Log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}
