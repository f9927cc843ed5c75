package admin_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// Three addresses that take connections and say nothing, as stopped processes
// do: the client gives up within its time, and says whom it asked.
func TestSilentServersAreGivenUpInTime(t *testing.T) {
	t.Parallel()
	var urls []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		urls = append(urls, "nats://"+l.Addr().String())
	}
	const within = 2 * time.Second
	cl := admin.NewClient(admin.ClientConfig{Servers: urls, Identity: nodetest.Identity(t), Connect: within})
	began := time.Now()
	err := cl.Open(t.Context())
	if core.KindOf(err) != core.KindUnavailable {
		t.Errorf("got %v, want it unavailable", err)
	}
	if took := time.Since(began); took > within+time.Second {
		t.Errorf("it took %s, asked for %s", took, within)
	}
}

// TestRefusedCertificateBesideADeadNode: the error of the node that answers is told, and not that
// there are no servers, in whatever order the addresses are.
func TestRefusedCertificateBesideADeadNode(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Config{Nodes: 1, TLS: true})
	other := t.TempDir()
	if err := keys.WriteCA(other); err != nil {
		t.Fatal(err)
	}
	pool, err := keys.LoadPool(filepath.Join(other, keys.CACertFile))
	if err != nil {
		t.Fatal(err)
	}
	dead := fmt.Sprintf("tls://127.0.0.1:%d", nodetest.Ports(t, 1)[0])
	for _, urls := range [][]string{{n.URL(0), dead}, {dead, n.URL(0)}} {
		cl := admin.NewClient(admin.ClientConfig{
			Servers: urls, Identity: n.Admin, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}, Connect: time.Second,
		})
		if err := cl.Open(t.Context()); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%v: %v", urls, err)
		}
	}
}
