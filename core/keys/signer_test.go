package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"unibus/core/keys"
)

// TestSignerID: it is the CA that a bundle has. That holds also where intermediate ones or
// the CA itself come with the certificate, in any order, and where no key has an identifier.
func TestSignerID(t *testing.T) {
	t.Parallel()
	for name, withIDs := range map[string]bool{"with identifiers": true, "without": false} {
		root, rootKey := signed(t, "root", nil, nil, withIDs)
		middle, middleKey := signed(t, "middle", root, rootKey, withIDs)
		other, _ := signed(t, "other", nil, nil, withIDs)
		leaf, _ := signed(t, "leaf", middle, middleKey, withIDs)
		direct, _ := signed(t, "direct", root, rootKey, withIDs)
		for _, chain := range [][]*x509.Certificate{{leaf, middle}, {leaf, middle, root}, {leaf, root, middle}, {direct}, {direct, root}, {direct, other}, {leaf, other, middle}} {
			if got, want := keys.SignerID(chain), keys.AuthorityID(root); got != want {
				t.Errorf("%s: %d certificates: %s, want %s", name, len(chain), got, want)
			}
		}
		if keys.AuthorityID(root) == keys.AuthorityID(other) {
			t.Errorf("%s: two CAs have one name", name)
		}
		if cas := keys.CAsOf([]*x509.Certificate{root, other}); len(cas) != 2 || cas[1].ID != keys.AuthorityID(other) || cas[0].Until.Time().Before(time.Now()) {
			t.Errorf("%s: %+v", name, cas)
		}
	}
}

// signed makes a CA, by itself where there is no parent.
func signed(t *testing.T, name string, parent *x509.Certificate, by *ecdsa.PrivateKey, withID bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, IsCA: true,
	}
	if parent == nil {
		parent, by = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), by)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	if !withID {
		cert.SubjectKeyId, cert.AuthorityKeyId = nil, nil // what other programs may leave out
	}
	return cert, key
}
