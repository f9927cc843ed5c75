package keys_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
)

func TestNodeCertServesBothEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, keys.WriteCA(dir))
	must(t, keys.NodeCert(dir, "n1", []string{"n1.example.org", "127.0.0.1", "::1"}, dir))
	pool, err := keys.LoadPool(filepath.Join(dir, keys.CACertFile))
	must(t, err)
	pair, err := keys.LoadPair(filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile))
	must(t, err)
	for _, host := range []string{"n1.example.org", "127.0.0.1", "::1"} {
		if err := shake(pair, pool, host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := shake(pair, pool, "n2.example.org"); err == nil {
		t.Error("the certificate was accepted for a host that it does not name")
	}
	for _, key := range []string{keys.CAKeyFile, keys.NodeKeyFile} {
		if st, err := os.Stat(filepath.Join(dir, key)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", key, st.Mode(), err)
		}
	}
}

// TestNodeCertsForThreePublicHosts: three machines, each with the name and the
// addresses by which the others and the clients reach it, under one authority.
func TestNodeCertsForThreePublicHosts(t *testing.T) {
	t.Parallel()
	ca := t.TempDir()
	must(t, keys.WriteCA(ca))
	pool, err := keys.LoadPool(filepath.Join(ca, keys.CACertFile))
	must(t, err)
	for i, hosts := range [][]string{
		{"n1.example.org", "203.0.113.1", "2001:db8::1"}, {"n2.example.org", "203.0.113.2"}, {"n3.example.org", "eu.n3.example.org"},
	} {
		dir := t.TempDir()
		must(t, keys.NodeCert(ca, "", hosts, dir))
		pair, err := keys.LoadPair(filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile))
		must(t, err)
		for _, host := range hosts {
			if err := shake(pair, pool, host); err != nil {
				t.Errorf("node %d as %s: %v", i+1, host, err)
			}
		}
		if err := shake(pair, pool, "203.0.113.9"); err == nil {
			t.Errorf("node %d is taken for another address", i+1)
		}
	}
}

func TestLoadAuthorities(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, keys.WriteCA(dir))
	must(t, keys.NodeCert(dir, "", []string{"127.0.0.1"}, dir))
	for file, days := range map[string]int{keys.CACertFile: 3650, keys.NodeCertFile: 825} {
		certs, err := keys.LoadAuthorities(filepath.Join(dir, file))
		must(t, err)
		until := certs[0].NotAfter
		if d := time.Until(until) - time.Duration(days)*24*time.Hour; d.Abs() > 2*time.Hour {
			t.Errorf("%s is valid until %v, want %d days", file, until, days)
		}
	}
	_, err := keys.LoadAuthorities(filepath.Join(dir, "x.crt"))
	wantKind(t, err, core.KindNotFound, "x.crt", "")
	_, err = keys.LoadAuthorities(filepath.Join(dir, keys.CAKeyFile))
	wantKind(t, err, core.KindInvalid, "no certificate", "")
	_, err = keys.LoadPool(filepath.Join(dir, keys.CAKeyFile))
	wantKind(t, err, core.KindInvalid, "no certificate", "ca.crt")
}

func TestCertificatesAreNeverOverwritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, keys.WriteCA(dir))
	wantKind(t, keys.WriteCA(dir), core.KindExists, keys.CACertFile, "")
	must(t, keys.NodeCert(dir, "", []string{"127.0.0.1"}, dir))
	must(t, os.Remove(filepath.Join(dir, keys.NodeCertFile)))
	wantKind(t, keys.NodeCert(dir, "", []string{"127.0.0.1"}, dir), core.KindExists, keys.NodeKeyFile, "")
	if _, err := os.Stat(filepath.Join(dir, keys.NodeCertFile)); err == nil {
		t.Error("half a pair was written")
	}
}

func TestNodeCertRefuses(t *testing.T) {
	t.Parallel()
	ca, other, empty := t.TempDir(), t.TempDir(), t.TempDir()
	must(t, keys.WriteCA(ca))
	must(t, keys.WriteCA(other))
	for name, hosts := range map[string][]string{
		"none": nil, "empty": {""}, "port": {"n1:4222"}, "url": {"tls://n1"}, "wildcard": {"*.example.org"},
		"NUL": {"n\x001"}, "mistyped address": {"10.0.0.256"}, "unicode": {"ñ.example"},
	} {
		t.Run(name, func(t *testing.T) {
			wantKind(t, keys.NodeCert(ca, "", hosts, t.TempDir()), core.KindInvalid, "", "--host")
		})
	}
	host := []string{"127.0.0.1"}
	wantKind(t, keys.NodeCert(empty, "", host, empty), core.KindNotFound, "ca.crt is missing", "unibusd cert ca")
	wantKind(t, keys.NodeCert(ca, "", host, filepath.Join(empty, "x")), core.KindNotFound, "does not exist", "mkdir")
	mixed := t.TempDir()
	copyFile(t, filepath.Join(ca, keys.CACertFile), filepath.Join(mixed, keys.CACertFile))
	copyFile(t, filepath.Join(other, keys.CAKeyFile), filepath.Join(mixed, keys.CAKeyFile))
	wantKind(t, keys.NodeCert(mixed, "", host, mixed), core.KindInvalid, "do not belong together", "")
	must(t, os.Chmod(filepath.Join(ca, keys.CAKeyFile), 0o644))
	wantKind(t, keys.NodeCert(ca, "", host, empty), core.KindRefused, "read by others", "chmod 600")
}

// shake makes a mutual TLS 1.3 handshake with one pair at both ends.
func shake(pair *tls.Certificate, pool *x509.CertPool, host string) error {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	_ = a.SetDeadline(time.Now().Add(10 * time.Second))
	_ = b.SetDeadline(time.Now().Add(10 * time.Second))
	certs := []tls.Certificate{*pair}
	done := make(chan error, 1)
	go func() {
		server := tls.Server(a, &tls.Config{Certificates: certs, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13})
		_, err := server.Read(make([]byte, 1))
		done <- err
	}()
	client := tls.Client(b, &tls.Config{Certificates: certs, RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS13})
	if _, err := client.Write([]byte("x")); err != nil {
		return err
	}
	return <-done
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFilesOfTheOtherKind: a certificate and a key that were exchanged, and files that are
// not PEM, are named as what they are.
func TestFilesOfTheOtherKind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, keys.WriteCA(dir))
	must(t, keys.NodeCert(dir, "n1", []string{"127.0.0.1"}, dir))
	cert, key := filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile)
	der := filepath.Join(dir, "der")
	if err := os.WriteFile(der, []byte{0x30, 0x82, 0x01}, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ cert, key, want string }{
		"exchanged":                {key, cert, keys.NodeKeyFile + " holds no certificate, but this:"},
		"the certificate twice":    {cert, copyPrivate(t, cert), "holds no private key, but this: CERTIFICATE"},
		"a certificate in DER":     {der, key, "der holds no certificate in PEM form"},
		"a key in DER":             {cert, der, "der holds no private key in PEM form"},
		"an empty certificate":     {copyOf(t, nil), key, "holds no certificate in PEM form"},
		"a certificate cut in two": {copyOf(t, []byte("-----BEGIN CERTIFICATE-----\nAA")), key, "do not belong together or are damaged"},
	} {
		_, err := keys.LoadPair(c.cert, c.key)
		if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), c.want) || core.AsError(err).Next == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func copyPrivate(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return copyOf(t, data)
}

func copyOf(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
