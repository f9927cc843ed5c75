package bus

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
)

// certificate is what a listener shows.
type certificate struct {
	pair     *tls.Certificate
	channels []auth.Channel // of every certificate since the start, because connections stay open through a renewal
}

// loadCertificate reads a certificate and its key, now and whenever they are renewed.
// A certificate that fails the check is not used.
func (s *Server) loadCertificate(certFile, keyFile string, check func(*tls.Certificate) error) (*reloaded[certificate], error) {
	return newReloaded(s, reloadedFile[certificate]{
		name: "a renewed certificate", path: certFile, beside: []string{keyFile},
		load: func(last certificate) (certificate, error) {
			pair, err := keys.LoadPair(certFile, keyFile)
			if err == nil {
				err = check(pair)
			}
			if err == nil && last.pair != nil {
				err = canReplace(last.pair.Leaf, pair.Leaf, time.Now())
			}
			if err != nil {
				return certificate{}, err
			}
			channels := slices.Clone(last.channels)
			if c := auth.ChannelOf(pair.Certificate[0]); !slices.Contains(channels, c) {
				channels = append(channels, c)
			}
			return certificate{pair, channels}, nil
		},
		describe: func(c certificate) slog.Attr { return slog.Time("expires", c.pair.Leaf.NotAfter) },
	})
}

// clientTLS is for clients: TLS 1.3, identity by nkey and not by certificate.
func clientTLS(cert *reloaded[certificate]) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.current().pair, nil },
	}
}

// routeTLS is for routes: both ends show a certificate of the cluster's own authorities
// that names a node. The authorities are those of the file as it is at the handshake.
//
// If this node opens the route, crypto/tls could verify only with the authorities that
// were loaded at the start. So that check is off, and verifySolicited replaces it.
func routeTLS(cert *reloaded[certificate], r *routeAuth) *tls.Config {
	conf := clientTLS(cert)
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert.current().pair, nil }
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	accepting := conf.Clone()
	accepting.VerifyConnection = r.verify
	conf.InsecureSkipVerify, conf.VerifyConnection = true, r.verifySolicited
	conf.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := accepting.Clone()
		now.ClientCAs = r.roots.current().pool
		return now, nil
	}
	return conf
}

// anyCertificate is the check of the clients' listener.
func anyCertificate(*tls.Certificate) error { return nil }

// ownRouteCert refuses a certificate that the peers would refuse.
func ownRouteCert(node, file string, roots *reloaded[authorities]) func(*tls.Certificate) error {
	return func(pair *tls.Certificate) error { return CheckRouteCert(node, file, pair, roots.current().pool) }
}

// CheckRouteCert refuses a route certificate of this node that the peers would refuse. KindInvalid.
func CheckRouteCert(node, file string, pair *tls.Certificate, roots *x509.CertPool) error {
	cert := pair.Leaf
	name := keys.NodeName(cert)
	if name == node {
		return ownChain(pair, file, roots)
	}
	text := "names no node"
	if name != "" {
		text = "is for the node " + name
	}
	return core.Errorf(core.KindInvalid, "the route certificate %s %s, and this node is %s: its peers would refuse it", file, text, node).
		WithNext("make a new one with `unibusd cert node --name %s --ca DIR --host %s --out DIR`", node, certHosts(cert))
}

// NamesHostOf is true where a host of the routes is one of the certificate: by which the
// peers reach its node.
func NamesHostOf(cert *x509.Certificate, routes []string) bool {
	return slices.ContainsFunc(routes, func(r string) bool {
		u, err := routeURL(r)
		return err == nil && cert.VerifyHostname(u.Hostname()) == nil
	})
}

// ownChain refuses a certificate that none of this node's own authorities has signed: a
// renewal that comes before the bundle with its new authority would cut the node off.
func ownChain(pair *tls.Certificate, file string, roots *x509.CertPool) error {
	if chainOf(pair).signedBy(roots) == nil {
		return nil
	}
	return core.Errorf(core.KindInvalid, "no CA in --route-tls-ca has signed the route certificate %s: the peers would refuse it", file).
		WithNext("add the CA that signed it to --route-tls-ca, on every node: docs/operations/certificates.md has the order")
}

// authorities are the CAs of a bundle. The pool does not tell when one of them ends.
type authorities struct {
	certs []*x509.Certificate
	pool  *x509.CertPool
}

// loadRoots reads the authorities of routes, now and whenever the file changes.
func (s *Server) loadRoots() (*reloaded[authorities], error) {
	path := s.cfg.Cluster.CAFile
	return newReloaded(s, reloadedFile[authorities]{
		name: "a new bundle of route CAs", path: path,
		load: func(authorities) (authorities, error) {
			certs, err := keys.LoadAuthorities(path)
			return authorities{certs, keys.Pool(certs)}, err
		},
		describe: func(a authorities) slog.Attr { return slog.Int("authorities", len(a.certs)) },
	})
}

// canReplace refuses a certificate for which peers and clients would refuse the node,
// while the one in use is still good. At a start there is none, and any is used.
func canReplace(last, next *x509.Certificate, now time.Time) error {
	if now.After(last.NotAfter) {
		return nil // nothing is lost
	}
	switch {
	case now.After(next.NotAfter):
		return core.Errorf(core.KindInvalid, "it ended on %s", next.NotAfter.Format(time.DateOnly))
	case now.Before(next.NotBefore):
		return core.Errorf(core.KindInvalid, "it begins on %s, and by the clock of this machine it is %s", next.NotBefore.UTC().Format(time.DateTime+" UTC"), now.UTC().Format(time.DateTime+" UTC"))
	}
	if missing := missingHosts(last, next); len(missing) > 0 {
		return core.Errorf(core.KindInvalid, "it is not for %s, by which the node is reached: the one in use is. After a restart it is used", strings.Join(missing, ", "))
	}
	return nil
}

// missingHosts are the names and addresses of one certificate that another lacks.
func missingHosts(last, next *x509.Certificate) []string {
	var missing []string
	for _, name := range last.DNSNames {
		if next.VerifyHostname(name) != nil {
			missing = append(missing, name)
		}
	}
	for _, ip := range last.IPAddresses {
		if next.VerifyHostname(ip.String()) != nil {
			missing = append(missing, ip.String())
		}
	}
	return missing
}
