package bus

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"slices"

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
func (s *Server) loadCertificate(certFile, keyFile string, check func(*x509.Certificate) error) (*reloaded[certificate], error) {
	return newReloaded(s, reloadedFile[certificate]{
		name: "a renewed certificate", path: certFile,
		load: func(last certificate) (certificate, error) {
			pair, err := keys.LoadPair(certFile, keyFile)
			if err == nil {
				err = check(pair.Leaf)
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

// routeTLS is for routes: both ends show a certificate of the cluster's own authority
// that names a node.
func routeTLS(c *Cluster, cert *reloaded[certificate], r *routeAuth) (*tls.Config, error) {
	pool, err := keys.LoadPool(c.CAFile)
	if err != nil {
		return nil, err
	}
	conf := clientTLS(cert)
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert.current().pair, nil }
	conf.RootCAs, conf.ClientCAs, conf.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
	accepting := conf.Clone()
	accepting.VerifyConnection = r.verify
	conf.VerifyConnection = r.verifySolicited
	conf.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return accepting, nil }
	return conf, nil
}

// anyCertificate is the check of the clients' listener.
func anyCertificate(*x509.Certificate) error { return nil }

// ownRouteCert refuses a certificate that the peers would refuse.
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
