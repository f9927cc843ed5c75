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

// openRouted opens a node with routes and returns their address.
func (r *fixture) openRouted(t *testing.T, routes ...string) (addr string) {
	t.Helper()
	addr = freeAddrs(t, 1)[0]
	cfg := r.config(t, "n1")
	cfg.CertCheck = time.Millisecond
	cfg.Cluster = r.member(t, append([]string{addr}, routes...), 0)
	r.open(t, cfg)
	return addr
}

// openRoutedServer is openRouted where the server itself is asked.
func (r *fixture) openRoutedServer(t *testing.T) *bus.Server {
	t.Helper()
	cfg := r.config(t, "n1")
	cfg.CertCheck = time.Millisecond
	cfg.Cluster = r.member(t, freeAddrs(t, 1), 0)
	return r.open(t, cfg)
}

// handshake opens a route with from's certificate, by no newer TLS than version, and
// returns the serial number of the node's certificate.
func (r *fixture) handshake(t *testing.T, addr string, from *fixture, version uint16) (string, error) {
	t.Helper()
	return r.handshakeWith(t, addr, from.nodeDir(t, "n2"), version)
}

// handshakeWith is handshake with the certificate in dir.
func (r *fixture) handshakeWith(t *testing.T, addr, dir string, version uint16) (string, error) {
	t.Helper()
	pool, err := keys.LoadPool(r.file(keys.CACertFile))
	must(t, err)
	pair, err := keys.LoadPair(filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile))
	must(t, err)
	raw := dialTCP(t, addr)
	defer func() { _ = raw.Close() }()
	must(t, raw.SetDeadline(time.Now().Add(10*time.Second)))
	// In TLS 1.3 the server checks the certificate after the client's handshake: the first read fails.
	c := tls.Client(raw, &tls.Config{
		RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12, MaxVersion: version,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil },
	})
	if err := c.HandshakeContext(t.Context()); err != nil {
		return "", err
	}
	if _, err = c.Read(make([]byte, 1)); err != nil {
		return "", err
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

func TestRouteNeedsACertificateOfTheCluster(t *testing.T) {
	t.Parallel()
	r, stranger := newFixture(t, core.BusAuthEnforce), newFixture(t, core.BusAuthEnforce)
	addr := r.openRouted(t)
	if _, err := r.handshake(t, addr, r, tls.VersionTLS13); err != nil {
		t.Errorf("a node of the cluster: %v", err)
	}
	if _, err := r.handshake(t, addr, stranger, tls.VersionTLS13); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stranger's certificate: %v", err)
	}
}

// TestRoutesRefuseOldTLS: with the right certificate too.
func TestRoutesRefuseOldTLS(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	if _, err := r.handshake(t, r.openRouted(t), r, tls.VersionTLS12); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("a route by TLS 1.2: %v", err)
	}
}

// TestRenewedRouteCertificate: a replaced certificate is shown on the next route, both
// where a peer opens it and where this node does.
func TestRenewedRouteCertificate(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	peer, shown := r.listenAsPeer(t)
	addr := r.openRouted(t, peer)
	first, err := r.handshake(t, addr, r, tls.VersionTLS13)
	must(t, err)
	if got := <-shown; got != first {
		t.Fatalf("a route is opened with the certificate %s and answered with %s", got, first)
	}
	cert := filepath.Join(r.nodeDir(t, "n1"), keys.NodeCertFile)
	must(t, os.Remove(cert))
	must(t, os.Remove(filepath.Join(r.nodeDir(t, "n1"), keys.NodeKeyFile)))
	must(t, keys.NodeCert(r.dir, "n1", []string{"127.0.0.1"}, r.nodeDir(t, "n1")))
	must(t, os.Chtimes(cert, time.Time{}, time.Now().Add(time.Hour))) // whatever the clock's grain
	eventually(t, "the renewed certificate where a route is answered", func() bool {
		got, err := r.handshake(t, addr, r, tls.VersionTLS13)
		must(t, err)
		return got != first
	})
	eventually(t, "the renewed certificate where a route is opened", func() bool {
		select {
		case got := <-shown:
			return got != first
		default:
			return false
		}
	})
}

// listenAsPeer listens for routes like a peer, and sends the serial number of every
// certificate that is shown there.
func (r *fixture) listenAsPeer(t *testing.T) (addr string, shown <-chan string) {
	t.Helper()
	pair, err := keys.LoadPair(filepath.Join(r.nodeDir(t, "n2"), keys.NodeCertFile), filepath.Join(r.nodeDir(t, "n2"), keys.NodeKeyFile))
	must(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{*pair}, MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
	})
	must(t, err)
	serials, done := make(chan string), make(chan struct{})
	t.Cleanup(func() {
		close(done)
		_ = l.Close()
	})
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return // closed
			}
			c := raw.(*tls.Conn)
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			if c.Handshake() == nil {
				select {
				case serials <- c.ConnectionState().PeerCertificates[0].SerialNumber.String():
				case <-done:
				}
			}
			_ = c.Close() // nats-server connects again after a second
		}
	}()
	return l.Addr().String(), serials
}
