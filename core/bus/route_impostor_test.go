package bus_test

import (
	"crypto/tls"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/keys"
)

// bareServer is a nats-server with the stolen certificate in dir. It opens routes to
// the addresses under the name that it claims.
func (r *fixture) bareServer(t *testing.T, name, dir string, routes ...string) *server.Server {
	t.Helper()
	pool, err := keys.LoadPool(r.file(keys.CACertFile))
	must(t, err)
	pair, err := keys.LoadPair(filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile))
	must(t, err)
	o := &server.Options{ServerName: name, Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true}
	must(t, o.ProcessConfigString("accounts { SYS {}, CONTROL {}, BUS {} }\nsystem_account: SYS\n"))
	o.Cluster = server.ClusterOpts{
		Name: "test", Host: "127.0.0.1", Port: -1, PoolSize: -1,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
			Certificates: []tls.Certificate{*pair},
		},
		TLSTimeout: 5,
	}
	for _, addr := range routes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: addr})
	}
	srv, err := server.NewServer(o)
	must(t, err)
	go srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	return srv
}

// openTwo opens n1 and n2 of a cluster of three.
func (r *fixture) openTwo(t *testing.T, change func(*bus.Config)) (nodes []*bus.Server, routes []string, lines func() string) {
	t.Helper()
	log, lines := logLines()
	routes = freeAddrs(t, 3)
	for i, name := range []string{"n1", "n2"} {
		cfg := r.config(t, name)
		cfg.Logger, cfg.CertCheck = log, time.Millisecond
		cfg.Cluster = r.member(t, routes, i)
		if change != nil {
			change(&cfg)
		}
		nodes = append(nodes, r.open(t, cfg))
	}
	eventually(t, "n1 and n2 to find each other", func() bool { return nodes[0].Routes() == 1 && nodes[1].Routes() == 1 })
	return nodes, routes, lines
}

// TestStolenCertificateUnderAnotherName: a server that shows n3's certificate and
// says that it is another node is refused at every try, and the log names it.
func TestStolenCertificateUnderAnotherName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"impostor", "n2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newFixture(t, core.BusAuthEnforce)
			nodes, routes, lines := r.openTwo(t, nil)
			impostor := r.bareServer(t, name, r.nodeDir(t, "n3"), routes[0])
			claim := "says that it is " + name
			eventually(t, "the server to be refused by name", func() bool {
				return strings.Contains(lines(), claim) && strings.Contains(lines(), "certificate of n3")
			})
			before := strings.Count(lines(), "a server was refused at the route")
			eventually(t, "its next tries to be refused", func() bool {
				return strings.Count(lines(), "a server was refused at the route") > before+1
			})
			eventually(t, "no route to the server", func() bool {
				return impostor.NumRoutes() == 0 && nodes[0].Routes() == 1 && nodes[1].Routes() == 1
			})
		})
	}
}

// TestServerAtAPeersAddressUnderAnotherName: the same where the node opens the route.
func TestServerAtAPeersAddressUnderAnotherName(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	impostor := r.bareServer(t, "impostor", r.nodeDir(t, "n3"))
	eventually(t, "the bare server to listen", func() bool { return impostor.ClusterAddr() != nil })
	nodes, _, lines := r.openTwo(t, func(cfg *bus.Config) {
		cfg.Cluster.Routes = append(cfg.Cluster.Routes[:2:2], impostor.ClusterAddr().String())
	})
	eventually(t, "the server to be refused by name", func() bool { return strings.Contains(lines(), "says that it is impostor") })
	eventually(t, "no route to the server", func() bool {
		return impostor.NumRoutes() == 0 && nodes[0].Routes() == 1 && nodes[1].Routes() == 1
	})
}

// TestRevokedRouteCertificate: a stolen certificate under its own name is as good
// as the node's until it is revoked. Then its open route ends, and no other opens.
func TestRevokedRouteCertificate(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	r.nodeDir(t, "n4")
	must(t, keys.Revoke(filepath.Join(r.nodeDir(t, "n4"), keys.NodeCertFile), r.dir))
	nodes, routes, lines := r.openTwo(t, func(cfg *bus.Config) { cfg.Cluster.CRLFile = r.file(keys.CRLFile) })
	stolen := r.bareServer(t, "n3", r.nodeDir(t, "n3"), routes[0])
	eventually(t, "the stolen certificate to be accepted", func() bool { return nodes[0].Routes() == 2 && nodes[1].Routes() == 2 })

	good, err := os.ReadFile(r.file(keys.CRLFile))
	must(t, err)
	r.replaceCRL(t, []byte("not a list"))
	eventually(t, "the damaged list to be noticed", func() bool { return strings.Contains(lines(), "the last good one stays") })
	r.replaceCRL(t, good)
	must(t, keys.Revoke(filepath.Join(r.nodeDir(t, "n3"), keys.NodeCertFile), r.dir))
	must(t, os.Chtimes(r.file(keys.CRLFile), time.Time{}, time.Now().Add(2*time.Hour)))
	eventually(t, "the open routes to end", func() bool {
		return stolen.NumRoutes() == 0 && nodes[0].Routes() == 1 && nodes[1].Routes() == 1
	})
	eventually(t, "the next try to be refused", func() bool { return strings.Contains(lines(), "certificate of n3 was revoked") })

	r.replaceCRL(t, good) // an older list takes nothing back
	eventually(t, "the older list to be noticed", func() bool { return strings.Contains(lines(), "older than the one in use") })
	if _, err := r.handshakeWith(t, routes[0], r.nodeDir(t, "n3"), tls.VersionTLS13); err == nil {
		t.Error("an older list made a revoked certificate valid again")
	}
	if _, err := r.handshakeWith(t, routes[0], r.nodeDir(t, "n2"), tls.VersionTLS13); err != nil {
		t.Errorf("another node's certificate: %v", err)
	}
}

// TestListOfAnotherCA: once the CA of the list in force has left the bundle, the list keeps a
// node from starting again. That is told while it runs, until a list of the new CA is there.
func TestListOfAnotherCA(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	must(t, keys.WriteEmptyList(r.dir))
	next := t.TempDir()
	must(t, keys.WriteCA(next))
	both, err := os.ReadFile(r.file(keys.CACertFile))
	must(t, err)
	only, err := os.ReadFile(filepath.Join(next, keys.CACertFile))
	must(t, err)
	bundle := filepath.Join(t.TempDir(), "bundle.crt")
	must(t, os.WriteFile(bundle, append(both, only...), 0o600))
	nodes, _, _ := r.openTwo(t, func(cfg *bus.Config) { cfg.Cluster.CRLFile, cfg.Cluster.CAFile = r.file(keys.CRLFile), bundle })
	if f := nodes[0].FileFaults(); len(f) > 0 {
		t.Errorf("with both CAs: %+v", f)
	}
	must(t, keys.Replace(bundle, only))
	must(t, os.Chtimes(bundle, time.Time{}, time.Now().Add(time.Hour)))
	eventually(t, "the list to be a fault", func() bool {
		f := nodes[0].FileFaults()
		return len(f) == 1 && f[0].File == r.file(keys.CRLFile) && strings.Contains(f[0].Reason, "is not signed by the authority") && strings.HasSuffix(f[0].Next, "`unibusd cert crl --ca DIR`")
	})
	must(t, keys.WriteEmptyList(next))
	list, err := os.ReadFile(filepath.Join(next, keys.CRLFile))
	must(t, err)
	r.replaceCRL(t, list)
	eventually(t, "the fault to end", func() bool { return len(nodes[0].FileFaults()) == 0 })
}

func (r *fixture) replaceCRL(t *testing.T, content []byte) {
	t.Helper()
	must(t, keys.Replace(r.file(keys.CRLFile), content))
	must(t, os.Chtimes(r.file(keys.CRLFile), time.Time{}, time.Now().Add(time.Hour)))
}

// TestRevocationsAreReadAtTheStart: a node does not start without the list that it was given.
func TestRevocationsAreReadAtTheStart(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.Cluster = r.member(t, freeAddrs(t, 2), 0)
	cfg.Cluster.CRLFile = r.file("missing.crl")
	if err := bus.New(cfg, r.auth).Open(t.Context()); core.KindOf(err) != core.KindNotFound || !strings.Contains(err.Error(), "missing.crl") {
		t.Errorf("a missing list: %v", err)
	}
}

// TestRouteCertificateWithoutANode is refused with the command that makes a better one.
func TestRouteCertificateWithoutANode(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	nodes, routes, lines := r.openTwo(t, nil)
	dir := t.TempDir()
	must(t, keys.NodeCert(r.dir, "", []string{"127.0.0.1"}, dir))
	r.bareServer(t, "n3", dir, routes[0])
	eventually(t, "the certificate to be refused", func() bool { return strings.Contains(lines(), "unibusd cert node --name") })
	if n := nodes[0].Routes(); n != 1 {
		t.Errorf("n1 has %d routes", n)
	}
	cfg := r.config(t, "n3")
	cfg.Cluster = r.member(t, routes, 2)
	cfg.Cluster.CertFile, cfg.Cluster.KeyFile = filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile)
	if err := bus.New(cfg, r.auth).Open(t.Context()); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "names no node") {
		t.Errorf("a node with such a certificate starts: %v", err)
	}
	cfg.Cluster.CertFile, cfg.Cluster.KeyFile = filepath.Join(r.nodeDir(t, "n2"), keys.NodeCertFile), filepath.Join(r.nodeDir(t, "n2"), keys.NodeKeyFile)
	if err := bus.New(cfg, r.auth).Open(t.Context()); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "the node n2") {
		t.Errorf("a node with another node's certificate starts: %v", err)
	}
}

// TestServerThatIsNoConfiguredNode: with the list of nodes, a certificate for a name outside it is refused.
func TestServerThatIsNoConfiguredNode(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	nodes, routes, lines := r.openTwo(t, func(cfg *bus.Config) {
		cfg.Cluster.CheckNode = func(name string) error {
			if !slices.Contains([]string{"n1", "n2", "n3"}, name) {
				return core.Errorf(core.KindRefused, "%s is no node of this cluster", name)
			}
			return nil
		}
	})
	impostor := r.bareServer(t, "n9", r.nodeDir(t, "n9"), routes[0])
	eventually(t, "the server to be refused by name", func() bool { return strings.Contains(lines(), "n9 is no node of this cluster") })
	if impostor.NumRoutes() != 0 || nodes[0].Routes() != 1 {
		t.Errorf("it has %d routes, and n1 has %d", impostor.NumRoutes(), nodes[0].Routes())
	}
	third := r.bareServer(t, "n3", r.nodeDir(t, "n3"), routes[0])
	eventually(t, "a configured node to be accepted", func() bool { return third.NumRoutes() > 0 })
}

// TestRemovedNodeHasNoRoute: a node with a valid certificate loses its route as soon as
// its name is refused, and gets none again.
func TestRemovedNodeHasNoRoute(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	var removed atomic.Bool
	_, routes, lines := r.openTwo(t, func(cfg *bus.Config) {
		cfg.Cluster.CheckNode = func(name string) error {
			if name == "n3" && removed.Load() {
				return core.Errorf(core.KindRefused, "n3 was removed from the cluster by ana")
			}
			return nil
		}
	})
	third := r.bareServer(t, "n3", r.nodeDir(t, "n3"), routes[0])
	eventually(t, "the node to be accepted", func() bool { return third.NumRoutes() > 0 })
	removed.Store(true)
	eventually(t, "its routes to be closed", func() bool { return third.NumRoutes() == 0 })
	eventually(t, "it to be refused by name", func() bool { return strings.Contains(lines(), "n3 was removed from the cluster by ana") })
	again := r.bareServer(t, "n3", r.nodeDir(t, "n3"), routes[1])
	eventually(t, "it to try again", func() bool { return strings.Count(lines(), "n3 was removed") > 1 })
	if again.NumRoutes() != 0 {
		t.Errorf("it has %d routes again", again.NumRoutes())
	}
}
