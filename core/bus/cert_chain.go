package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// certChain is a certificate and the intermediate ones that came with it.
type certChain []*x509.Certificate

// verify checks the chain for a new connection. Host is "" where any will do.
func (c certChain) verify(roots *x509.CertPool, host string) error {
	_, err := c[0].Verify(x509.VerifyOptions{
		Roots: onlyThese(roots), Intermediates: c.intermediates(), DNSName: host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: c, Err: err} // as crypto/tls says it
	}
	return nil
}

// signedBy is verify for what is open or configured already: it does not ask whether a
// certificate has ended meanwhile.
func (c certChain) signedBy(roots *x509.CertPool) error {
	at := time.Now()
	if at.After(c[0].NotAfter) || at.Before(c[0].NotBefore) {
		at = c[0].NotAfter
	}
	_, err := c[0].Verify(x509.VerifyOptions{
		Roots: onlyThese(roots), Intermediates: c.intermediates(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if isExpired(err) {
		return nil
	}
	return err
}

func (c certChain) intermediates() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range c[1:] {
		pool.AddCert(cert)
	}
	return pool
}

func isExpired(err error) bool {
	invalid := x509.CertificateInvalidError{}
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// onlyThese keeps x509 from taking the system's authorities, as it does without any.
func onlyThese(roots *x509.CertPool) *x509.CertPool {
	if roots == nil {
		return x509.NewCertPool()
	}
	return roots
}

// chainOf is the chain of a pair. A certificate that cannot be parsed is left out.
func chainOf(pair *tls.Certificate) certChain {
	chain := certChain{pair.Leaf}
	for _, der := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, cert)
		}
	}
	return chain
}
