package node

import (
	"crypto/x509"
	"fmt"

	"unibus/core"
	"unibus/core/config"
	"unibus/core/keys"
)

// checkIssuer warns of a certificate of the bus that may lack its intermediate. The node does not
// know which authority its clients trust; an issuer that is a root as far as can be known passes.
func (c checkedCert) checkIssuer(cfg config.Node) []string {
	leaf := c.leaf()
	if len(c.certs) > 1 || leaf.Issuer.CommonName == keys.CAName || leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
		return nil
	}
	if signedBy(c.certs, routeAuthorities(cfg)) {
		return nil // its own warning says that
	}
	if _, err := leaf.Verify(x509.VerifyOptions{CurrentTime: c.now}); err == nil { // a root of the system has signed it
		return nil
	}
	return []string{fmt.Sprintf("The certificate %s comes without the one of %s, which signed it: clients that know only the root above that refuse it. "+
		"If clients give another file than that authority's with --tls-ca, put its certificate into the file, behind the node's", c.file, issuerName(leaf))}
}

func issuerName(cert *x509.Certificate) string {
	if name := core.ShownName(cert.Issuer.CommonName); name != "" {
		return name
	}
	return core.ShownName(cert.Issuer.String())
}

// checkShared warns where the routes' CA has signed what clients see, too: then everyone who
// gets a certificate for clients to see may become a node.
func (c checkedCert) checkShared(cfg config.Node) []string {
	if !signedBy(c.certs, routeAuthorities(cfg)) {
		return nil
	}
	what := fmt.Sprintf("The certificate %s of the bus is signed by the CA of the routes, %s", c.file, cfg.RouteTLSCA)
	if route, _, err := newCheckedCert(checkedCert{file: cfg.RouteTLSCert}, cfg.RouteTLSKey); err == nil && route.leaf().Equal(c.leaf()) {
		what = fmt.Sprintf("The bus and the routes have one certificate, %s, signed by the CA of the routes, %s", c.file, cfg.RouteTLSCA)
	}
	return []string{what + ": a certificate that is made for the bus opens routes, too. Make another CA for the bus with `unibusd cert ca --out bus-ca`, and a certificate of it: " +
		keys.CertCommand(c.node, keys.CertHosts(c.leaf()))}
}

// exchanged is what an error about the route certificate adds if the CA of the routes signed the
// certificate of the bus instead.
func exchanged(cfg config.Node, authorities []*x509.Certificate) string {
	if cfg.TLSCert == "" {
		return ""
	}
	bus, _, err := newCheckedCert(checkedCert{file: cfg.TLSCert}, cfg.TLSKey)
	if err != nil || !signedBy(bus.certs, authorities) {
		return ""
	}
	return fmt.Sprintf("; it has signed %s, the one of --tls-cert: the two pairs of files may be exchanged", cfg.TLSCert)
}

// routeAuthorities are the CAs of the routes; another check reports faults of their file.
func routeAuthorities(cfg config.Node) []*x509.Certificate {
	if cfg.RouteTLSCA == "" {
		return nil
	}
	authorities, err := keys.LoadAuthorities(cfg.RouteTLSCA)
	if err != nil {
		return nil
	}
	return authorities
}

// signedBy is true where authorities have signed a certificate, whatever the time is.
func signedBy(chain, authorities []*x509.Certificate) bool {
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: keys.Pool(authorities), Intermediates: between, CurrentTime: chain[0].NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}
