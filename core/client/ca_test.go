package client

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestCAIsReadAgain: the client's file of CAs is replaced while it runs, and counts at its next
// connection. A damaged file leaves the last good one in use.
func TestCAIsReadAgain(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Config{Nodes: 1, TLS: true, CertCheck: time.Millisecond})
	n.WaitServing(core.BackendSQLite, 0)
	ann := newTestUser(t, n, core.RoleMember)
	old := must[[]byte](t)(os.ReadFile(filepath.Join(n.CA, keys.CACertFile)))
	ann.cfg.CA = filepath.Join(t.TempDir(), keys.CACertFile)
	ok(t, os.WriteFile(ann.cfg.CA, old, 0o600))
	client := ann.open()
	events := eventsOf(t, client)

	next := t.TempDir()
	ok(t, keys.WriteCA(next))
	ok(t, keys.NodeCert(next, "", []string{"127.0.0.1"}, next))
	second := must[[]byte](t)(os.ReadFile(filepath.Join(next, keys.CACertFile)))
	ok(t, keys.Replace(ann.cfg.CA, slices.Concat(old, second)))
	for from, to := range map[string]string{keys.NodeKeyFile: n.Configs[0].TLSKey, keys.NodeCertFile: n.Configs[0].TLSCert} {
		ok(t, keys.Replace(to, must[[]byte](t)(os.ReadFile(filepath.Join(next, from)))))
	}
	again := func() {
		t.Helper()
		ok(t, client.nc.ForceReconnect())
		awaitEvent(t, events, func(Connected) bool { return true })
	}
	again()
	state, err := client.nc.TLSConnectionState()
	ok(t, err)
	if pair := must[*tls.Certificate](t)(keys.LoadPair(n.Configs[0].TLSCert, n.Configs[0].TLSKey)); !state.PeerCertificates[0].Equal(pair.Leaf) {
		t.Error("the node does not show its new certificate")
	}
	ok(t, keys.Replace(ann.cfg.CA, second[:len(second)-30]))
	again()
	ok(t, keys.Replace(ann.cfg.CA, second))
	again()
}

// TestRefusedCertificateIsTold: of several nodes one shows a certificate of another CA, and the
// others are not there. The error says so, however the client begins.
func TestRefusedCertificateIsTold(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Config{Nodes: 1, TLS: true})
	n.WaitServing(core.BackendSQLite, 0)
	ann := newTestUser(t, n, core.RoleMember)
	other := t.TempDir()
	ok(t, keys.WriteCA(other))
	ann.cfg.CA = filepath.Join(other, keys.CACertFile)
	ann.cfg.Connect = 3 * time.Second
	for _, port := range nodetest.Ports(t, 3) {
		ann.cfg.Servers = append(ann.cfg.Servers, "tls://127.0.0.1:"+strconv.Itoa(port))
	}
	err := New(ann.cfg).Open(ctx(t))
	want(t, "opening", err, core.KindRefused, nil)
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the error is: %v", err)
	}
}

// authority is a CA that replaces another one in the files of a cluster.
type authority struct{ dir string }

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{t.TempDir()}
	ok(t, keys.WriteCA(a.dir))
	return a
}

// issue replaces a certificate and its key by new ones of the authority, for the node name or, with "", for clients.
func (a authority) issue(t *testing.T, name, certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	ok(t, keys.NodeCert(a.dir, name, []string{"127.0.0.1"}, dir))
	ok(t, keys.Replace(keyFile, must[[]byte](t)(os.ReadFile(filepath.Join(dir, keys.NodeKeyFile)))))
	ok(t, keys.Replace(certFile, must[[]byte](t)(os.ReadFile(filepath.Join(dir, keys.NodeCertFile)))))
}

// bundle replaces a file by the certificates of authorities.
func bundle(t *testing.T, file string, authorities ...authority) {
	t.Helper()
	var text []byte
	for _, a := range authorities {
		text = append(text, must[[]byte](t)(os.ReadFile(filepath.Join(a.dir, keys.CACertFile)))...)
	}
	ok(t, keys.Replace(file, text))
}

// TestCAsAreReplacedWithoutLosingAClient plays docs/operations/certificates.md on three nodes,
// for the CA of the bus and for the CA of the routes: both CAs everywhere, then new
// certificates, then the old CAs out. The session of a client goes on, and afterwards
// everything that was made by the old CAs is worth nothing.
func TestCAsAreReplacedWithoutLosingAClient(t *testing.T) {
	oldBus, oldRoute, newBus, newRoute := newAuthority(t), newAuthority(t), newAuthority(t), newAuthority(t)
	var routeCAs []string
	n := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, TLS: true, CertCheck: 20 * time.Millisecond, Before: func(c *nodetest.Cluster) {
		for i := range c.Configs {
			cfg := &c.Configs[i]
			oldBus.issue(t, "", cfg.TLSCert, cfg.TLSKey)
			dir := t.TempDir()
			cfg.RouteTLSCert, cfg.RouteTLSKey, cfg.RouteTLSCA = filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"), filepath.Join(dir, "ca.crt")
			oldRoute.issue(t, cfg.Name, cfg.RouteTLSCert, cfg.RouteTLSKey)
			bundle(t, cfg.RouteTLSCA, oldRoute)
			routeCAs = append(routeCAs, cfg.RouteTLSCA)
		}
		bundle(t, filepath.Join(c.CA, keys.CACertFile), oldBus)
	}})
	n.WaitServing(core.BackendKV, 0, 1, 2)
	ann := newTestUser(t, n, core.RoleMember)
	ann.cfg.CA = filepath.Join(t.TempDir(), "ca.crt")
	bundle(t, ann.cfg.CA, oldBus)
	client := ann.open()
	room := must[*Room](t)(client.CreateRoom(ctx(t), NewRoom{}))
	events := eventsOf(t, client)
	talk := func(step string) {
		t.Helper()
		ok(t, room.Send(ctx(t), []byte(step)))
		ok(t, client.Flush(ctx(t)))
	}

	for _, file := range append([]string{ann.cfg.CA, filepath.Join(n.CA, keys.CACertFile)}, routeCAs...) {
		next := map[bool][]authority{true: {oldRoute, newRoute}, false: {oldBus, newBus}}[slices.Contains(routeCAs, file)]
		bundle(t, file, next...)
	}
	talk("both")
	for i := range n.Configs {
		cfg := n.Configs[i]
		newBus.issue(t, "", cfg.TLSCert, cfg.TLSKey)
		newRoute.issue(t, cfg.Name, cfg.RouteTLSCert, cfg.RouteTLSKey)
	}
	talk("new certificates")
	for _, file := range routeCAs {
		bundle(t, file, newRoute)
	}
	bundle(t, ann.cfg.CA, newBus)
	bundle(t, filepath.Join(n.CA, keys.CACertFile), newBus)
	for i := range n.Configs {
		nodetest.Wait(t, wait, func() error { return routesAreOf(newRoute, n.Configs[i].ClusterListen) })
	}
	nodetest.Wait(t, wait, func() error { return nodetest.CheckHealthy(n.Client(0, n.Admin)) })
	talk("the old ones out")
	for len(events) > 0 {
		if e, lost := (<-events).(Disconnected); lost {
			t.Errorf("the client lost its session: %v", e.Err)
		}
	}
	ok(t, client.nc.ForceReconnect())
	awaitEvent(t, events, func(Connected) bool { return true })
	talk("again")
	ann.cfg.CA, ann.cfg.Dir, ann.cfg.Connect = filepath.Join(oldBus.dir, keys.CACertFile), t.TempDir(), 3*time.Second
	want(t, "a client that trusts the old CA", New(ann.cfg).Open(ctx(t)), core.KindRefused, nil)
}

// routesAreOf is nil once the node there shows a route certificate of the authority.
func routesAreOf(a authority, addr string) error {
	pool, err := keys.LoadPool(filepath.Join(a.dir, keys.CACertFile))
	if err != nil {
		return err
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13})
	if err != nil {
		return err
	}
	return conn.Close()
}
