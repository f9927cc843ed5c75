package bus_test

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
)

// routed opens a node whose routes are at the address that is returned.
func (r *rig) routed(t *testing.T, routes ...string) (addr string) {
	t.Helper()
	addr = freeAddrs(t, 1)[0]
	cfg := r.config(t, "n1")
	cfg.CertCheck = time.Millisecond
	cfg.Cluster = r.member(t, append([]string{addr}, routes...), 0)
	r.open(t, cfg)
	return addr
}

// shake opens a route with from's certificate, by no newer TLS than version, and
// returns the serial number of the node's.
func (r *rig) shake(t *testing.T, addr string, from *rig, version uint16) (string, error) {
	t.Helper()
	return r.shakeWith(t, addr, from.nodeDir(t, "n2"), version)
}

// shakeWith is shake with the certificate in dir.
func (r *rig) shakeWith(t *testing.T, addr, dir string, version uint16) (string, error) {
	t.Helper()
	pool, err := keys.LoadPool(r.file(keys.CACertFile))
	must(t, err)
	pair, err := keys.LoadPair(filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile))
	must(t, err)
	raw, err := net.Dial("tcp", addr)
	must(t, err)
	defer func() { _ = raw.Close() }()
	must(t, raw.SetDeadline(time.Now().Add(10*time.Second)))
	// In TLS 1.3 the server judges the certificate after the client's handshake: the first read tells.
	c := tls.Client(raw, &tls.Config{
		RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12, MaxVersion: version,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil },
	})
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return "", err
	}
	if _, err = c.Read(make([]byte, 1)); err != nil {
		return "", err
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

func TestRouteNeedsACertificateOfTheCluster(t *testing.T) {
	t.Parallel()
	r, stranger := newRig(t, core.BusAuthEnforce), newRig(t, core.BusAuthEnforce)
	addr := r.routed(t)
	if _, err := r.shake(t, addr, r, tls.VersionTLS13); err != nil {
		t.Errorf("a node of the cluster: %v", err)
	}
	if _, err := r.shake(t, addr, stranger, tls.VersionTLS13); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stranger's certificate: %v", err)
	}
}

// TestRoutesRefuseOldTLS: with the right certificate too.
func TestRoutesRefuseOldTLS(t *testing.T) {
	t.Parallel()
	r := newRig(t, core.BusAuthEnforce)
	if _, err := r.shake(t, r.routed(t), r, tls.VersionTLS12); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("a route by TLS 1.2: %v", err)
	}
}

// TestRenewedRouteCertificate: files that are replaced are shown to the next node
// that opens a route, and to the next one to which a route is opened.
func TestRenewedRouteCertificate(t *testing.T) {
	t.Parallel()
	r := newRig(t, core.BusAuthEnforce)
	peer, shown := r.peerRoute(t)
	addr := r.routed(t, peer)
	first, err := r.shake(t, addr, r, tls.VersionTLS13)
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
		got, err := r.shake(t, addr, r, tls.VersionTLS13)
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

// peerRoute listens where a peer's routes would be, and tells the serial number of
// every certificate that is shown there.
func (r *rig) peerRoute(t *testing.T) (addr string, shown <-chan string) {
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
			_ = c.Close() // it comes again after a second
		}
	}()
	return l.Addr().String(), serials
}
