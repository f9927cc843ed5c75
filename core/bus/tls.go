package bus

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
)

// pair is a certificate with its key that is read again when its file has
// changed, so that it can be renewed without a restart. A renewal that cannot
// be read is logged and leaves the old one in use.
type pair struct {
	certFile, keyFile string
	every             time.Duration // how often at most the file is looked at
	log               *slog.Logger
	check             func(*x509.Certificate) error // nil: whatever can be read is used

	mu     sync.Mutex
	cert   *tls.Certificate
	shown  []auth.Channel // of every certificate since the start: connections stay open through a renewal
	stamp  time.Time      // of certFile when it was read
	looked time.Time
}

// lookEvery is how often the files are looked at where Config says nothing.
const lookEvery = 10 * time.Second

// renewable is a pair that has not been read yet.
func (s *Server) renewable(certFile, keyFile string) *pair {
	p := &pair{certFile: certFile, keyFile: keyFile, every: s.cfg.CertCheck, log: s.log}
	if p.every == 0 {
		p.every = lookEvery
	}
	return p
}

func (p *pair) read() error {
	stamp := modified(p.certFile)
	cert, err := keys.LoadPair(p.certFile, p.keyFile)
	if err != nil {
		return err
	}
	if p.check != nil {
		if err := p.check(cert.Leaf); err != nil {
			return err
		}
	}
	p.cert, p.stamp = cert, stamp
	if c := auth.ChannelOf(cert.Certificate[0]); !slices.Contains(p.shown, c) {
		p.shown = append(p.shown, c)
	}
	return nil
}

// channels are those of the connections that clients may have.
func (p *pair) channels() []auth.Channel {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.shown)
}

func (p *pair) current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) < p.every {
		return p.cert
	}
	p.looked = time.Now()
	if modified(p.certFile).Equal(p.stamp) {
		return p.cert
	}
	if err := p.read(); err != nil {
		p.log.Warn("a renewed certificate cannot be used; the old one stays", "file", p.certFile, "reason", err)
		return p.cert
	}
	p.log.Info("a renewed certificate is in use", "file", p.certFile)
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
func clientTLS(p *pair) (*tls.Config, error) {
	if err := p.read(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: p.forServer}, nil
}

// routeTLS is for routes: both ends show a certificate of the cluster's own
// authority that names a node.
func routeTLS(c *Cluster, p *pair, g *routeGuard) (*tls.Config, error) {
	if err := p.read(); err != nil {
		return nil, err
	}
	pool, err := keys.LoadPool(c.CAFile)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetCertificate:       p.forServer,
		GetClientCertificate: p.forClient,
		RootCAs:              pool,
		ClientCAs:            pool,
		ClientAuth:           tls.RequireAndVerifyClientCert,
		VerifyConnection:     g.verifyOpened,
	}
	accepting := conf.Clone()
	accepting.VerifyConnection = g.verify
	conf.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return accepting, nil }
	return conf, nil
}

// ownRouteCert refuses a certificate with which the peers would refuse this node.
func ownRouteCert(node, file string) func(*x509.Certificate) error {
	return func(cert *x509.Certificate) error {
		name := keys.NodeName(cert)
		if name == node {
			return nil
		}
		text := "names no node"
		if name != "" {
			text = "is for the node " + name
		}
		return core.Errorf(core.KindInvalid, "the route certificate %s %s, and this node is %s: its peers would refuse it", file, text, node).
			WithNext("make a new one with `unibusd cert node --name %s --ca DIR --host %s --out DIR`", node, certHosts(cert))
	}
}
