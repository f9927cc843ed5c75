package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core/nodetest"
)

// signedCert is a certificate with its key, written to files.
type signedCert struct {
	cert, key string
	parsed    *x509.Certificate
	private   *ecdsa.PrivateKey
}

// makeCert signs a certificate of n1 by ca, or by itself with nil, after change has changed it.
func makeCert(t *testing.T, ca *signedCert, change func(*x509.Certificate)) signedCert {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "made by a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"n1.example.org"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, URIs: []*url.URL{{Scheme: "unibus", Host: "node", Path: "/n1"}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ca == nil {
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage, tmpl.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
		tmpl.DNSNames, tmpl.IPAddresses, tmpl.URIs = nil, nil, nil
	}
	change(tmpl)
	parent, signer := tmpl, private
	if ca != nil {
		parent, signer = ca.parsed, ca.private
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, private.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out := signedCert{filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"), parsed, private}
	writePEM(t, out.cert, "CERTIFICATE", der)
	writePEM(t, out.key, "PRIVATE KEY", keyDER)
	return out
}

func writePEM(t *testing.T, file, kind string, blocks ...[]byte) {
	t.Helper()
	var text []byte
	for _, der := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCheckNamesWhatIsWrongWithACertificate: a configuration whose certificate all others refuse is not fine.
func TestCheckNamesWhatIsWrongWithACertificate(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	same := func(*x509.Certificate) {}
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}
	future := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }
	forClients := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	forServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	noHost := func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }
	ca, other, oldCA := makeCert(t, nil, same), makeCert(t, nil, same), makeCert(t, nil, expired)
	busCA := makeCert(t, nil, func(c *x509.Certificate) { c.Subject.CommonName = "unibus CA" })
	between := makeCert(t, &busCA, func(c *x509.Certificate) {
		c.Subject.CommonName = "an intermediate"
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
		c.DNSNames, c.IPAddresses, c.URIs = nil, nil, nil
	})
	alone, whole, bus := makeCert(t, &between, same), makeCert(t, &between, same), makeCert(t, &busCA, same)
	writePEM(t, whole.cert, "CERTIFICATE", whole.parsed.Raw, between.parsed.Raw)
	good := makeCert(t, &ca, same)
	chained := makeCert(t, &ca, same)
	writePEM(t, chained.cert, "CERTIFICATE", chained.parsed.Raw, other.parsed.Raw)
	mixed := good
	mixed.key = makeCert(t, &ca, same).key
	for name, c := range map[string]struct {
		bus, route signedCert
		routeCA    signedCert
		want       []string // in the error; none: a warning
		warning    string
	}{
		"good":                   {bus, good, ca, nil, ""},
		"with its intermediate":  {whole, good, ca, nil, ""},
		"no intermediate":        {alone, good, ca, nil, "comes without the one of an intermediate, which signed it: clients that know only the root above that refuse it"},
		"one CA for both":        {makeCert(t, &ca, same), good, ca, nil, "of the bus is signed by the CA of the routes"},
		"one certificate":        {good, good, ca, nil, "The bus and the routes have one certificate"},
		"exchanged":              {good, bus, ca, []string{"no CA in --route-tls-ca has signed", "it has signed " + good.cert, "may be exchanged"}, ""},
		"expired":                {makeCert(t, &ca, expired), good, ca, []string{"the certificate ", "ended at", "clients refuse it", "cert node --name n1 --host n1.example.org,127.0.0.1"}, ""},
		"not yet valid":          {makeCert(t, &ca, future), good, ca, []string{"is not valid before", "check the clock"}, ""},
		"for clients":            {makeCert(t, &ca, forClients), good, ca, []string{"was not made for servers"}, ""},
		"no host":                {makeCert(t, &ca, noHost), good, ca, []string{"names no host"}, ""},
		"another key":            {mixed, good, ca, []string{"do not belong together", "cert node --name n1 --host n1.example.org,127.0.0.1"}, ""},
		"another chain":          {chained, good, ca, []string{"none of the authorities in", "has signed"}, ""},
		"route expired":          {good, makeCert(t, &ca, expired), ca, []string{"the route certificate", "ended at", "its peers refuse it"}, ""},
		"route not yet valid":    {good, makeCert(t, &ca, future), ca, []string{"the route certificate", "is not valid before"}, ""},
		"route for servers":      {good, makeCert(t, &ca, forServers), ca, []string{"was not made for clients (clientAuth)"}, ""},
		"route of another CA":    {good, makeCert(t, &other, same), ca, []string{"no CA in --route-tls-ca has signed"}, ""},
		"route of an expired CA": {good, makeCert(t, &oldCA, same), oldCA, []string{"the authority made by a test", "the peers refuse what it signed"}, ""},
		"route of another node":  {good, makeCert(t, &ca, func(c *x509.Certificate) { c.URIs[0].Path = "/n2" }), ca, []string{"is for the node n2, and this node is n1"}, ""},
		"of another node":        {makeCert(t, &busCA, func(c *x509.Certificate) { c.URIs[0].Path = "/n2" }), good, ca, nil, "is for the node n2, and this node is n1"},
		"of another host":        {makeCert(t, &busCA, func(c *x509.Certificate) { c.IPAddresses = nil }), good, ca, nil, "is not for 127.0.0.1, the host of --listen"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(program(t, "unibusd"), "serve", "--check", "--name", "n1", "--data", filepath.Join(t.TempDir(), "data"),
				"--cluster-name", "c", "--listen", "127.0.0.1:14222", "--cluster-listen", "127.0.0.1:16222", "--routes", "127.0.0.1:16222,127.0.0.1:16223",
				"--tls-cert", c.bus.cert, "--tls-key", c.bus.key, "--route-tls-cert", c.route.cert, "--route-tls-key", c.route.key, "--route-tls-ca", c.routeCA.cert)
			out, err := cmd.CombinedOutput()
			text := string(out)
			switch {
			case (err != nil) != (c.want != nil):
				t.Errorf("%v: %s", err, text)
			case c.want != nil && strings.Contains(text, "can start"):
				t.Errorf("it says fine: %s", text)
			case c.warning == "" && strings.Contains(text, "ertificate") && c.want == nil, !strings.Contains(text, c.warning):
				t.Errorf("want the warning %q: %s", c.warning, text)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("want %q: %s", want, text)
				}
			}
		})
	}
}
