package admin_test

import (
	"context"
	"crypto/tls"
	"errors"
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

// TestRefusedCertificateIsNamed: the certificate of a node that was made for another host
// is told as that, with the host, and not as one of an unknown authority.
func TestRefusedCertificateIsNamed(t *testing.T) {
	t.Parallel()
	ca, dir := t.TempDir(), t.TempDir()
	if err := errors.Join(keys.WriteCA(ca), keys.NodeCert(ca, "n2", []string{"n2.example.org"}, dir)); err != nil {
		t.Fatal(err)
	}
	pair, err := keys.LoadPair(filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := keys.LoadPool(filepath.Join(ca, keys.CACertFile))
	if err != nil {
		t.Fatal(err)
	}
	cl := admin.NewClient(admin.ClientConfig{
		Servers: []string{"tls://" + serveTLS(t, pair)}, Identity: nodetest.Identity(t), Connect: 5 * time.Second,
		TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}, CA: "ca.crt",
	})
	e := core.AsError(cl.Open(t.Context()))
	if e == nil || e.Kind != core.KindRefused || !strings.Contains(e.Text, "the certificate of the node n2") ||
		!strings.Contains(e.Text, "is not for 127.0.0.1, but for n2.example.org") || strings.Contains(e.Next, "--tls-ca") {
		t.Errorf("%+v", e)
	}
}

// serveTLS is the beginning of a nats-server with a certificate.
func serveTLS(t *testing.T, shown *tls.Certificate) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("INFO {\"server_id\":\"X\",\"version\":\"2.15.3\",\"proto\":1,\"tls_required\":true,\"auth_required\":true,\"nonce\":\"c29tZS1ub25jZQ\",\"max_payload\":1048576}\r\n"))
			_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*shown}, MinVersion: tls.VersionTLS13}).Handshake()
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// TestClientOpensOnceANodeIsThere: until then every request fails at once and says why, and
// each server has its own reason.
func TestClientOpensOnceANodeIsThere(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Config{Nodes: 1})
	ports := nodetest.Ports(t, 1)
	dead := fmt.Sprintf("nats://127.0.0.1:%d", ports[0])
	cl := admin.NewClient(admin.ClientConfig{Servers: []string{dead, "nats://no-such-host.invalid:4222"}, Identity: n.Admin})
	t.Cleanup(cl.Close)
	if _, err := cl.Status(t.Context()); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("before it was opened: %v", err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan bool)
	go func() { ended <- cl.OpenUntilDone(ctx, func(err error) error { return err }) }()
	nodetest.Wait(t, 20*time.Second, func() error {
		got := cl.Attempts()
		if len(got) != 2 || got[0].Why != "connection refused" || got[1].Why != "the name cannot be resolved" || got[1].Next == "" || got[0].Since.IsZero() {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	_, err := cl.Status(t.Context())
	if core.KindOf(err) != core.KindUnavailable || !strings.Contains(err.Error(), "not connected yet: "+dead+": connection refused") || core.AsError(err).Next == "" {
		t.Errorf("while no server answers: %v", err)
	}
	end()
	if <-ended {
		t.Error("it has opened something")
	}
	cl = admin.NewClient(admin.ClientConfig{Servers: []string{dead, n.URL(0)}, Identity: n.Admin})
	t.Cleanup(cl.Close)
	if !cl.OpenUntilDone(t.Context(), func(err error) error { return err }) || len(cl.Attempts()) != 0 {
		t.Fatal("it did not open")
	}
	if _, err := cl.Status(t.Context()); err != nil {
		t.Error(err)
	}
}
