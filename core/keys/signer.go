package keys

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"

	"unibus/core"
)

// CAsOf describes the CAs of a bundle, in its order.
func CAsOf(certs []*x509.Certificate) []core.CA {
	out := make([]core.CA, len(certs))
	for i, ca := range certs {
		out[i] = core.CA{ID: AuthorityID(ca), From: core.MillisOf(ca.NotBefore), Until: core.MillisOf(ca.NotAfter)}
	}
	return out
}

// AuthorityID names the key of a CA in hexadecimal: the subjectKeyIdentifier that openssl
// shows. A certificate of the same CA that is valid for longer has the same.
func AuthorityID(ca *x509.Certificate) string { return authorityID(ca.SubjectKeyId, ca.RawSubject) }

// authorityID stands the name of a CA in for a key without an identifier: CAs of other
// programs may leave it out.
func authorityID(key, name []byte) string {
	if len(key) > 0 {
		return hex.EncodeToString(key)
	}
	sum := sha256.Sum256(name)
	return hex.EncodeToString(sum[:20])
}

// SignerID is the AuthorityID of the CA that signed a certificate: of the one that is
// trusted, where intermediate ones come with it. The certificate comes first.
func SignerID(chain []*x509.Certificate) string {
	last := chain[0]
	for range chain { // a circle ends, too
		i := slices.IndexFunc(chain[1:], func(ca *x509.Certificate) bool { return !isSelfIssued(ca) && last.CheckSignatureFrom(ca) == nil })
		if i < 0 {
			break
		}
		last = chain[1+i]
	}
	return authorityID(last.AuthorityKeyId, last.RawIssuer)
}

func isSelfIssued(cert *x509.Certificate) bool { return bytes.Equal(cert.RawIssuer, cert.RawSubject) }
