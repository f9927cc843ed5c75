package bus_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestRoutesAreOpenedToGivenAddressesAlone: certificates are valid for the hosts that
// --routes names, and for no address that a connection comes from.
func TestRoutesAreOpenedToGivenAddressesAlone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("not with -short")
	}
	r := newFixture(t, core.BusAuthEnforce)
	log, lines := logLines()
	var nodes []*bus.Server
	var routes []string
	for i, addr := range freeAddrs(t, 3) {
		_, port, _ := net.SplitHostPort(addr)
		routes = append(routes, fmt.Sprintf("127.0.1.%d:%s", i+1, port))
	}
	for i := range routes {
		host, port, _ := net.SplitHostPort(routes[i])
		dir := r.file(fmt.Sprintf("named-n%d", i+1))
		must(t, os.Mkdir(dir, 0o700))
		must(t, keys.NodeCert(r.dir, fmt.Sprintf("n%d", i+1), []string{host}, dir))
		cfg := r.config(t, fmt.Sprintf("n%d", i+1))
		cfg.Logger = log
		cfg.JetStream, cfg.MaxStore = true, 64<<20
		cfg.Cluster = r.member(t, routes, i)
		if i == 2 {
			cfg.Cluster.Routes = []string{routes[0], routes[2]} // n2 learns of n3 from n1 before it tries its own route again
		}
		cfg.Cluster.Listen = "0.0.0.0:" + port // peers see the address that a connection comes from: 127.0.0.1
		cfg.Cluster.CertFile, cfg.Cluster.KeyFile = filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile)
		nodes = append(nodes, r.open(t, cfg))
	}
	eventually(t, "a meta leader that all three know", func() bool {
		leader := nodes[0].MetaLeader()
		return leader != "" && nodes[1].MetaLeader() == leader && nodes[2].MetaLeader() == leader && nodes[0].Healthz() == nil
	})
	for i, n := range nodes {
		for _, p := range n.ProbeRoutes(t.Context()) {
			if want := fmt.Sprintf("n%c", p.Addr[len("127.0.1.")]); p.Node != want || p.Fault != "" && (want != fmt.Sprintf("n%d", i+1) || p.Fault != core.FaultRouteToItself) {
				t.Errorf("n%d finds %+v at %s", i+1, p, p.Addr)
			}
		}
	}
	if text := lines(); strings.Contains(text, "handshake error") {
		t.Errorf("%d failed handshakes:\n%s", strings.Count(text, "handshake error"), text)
	}
}

// listenAs is a listener that handles each connection with a function.
func listenAs(t *testing.T, handle func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			go handle(c)
		}
	}()
	return l.Addr().String()
}

// TestProbeTellsTheCause: every way in which a route cannot be opened has its name.
func TestProbeTellsTheCause(t *testing.T) {
	t.Parallel()
	r, stranger := newFixture(t, core.BusAuthEnforce), newFixture(t, core.BusAuthEnforce)
	peer := func(certs string, as *fixture) string {
		addr := freeAddrs(t, 1)[0]
		cfg := as.config(t, "n2")
		cfg.Cluster = as.member(t, []string{addr}, 0)
		cfg.Cluster.CertFile, cfg.Cluster.KeyFile = filepath.Join(certs, keys.NodeCertFile), filepath.Join(certs, keys.NodeKeyFile)
		as.open(t, cfg)
		return addr
	}
	expired := time.Now().Add(-time.Hour)
	held := make(chan net.Conn, 100)
	type want struct {
		node   string
		fault  core.RouteFault
		detail string
		hosts  string
	}
	cases := map[string]want{
		peer(r.nodeDir(t, "n2"), r):                                                                       {node: "n2"},
		peer(nodetest.RouteCert(t, r.dir, "n2", "127.0.0.1", expired), r):                                 {"n2", core.FaultCertificate, "it expired on " + expired.UTC().Format("2006-01-02"), "127.0.0.1"},
		peer(nodetest.RouteCert(t, r.dir, "n2", "127.0.0.1", expired.Add(72*time.Hour)), r):               {"n2", core.FaultCertificate, "it is valid from ", "127.0.0.1"},
		peer(stranger.nodeDir(t, "n2"), stranger):                                                         {"n2", core.FaultCertificate, "the authority in --route-tls-ca did not sign it", ""},
		peer(nodetest.RouteCert(t, r.dir, "n2", "127.0.0.9", time.Now().Add(time.Hour)), r):               {"n2", core.FaultCertificate, "it is for 127.0.0.9 and not for 127.0.0.1", "127.0.0.9,127.0.0.1"},
		peer(nodetest.RouteCert(t, stranger.dir, "n2", "127.0.0.9", time.Now().Add(time.Hour)), stranger): {"n2", core.FaultCertificate, "did not sign it", ""},
		freeAddrs(t, 1)[0]:                              {"", core.FaultRefused, "connection refused", ""},
		"no-such-host.invalid:6222":                     {"", core.FaultUnresolved, "", ""},
		listenAs(t, func(c net.Conn) { held <- c }):     {"", core.FaultHung, "no answer within 3s", ""},
		listenAs(t, func(c net.Conn) { _ = c.Close() }): {"", core.FaultClosed, "", ""},
		listenAs(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }): {"", core.FaultForeign, "not TLS", ""},
	}
	own := freeAddrs(t, 1)[0]
	cases[own] = want{"n1", core.FaultRouteToItself, "", ""}
	cfg := r.config(t, "n1")
	cfg.Cluster = r.member(t, []string{own}, 0)
	for addr := range cases {
		cfg.Cluster.Routes = append(cfg.Cluster.Routes, addr)
	}
	s := r.open(t, cfg)
	seen := 0
	for _, p := range s.ProbeRoutes(t.Context()) {
		if w := cases[p.Addr]; p.Node != w.node || p.Fault != w.fault || p.Hosts != w.hosts || !strings.Contains(p.Detail, w.detail) {
			t.Errorf("%s: got %+v, want %+v", p.Addr, p, w)
		}
		seen++
	}
	if seen != len(cases)+1 { // the own address is there twice
		t.Errorf("%d results for %d addresses", seen, len(cases)+1)
	}
}

// TestProbeTellsThatTheOwnCertificateIsRefused: the other end checks it after the handshake.
func TestProbeTellsThatTheOwnCertificateIsRefused(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	addr := r.openRouted(t)
	cfg := r.config(t, "n2")
	cfg.Cluster = r.member(t, []string{freeAddrs(t, 1)[0], addr}, 0)
	dir := nodetest.RouteCert(t, r.dir, "n2", "127.0.0.1", time.Now().Add(-time.Minute))
	cfg.Cluster.CertFile, cfg.Cluster.KeyFile = filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile)
	s := r.open(t, cfg)
	p := s.ProbeRoutes(t.Context())[1]
	if p.Node != "n1" || p.Fault != core.FaultOwnCertificate || !strings.Contains(p.Detail, "expired") {
		t.Errorf("got %+v", p)
	}
}

// TestProbeEndsWithItsContext: a node that stops does not wait for a peer that hangs.
func TestProbeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	accepted := make(chan net.Conn, 10)
	cfg := r.config(t, "n1")
	cfg.Cluster = r.member(t, []string{freeAddrs(t, 1)[0], listenAs(t, func(c net.Conn) { accepted <- c })}, 0)
	s := r.open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-accepted
		cancel()
	}()
	if p := s.ProbeRoutes(ctx)[1]; p.Fault == "" {
		t.Errorf("got %+v", p)
	}
}
