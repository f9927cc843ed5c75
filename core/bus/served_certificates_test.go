package bus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
)

// TestServedCertificate: the reported certificate is the one that the listener shows. Files
// that cannot take its place are a fault, and every connection goes on with the last good one.
func TestServedCertificate(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		put   func(t *testing.T, r *fixture)
		fault string // "": it takes the place
	}{
		"a new certificate beside the old key": {func(t *testing.T, r *fixture) { r.put(t, selfSigned(t, "127.0.0.1", -day, 90*day)) }, "do not belong together"},
		"a new key beside the old certificate": {func(t *testing.T, r *fixture) { r.putKey(t) }, "do not belong together"},
		"a pair that ended":                    {func(t *testing.T, r *fixture) { r.putPair(t, "127.0.0.1", -2*day, -day) }, "it ended on"},
		"a pair that has not begun":            {func(t *testing.T, r *fixture) { r.putPair(t, "127.0.0.1", day, 2*day) }, "it begins on"},
		"a pair for another host":              {func(t *testing.T, r *fixture) { r.putPair(t, "192.0.2.9", -day, day) }, "it is not for 127.0.0.1"},
		"no certificate":                       {func(t *testing.T, r *fixture) { must(t, os.Remove(r.file(keys.NodeCertFile))) }, "does not exist"},
		"no key":                               {func(t *testing.T, r *fixture) { must(t, os.Remove(r.file(keys.NodeKeyFile))) }, "does not exist"},
		"no text":                              {func(t *testing.T, r *fixture) { r.put(t, []byte("x")) }, "holds no certificate in PEM form"},
		"a key that others can read":           {func(t *testing.T, r *fixture) { must(t, os.Chmod(r.file(keys.NodeKeyFile), 0o644)) }, "can be read by others"},
		"a good pair":                          {func(t *testing.T, r *fixture) { r.putPair(t, "127.0.0.1", -day, day) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newFixture(t, core.BusAuthEnforce)
			cfg := r.config(t, "n1")
			cfg.CertCheck = time.Millisecond
			s := r.open(t, cfg)
			before := serial(t, r.mustDial(t, s, r.a))
			until := s.Certificates().Clients.Until
			if d := time.Until(until); d < 800*day || s.Certificates().Clients.Fault != "" || len(s.Certificates().Clients.Hosts) == 0 {
				t.Fatalf("at the start: %+v", s.Certificates().Clients)
			}
			c.put(t, r)
			if c.fault == "" {
				eventually(t, "the new certificate", func() bool { return s.Certificates().Clients.Until != until })
				return
			}
			eventually(t, "the fault: "+c.fault, func() bool {
				now := s.Certificates().Clients
				if now.Until != until || now.File != r.file(keys.NodeCertFile) {
					t.Fatalf("%+v", now)
				}
				return strings.Contains(now.Fault, c.fault)
			})
			if serial(t, r.mustDial(t, s, r.b)) != before {
				t.Error("another certificate is shown")
			}
		})
	}
}

// TestRouteServedCertificate: it is the one of the routes, and one for another node is a fault.
func TestRouteServedCertificate(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := r.openRoutedServer(t)
	before := s.Certificates()
	if before.Authority == nil || time.Until(before.Authority.Until) < 3000*24*time.Hour {
		t.Errorf("the authority: %+v", before.Authority)
	}
	dir := r.nodeDir(t, "n1")
	if c := before.Routes; len(before.Authority.CAs) != 1 || c.Signer != before.Authority.CAs[0].ID || c.KeyFile != filepath.Join(dir, keys.NodeKeyFile) {
		t.Errorf("signed by %s with the key %s; in the bundle: %+v", c.Signer, c.KeyFile, before.Authority.CAs)
	}
	for _, f := range []string{keys.NodeCertFile, keys.NodeKeyFile} {
		must(t, os.Remove(filepath.Join(dir, f)))
	}
	must(t, keys.NodeCert(r.dir, "n2", []string{"127.0.0.1"}, dir))
	eventually(t, "the fault", func() bool {
		now := s.Certificates().Routes
		return now.Until.Equal(before.Routes.Until) && strings.Contains(now.Fault, "is for the node n2")
	})
}

// put replaces the certificate and leaves the key.
func (r *fixture) put(t *testing.T, cert []byte) {
	t.Helper()
	must(t, os.WriteFile(r.file(keys.NodeCertFile), cert, 0o600))
}

// putPair replaces certificate and key by a pair that begins and ends so long from now.
func (r *fixture) putPair(t *testing.T, ip string, begin, end time.Duration) {
	t.Helper()
	both := selfSigned(t, ip, begin, end)
	must(t, os.WriteFile(r.file(keys.NodeKeyFile), both, 0o600))
	r.put(t, both)
}

func (r *fixture) putKey(t *testing.T) {
	t.Helper()
	must(t, os.WriteFile(r.file(keys.NodeKeyFile), selfSigned(t, "127.0.0.1", 0, time.Hour), 0o600))
}

// selfSigned is a key and its certificate in PEM form.
func selfSigned(t *testing.T, ip string, begin, end time.Duration) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(begin), NotAfter: time.Now().Add(end), IPAddresses: []net.IP{net.ParseIP(ip)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	must(t, err)
	text, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})...)
}
