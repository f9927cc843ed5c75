package bus_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/keys"
)

func TestNothingIsAdvertised(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	nodes := r.cluster(t)
	nc := r.mustDial(t, nodes[0], r.a)
	must(t, nc.Flush())
	if got := nc.DiscoveredServers(); len(got) > 0 {
		t.Errorf("the client learned of %v", got)
	}
	for _, n := range nodes {
		if n.Routes() != 2 {
			t.Errorf("a node has %d routes, want one to each peer", n.Routes())
		}
		info := infoOf(t, n)
		if urls, ok := info["connect_urls"]; ok {
			t.Errorf("INFO advertises %v", urls)
		}
		if info["tls_required"] != true || info["nonce"] == nil {
			t.Errorf("INFO asks for no TLS or gives no nonce: %v", info)
		}
	}
}

// infoOf reads the first line that a node sends on every new connection.
func infoOf(t *testing.T, s *bus.Server) map[string]any {
	t.Helper()
	c := dialTCP(t, s.Addr())
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	line, err := bufio.NewReader(c).ReadString('\n')
	must(t, err)
	var info map[string]any
	must(t, json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info))
	return info
}

func TestStandaloneStoreRefusesToJoin(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.JetStream, cfg.MaxStore = true, 64<<20
	s := r.open(t, cfg)
	nc := r.inProcess(t, s, r.store)
	js, err := jetstream.New(nc)
	must(t, err)
	_, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "UNIBUS_users"})
	must(t, err)
	must(t, s.Close(t.Context()))

	cfg.Cluster = r.member(t, freeAddrs(t, 3), 0)
	wantError(t, bus.New(cfg, r.auth).Open(t.Context()), core.KindRefused, "1 streams of a server that ran on its own", "empty directory")
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "cluster.json")); err == nil {
		t.Error("the refused directory was marked as the cluster's")
	}
	cfg.Cluster = nil
	r.open(t, cfg) // and nothing is lost
}

func TestDataDirectoryBelongsToOneNodeOfOneCluster(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.JetStream, cfg.MaxStore = true, 64<<20
	cfg.Cluster = r.member(t, freeAddrs(t, 3), 0)
	must(t, r.open(t, cfg).Close(t.Context()))
	must(t, r.open(t, cfg).Close(t.Context())) // its own again

	other := cfg
	other.Name = "n2"
	wantError(t, bus.New(other, r.auth).Open(t.Context()), core.KindRefused, `belongs to the node "n1"`, "--name n1")
	other = cfg
	other.Cluster = r.member(t, freeAddrs(t, 3), 0)
	other.Cluster.Name = "prod"
	wantError(t, bus.New(other, r.auth).Open(t.Context()), core.KindRefused, `belongs to the cluster "test"`, "--cluster-name test")
	other = cfg
	other.Cluster = nil
	wantError(t, bus.New(other, r.auth).Open(t.Context()), core.KindRefused, "started on its own", "--routes")
	must(t, os.WriteFile(filepath.Join(cfg.DataDir, "cluster.json"), []byte("{"), 0o600))
	wantError(t, bus.New(cfg, r.auth).Open(t.Context()), core.KindRefused, "cluster.json is damaged", "")
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, l.Close()) }()
	taken := l.Addr().String()

	cfg := r.config(t, "n1")
	cfg.Listen = taken
	wantError(t, bus.New(cfg, r.auth).Open(t.Context()), core.KindFailed, "--listen: cannot listen on "+taken+": address already in use", "--listen")
	cfg = r.config(t, "n1")
	cfg.Cluster = r.member(t, []string{taken, "127.0.0.1:1"}, 0)
	wantError(t, bus.New(cfg, r.auth).Open(t.Context()), core.KindFailed, "--cluster-listen: cannot listen on "+taken, "--cluster-listen")
	if entries, err := os.ReadDir(cfg.DataDir); err != nil || len(entries) > 0 {
		t.Errorf("the data directory was touched: %v, %v", entries, err)
	}
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	for text, change := range map[string]func(*bus.Config){
		"not a node's name":        func(c *bus.Config) { c.Name = "n 1" },
		"no data directory":        func(c *bus.Config) { c.DataDir = "" },
		"--listen \"4222\"":        func(c *bus.Config) { c.Listen = "4222" },
		"is not host:port":         func(c *bus.Config) { c.Listen = "127.0.0.1:99999" },
		"--tls-key only work":      func(c *bus.Config) { c.KeyFile = "" },
		"do not belong together":   func(c *bus.Config) { c.CertFile = r.file(keys.CACertFile) },
		"key file":                 func(c *bus.Config) { c.KeyFile = r.file("absent.key") },
		"not a cluster's name":     func(c *bus.Config) { c.Cluster.Name = "" },
		"needs routes":             func(c *bus.Config) { c.Cluster.Routes = nil },
		"--routes: \"n1\"":         func(c *bus.Config) { c.Cluster.Routes = []string{"n1"} },
		"--route-tls-ca only work": func(c *bus.Config) { c.Cluster.CAFile = "" },
		"need TLS": func(c *bus.Config) {
			c.Cluster = &bus.Cluster{Name: "c", Listen: "0.0.0.0:0", Routes: []string{"n2:1"}}
		},
	} {
		t.Run(text, func(t *testing.T) {
			cfg := r.config(t, "n1")
			cfg.Cluster = r.member(t, []string{"127.0.0.1:0", "127.0.0.1:1"}, 0)
			cfg.Cluster.Routes = cfg.Cluster.Routes[1:]
			change(&cfg)
			err := bus.New(cfg, r.auth).Open(t.Context())
			if k := core.KindOf(err); (k != core.KindInvalid && k != core.KindNotFound) || !strings.Contains(err.Error(), text) {
				t.Errorf("%v of kind %q, want %q", err, k, text)
			}
		})
	}
}

func TestJetStreamThatCannotStartFailsOpen(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.JetStream = true
	must(t, os.WriteFile(filepath.Join(cfg.DataDir, "jetstream"), []byte("a file in the way"), 0o600))
	wantError(t, bus.New(cfg, r.auth).Open(t.Context()), core.KindFailed, "JetStream", "")
}

// TestFatalErrorAfterASecondOpen: an Open that is refused does not make the server's later errors its own.
func TestFatalErrorAfterASecondOpen(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	reasons := make(chan string, 1)
	cfg.Fatal = func(text string) { reasons <- text }
	s := r.open(t, cfg)
	wantError(t, s.Open(t.Context()), core.KindFailed, "opened before", "")
	s.Fatal("the disk is gone")
	select {
	case text := <-reasons:
		if text != "the disk is gone" {
			t.Errorf("the reason is %q", text)
		}
	default:
		t.Error("the node does not hear that its server cannot go on")
	}
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := bus.New(r.config(t, "n1"), r.auth)
	must(t, bus.New(r.config(t, "n0"), r.auth).Close(t.Context())) // never opened
	must(t, s.Open(t.Context()))
	addr := s.Addr()
	wantError(t, s.Open(t.Context()), core.KindFailed, "opened before", "")
	must(t, s.Close(t.Context()))
	must(t, s.Close(t.Context()))
	if c, err := net.DialTimeout("tcp", addr, 3*time.Second); err == nil {
		_ = c.Close()
		t.Error("the address still accepts connections")
	}
	_, err := s.InProcess(r.store)
	wantError(t, err, core.KindUnavailable, "not open", "")
	wantError(t, s.Healthz(), core.KindUnavailable, "not open", "")
	if s.Addr() != "" || s.ClientURL() != "" || s.ID() != "" || s.Clients() != 0 || s.MetaLeader() != "" {
		t.Error("a closed server still returns its addresses")
	}
}

func TestClosedLeaderIsReplaced(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	nodes := r.cluster(t)
	leader := -1
	eventually(t, "a node that leads the meta group", func() bool {
		leader = slices.IndexFunc(nodes, (*bus.Server).IsLeader) // an election may follow the one that all saw
		return leader >= 0
	})
	rest := slices.Delete(slices.Clone(nodes), leader, leader+1)
	old := nodes[leader].MetaLeader()
	must(t, nodes[leader].Close(t.Context()))
	eventually(t, "another leader", func() bool {
		now := rest[0].MetaLeader()
		return now != "" && now != old && rest[1].MetaLeader() == now
	})
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := r.open(t, r.config(t, "n1"))
	pool, err := keys.LoadPool(r.file(keys.CACertFile))
	must(t, err)
	_, err = r.dial(t, s, r.a, nats.Secure(&tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS12}))
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2: %v", err)
	}
	plain, err := nats.Connect("nats://"+s.Addr(), nats.Nkey(r.a.Public(), r.a.Sign))
	if err == nil {
		plain.Close()
		t.Error("a client that trusts no authority was admitted")
	}
}

func TestRescanKeepsTheData(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.JetStream, cfg.MaxStore = true, 64<<20
	s := r.open(t, cfg)
	bucket := func(s *bus.Server) jetstream.KeyValue {
		js, err := jetstream.New(r.inProcess(t, s, r.store))
		must(t, err)
		kv, err := js.CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "UNIBUS_users"})
		must(t, err)
		return kv
	}
	_, err := bucket(s).PutString(t.Context(), "k", "v")
	must(t, err)
	must(t, s.Close(t.Context()))
	index, err := filepath.Glob(filepath.Join(cfg.DataDir, "jetstream", "CONTROL", "streams", "*", "msgs", "index.db"))
	must(t, err)
	if len(index) != 1 {
		t.Fatalf("indexes: %v", index)
	}
	must(t, os.WriteFile(index[0], []byte("damaged"), 0o600))
	cfg.RescanBlocks = true
	got, err := bucket(r.open(t, cfg)).Get(t.Context(), "k")
	if err != nil || string(got.Value()) != "v" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDebugOpensMonitoringOnLoopbackAlone(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	log, lines := logLines()
	cfg := r.config(t, "n1")
	cfg.Logger, cfg.Debug = log, true
	r.open(t, cfg)
	if text := lines(); !strings.Contains(text, "127.0.0.1:") || !strings.Contains(text, "Starting nats-server") {
		t.Errorf("log: %s", text)
	}
	log, lines = logLines()
	cfg = r.config(t, "n2")
	cfg.Logger = log
	r.open(t, cfg)
	if text := lines(); text != "" {
		t.Errorf("a quiet start logged %s", text)
	}
}

func (r *fixture) inProcess(t *testing.T, s *bus.Server, id keys.Identity) *nats.Conn {
	t.Helper()
	nc, err := s.InProcess(id, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	must(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func wantError(t *testing.T, err error, kind core.Kind, text, next string) {
	t.Helper()
	if core.KindOf(err) != kind {
		t.Fatalf("%v of kind %q, want %q", err, core.KindOf(err), kind)
	}
	var e *core.Error
	if !errors.As(err, &e) || !strings.Contains(e.Text, text) || !strings.Contains(e.Next, next) {
		t.Errorf("text %q, next %q; want %q and %q in them", e.Text, e.Next, text, next)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, bus.New(r.config(t, "n1"), r.auth).Open(ctx), core.KindUnavailable, "not ready in time", "log")
}
