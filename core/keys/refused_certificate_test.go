package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// testCA signs certificates of a test with times and names of its choice.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newTestCA(t *testing.T, from, until time.Time) testCA {
	t.Helper()
	ca := testCA{}
	ca.cert, ca.key = signed(t, ca, &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return ca
}

// signed makes a certificate and its key; without an authority it signs itself.
func signed(t *testing.T, ca testCA, tmpl *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// node is the certificate of the node n2, for 127.0.0.1 and other hosts.
func (ca testCA) node(t *testing.T, from, until time.Time, hosts ...string) tls.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{NotBefore: from, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, URIs: []*url.URL{{Scheme: "unibus", Host: "node", Path: "/n2"}}}
	if err := addHosts(tmpl, hosts); err != nil {
		t.Fatal(err)
	}
	tmpl.DNSNames = append(tmpl.DNSNames, "$(reboot)", "a;b", "\x1b[2J", "-rf") // a foreign server may show what it likes
	cert, key := signed(t, ca, tmpl)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// handshake is the client's error with a server that shows a certificate.
func handshake(t *testing.T, shown tls.Certificate, roots *x509.CertPool) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a pipe has no buffer for the client's alert
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		if server, err := l.Accept(); err == nil {
			_ = tls.Server(server, &tls.Config{Certificates: []tls.Certificate{shown}}).Handshake()
			_ = server.Close()
		}
	}()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.Addr().String(), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13})
	if err == nil {
		_ = conn.Close()
	}
	return err
}

// TestEachRefusedCertificateHasItsCause: a certificate that has ended, one that has not
// begun, one for other hosts and one of another authority are four sentences with four next steps.
func TestEachRefusedCertificateHasItsCause(t *testing.T) {
	t.Parallel()
	now := time.Now()
	past, future, far := now.Add(-48*time.Hour), now.Add(48*time.Hour), now.Add(96*time.Hour)
	ca, other := newTestCA(t, past, far), newTestCA(t, past, far)
	old := newTestCA(t, past, now.Add(-time.Hour))
	pool := func(ca testCA) *x509.CertPool {
		p := x509.NewCertPool()
		p.AddCert(ca.cert)
		return p
	}
	for name, c := range map[string]struct {
		shown      tls.Certificate
		roots      *x509.CertPool
		file       string
		text, next []string
	}{
		"ended": {
			ca.node(t, past, now.Add(-time.Hour), "127.0.0.1"), pool(ca), "ca.crt",
			[]string{"the certificate of the node n2 (tls://h:1) ended at ", "clock of this machine shows"},
			[]string{"`unibusd cert node --name n2 --host 127.0.0.1 --ca DIR --out DIR`"},
		},
		"not yet valid": {
			ca.node(t, future, far, "127.0.0.1"), pool(ca), "ca.crt",
			[]string{"is not valid yet: it begins at ", "clock of this machine shows"},
			[]string{"compare the clocks", "timedatectl"},
		},
		"another host": {
			ca.node(t, past, far, "n2.example.org", "192.0.2.2"), pool(ca), "ca.crt",
			[]string{"is not for 127.0.0.1, but for n2.example.org, 192.0.2.2"},
			[]string{"connect by a name or an address of the certificate", "--host n2.example.org,192.0.2.2,127.0.0.1"},
		},
		"another host, with names to be pasted into a shell": {
			ca.node(t, past, far, "n2.example.org"), pool(ca), "ca.crt",
			[]string{"is not for 127.0.0.1, but for n2.example.org"},
			[]string{"--host n2.example.org,127.0.0.1 --ca"},
		},
		"another authority": {
			other.node(t, past, far, "127.0.0.1"), pool(ca), "ca.crt",
			[]string{"not signed by an authority in ca.crt"},
			[]string{"give the ca.crt of the authority", "--tls-ca"},
		},
		"no authority": {
			ca.node(t, past, far, "127.0.0.1"), x509.NewCertPool(), "",
			[]string{"an authority that this machine does not know"},
			[]string{"--tls-ca"},
		},
		"the authority has ended": {
			old.node(t, past, far, "127.0.0.1"), pool(old), "ca.crt",
			[]string{"the certificate of the authority of tls://h:1 ended at "},
			[]string{"`unibusd cert ca --out DIR`"},
		},
	} {
		err := handshake(t, c.shown, c.roots)
		got := RefusedCertificate(err, "tls://h:1", c.file, "--tls-ca", now)
		if got == nil || got.Kind != core.KindRefused {
			t.Errorf("%s: %v is %v", name, err, got)
			continue
		}
		for _, want := range c.text {
			if !strings.Contains(got.Text, want) {
				t.Errorf("%s: %q lacks %q", name, got.Text, want)
			}
		}
		for _, want := range c.next {
			if !strings.Contains(got.Next, want) {
				t.Errorf("%s: %q lacks %q", name, got.Next, want)
			}
		}
		if strings.Contains(got.Next, "--tls-ca") != strings.HasSuffix(name, "other authority") && name != "no authority" {
			t.Errorf("%s: the advice is %q", name, got.Next)
		}
	}
	if got := RefusedCertificate(net.ErrClosed, "h", "", "", now); got != nil {
		t.Errorf("%v", got)
	}
}
