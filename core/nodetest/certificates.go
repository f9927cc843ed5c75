package nodetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"unibus/core/keys"
)

// RouteCert makes the certificate of a node for one address that ends at a given time,
// and was valid for a day. It is signed by the authority in caDir; dir holds it and its
// key under the names of keys.NodeCert.
func RouteCert(t testing.TB, caDir, node, address string, until time.Time) (dir string) {
	t.Helper()
	pair, err := readAuthority(caDir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		URIs: []*url.URL{{Scheme: "unibus", Host: "node", Path: "/" + node}}, IPAddresses: []net.IP{net.ParseIP(address)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, pair.cert, key.Public(), pair.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, block := range map[string]*pem.Block{keys.NodeCertFile: {Type: "CERTIFICATE", Bytes: der}, keys.NodeKeyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type authority struct {
	cert *x509.Certificate
	key  any
}

func readAuthority(dir string) (authority, error) {
	var a authority
	cert, err := os.ReadFile(filepath.Join(dir, keys.CACertFile))
	if err != nil {
		return a, err
	}
	key, err := os.ReadFile(filepath.Join(dir, keys.CAKeyFile))
	if err != nil {
		return a, err
	}
	certBlock, _ := pem.Decode(cert)
	keyBlock, _ := pem.Decode(key)
	if a.cert, err = x509.ParseCertificate(certBlock.Bytes); err != nil {
		return a, err
	}
	a.key, err = x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	return a, err
}
