package bus_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/keys"
)

// rotation is a cluster whose route CA is replaced while it runs.
type rotation struct {
	old, next *fixture // the authorities, and the certificates of each
	dir       string
}

func newRotation(t *testing.T) *rotation {
	t.Helper()
	return &rotation{old: newFixture(t, core.BusAuthEnforce), next: newFixture(t, core.BusAuthEnforce), dir: t.TempDir()}
}

// put replaces a file of a node, as a copy does.
func (r *rotation) put(t *testing.T, node, name string, content []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(r.dir, node), 0o700))
	must(t, keys.Replace(filepath.Join(r.dir, node, name), content))
}

// trust writes the bundle of a node.
func (r *rotation) trust(t *testing.T, node string, authorities ...*fixture) {
	t.Helper()
	var bundle []byte
	for _, f := range authorities {
		text, err := os.ReadFile(f.file(keys.CACertFile))
		must(t, err)
		bundle = append(bundle, text...)
	}
	r.put(t, node, keys.CACertFile, bundle)
}

// renew gives a node a leaf of an authority.
func (r *rotation) renew(t *testing.T, node string, from *fixture) {
	t.Helper()
	for _, name := range []string{keys.NodeKeyFile, keys.NodeCertFile} {
		text, err := os.ReadFile(filepath.Join(from.nodeDir(t, node), name))
		must(t, err)
		r.put(t, node, name, text)
	}
}

// config is a node with files of its own below the rotation's directory.
func (r *rotation) config(t *testing.T, routes []string, i int) bus.Config {
	t.Helper()
	name := []string{"n1", "n2", "n3"}[i]
	cfg := r.old.config(t, name)
	cfg.CertCheck = time.Millisecond
	dir := filepath.Join(r.dir, name)
	cfg.Cluster = &bus.Cluster{
		Name: "test", Listen: routes[i], Routes: routes,
		CertFile: filepath.Join(dir, keys.NodeCertFile), KeyFile: filepath.Join(dir, keys.NodeKeyFile), CAFile: filepath.Join(dir, keys.CACertFile),
	}
	return cfg
}

// TestRouteCAIsReplacedUnderWay: both CAs in the bundles, then new leaves, then the old CA
// out. The nodes run on. A node with a leaf of the new CA joins, and one of the old CA, whose
// route was open, is put out.
func TestRouteCAIsReplacedUnderWay(t *testing.T) {
	t.Parallel()
	r := newRotation(t)
	routes := freeAddrs(t, 3)
	log, lines := logLines()
	open := func(i int) *bus.Server {
		cfg := r.config(t, routes, i)
		cfg.Logger = log
		return r.old.open(t, cfg)
	}
	for _, node := range []string{"n1", "n2"} {
		r.trust(t, node, r.old)
		r.renew(t, node, r.old)
	}
	n1, n2 := open(0), open(1)
	routesAre := func(want int, nodes ...*bus.Server) func() bool {
		return func() bool {
			for _, n := range nodes {
				if n.Routes() != want {
					return false
				}
			}
			return true
		}
	}
	eventually(t, "the first route", routesAre(1, n1, n2))
	left := r.old.bareServer(t, "n4", r.old.nodeDir(t, "n4"), routes[0], routes[1]) // its leaf is never renewed
	eventually(t, "the routes of the server that keeps its leaf", routesAre(2, n1, n2))

	for _, node := range []string{"n1", "n2", "n3"} {
		r.trust(t, node, r.old, r.next)
	}
	r.renew(t, "n3", r.next)
	n3 := open(2)
	eventually(t, "a node with a leaf of the new CA to join", func() bool {
		return routesAre(3, n1, n2)() && routesAre(2, n3)()
	})
	for _, node := range []string{"n1", "n2"} {
		r.renew(t, node, r.next)
	}
	eventually(t, "the new leaf at the listener", func() bool {
		_, err := r.next.handshakeWith(t, routes[0], r.next.nodeDir(t, "n2"), tls.VersionTLS13)
		return err == nil
	})
	for _, node := range []string{"n1", "n2", "n3"} {
		r.trust(t, node, r.next)
	}
	eventually(t, "the old CA's certificates to be refused", func() bool {
		_, err := r.next.handshakeWith(t, routes[0], r.old.nodeDir(t, "n2"), tls.VersionTLS13)
		return err != nil
	})
	eventually(t, "routes with new leaves alone", func() bool {
		return routesAre(2, n1, n2, n3)() && left.NumRoutes() == 0
	})
	// A pair is replaced file by file, and a check between the two rightly says so.
	if strings.Contains(lines(), "CAs cannot be used") {
		t.Errorf("the log: %s", lines())
	}
}

// TestDamagedBundleKeepsTheLastOne: it is logged once, and told until it is mended.
func TestDamagedBundleKeepsTheLastOne(t *testing.T) {
	t.Parallel()
	r := newRotation(t)
	routes := freeAddrs(t, 3)
	log, lines := logLines()
	r.trust(t, "n1", r.old)
	r.renew(t, "n1", r.old)
	cfg := r.config(t, routes, 0)
	cfg.Logger = log
	n1 := r.old.open(t, cfg)
	if got := n1.FileFaults(); got != nil {
		t.Fatalf("faults at the start: %+v", got)
	}
	good, err := os.ReadFile(cfg.Cluster.CAFile)
	must(t, err)
	r.put(t, "n1", keys.CACertFile, good[:len(good)-40])
	eventually(t, "the damaged bundle to be told", func() bool { return len(n1.FileFaults()) == 1 })
	first := n1.FileFaults()[0]
	if first.File != cfg.Cluster.CAFile || !strings.Contains(first.Reason, "damaged") {
		t.Errorf("%+v", first)
	}
	for range 20 {
		if _, err := r.old.handshake(t, routes[0], r.old, tls.VersionTLS13); err != nil {
			t.Fatalf("the last good bundle is not in use: %v", err)
		}
	}
	if n := strings.Count(lines(), "the last good one stays in use"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	if got := n1.FileFaults()[0]; !got.Since.Equal(first.Since) {
		t.Errorf("the fault begins anew: %+v, then %+v", first, got)
	}
	must(t, os.Remove(cfg.Cluster.CAFile))
	eventually(t, "the missing bundle to be told", func() bool { return strings.Contains(n1.FileFaults()[0].Reason, "does not exist") })
	r.put(t, "n1", keys.CACertFile, good)
	eventually(t, "the fault to end", func() bool { return len(n1.FileFaults()) == 0 })
}

// TestLeafBeforeItsAuthority: a new leaf whose CA the node's own bundle lacks is not shown,
// because the peers would refuse it.
func TestLeafBeforeItsAuthority(t *testing.T) {
	t.Parallel()
	r := newRotation(t)
	routes := freeAddrs(t, 3)
	log, lines := logLines()
	r.trust(t, "n1", r.old)
	r.renew(t, "n1", r.old)
	cfg := r.config(t, routes, 0)
	cfg.Logger = log
	r.old.open(t, cfg)
	r.renew(t, "n1", r.next)
	eventually(t, "the early leaf to be noticed", func() bool {
		if _, err := r.old.handshake(t, routes[0], r.old, tls.VersionTLS13); err != nil {
			t.Fatalf("the old leaf is not shown any more: %v", err)
		}
		return strings.Contains(lines(), "no CA in --route-tls-ca has signed")
	})
	r.trust(t, "n1", r.old, r.next)
	eventually(t, "the new leaf, once its CA is there", func() bool {
		_, err := r.next.handshakeWith(t, routes[0], r.next.nodeDir(t, "n2"), tls.VersionTLS13)
		return err == nil
	})
	other := r.config(t, routes, 1)
	r.trust(t, "n2", r.old)
	r.renew(t, "n2", r.next)
	if err := bus.New(other, r.old.auth).Open(t.Context()); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "--route-tls-ca") {
		t.Errorf("a node with such a leaf starts: %v", err)
	}
}
