package bus

import (
	"crypto/tls"
	"os"
	"sync"
	"time"

	"unibus/core/keys"
)

// pair is a certificate with its key that is read again when its file has
// changed, so that it can be renewed without a restart. A renewal that cannot
// be read leaves the old one in use.
type pair struct {
	certFile, keyFile string

	mu     sync.Mutex
	cert   *tls.Certificate
	stamp  time.Time // of certFile when it was read
	looked time.Time
}

// lookEvery is how often at most the file is looked at.
const lookEvery = 10 * time.Second

func newPair(certFile, keyFile string) (*pair, error) {
	cert, err := keys.LoadPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &pair{certFile: certFile, keyFile: keyFile, cert: cert, stamp: modified(certFile), looked: time.Now()}, nil
}

func (p *pair) current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) < lookEvery {
		return p.cert
	}
	p.looked = time.Now()
	stamp := modified(p.certFile)
	if stamp.Equal(p.stamp) {
		return p.cert
	}
	if cert, err := keys.LoadPair(p.certFile, p.keyFile); err == nil {
		p.cert, p.stamp = cert, stamp
	}
	return p.cert
}

func modified(path string) time.Time {
	st, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

func (p *pair) forServer(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current(), nil }

func (p *pair) forClient(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return p.current(), nil
}

// clientTLS is for clients: TLS 1.3, identity by nkey and not by certificate.
func clientTLS(certFile, keyFile string) (*tls.Config, error) {
	p, err := newPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: p.forServer}, nil
}

// routeTLS is for routes: both ends show a certificate of the cluster's own authority.
func routeTLS(c *Cluster) (*tls.Config, error) {
	p, err := newPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, err
	}
	pool, err := keys.LoadPool(c.CAFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetCertificate:       p.forServer,
		GetClientCertificate: p.forClient,
		RootCAs:              pool,
		ClientCAs:            pool,
		ClientAuth:           tls.RequireAndVerifyClientCert,
	}, nil
}
