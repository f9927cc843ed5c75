package node

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/config"
	"unibus/core/keys"
)

// checkedCert is a certificate of the configuration with the others of its file.
type checkedCert struct {
	node, what, file string // what: how a sentence calls it
	refused          string // by whom it would be
	certs            []*x509.Certificate
	now              time.Time
}

func (c checkedCert) leaf() *x509.Certificate { return c.certs[0] }

func (c checkedCert) renew() string {
	return "make a new one with `" + keys.CertCommand(c.node, keys.CertHosts(c.leaf())) + "`"
}

// newCheckedCert reads a pair. Its key is not looked at again.
func newCheckedCert(c checkedCert, keyFile string) (checkedCert, *tls.Certificate, error) {
	pair, err := keys.LoadPair(c.file, keyFile)
	if err != nil {
		return c, nil, err
	}
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return c, nil, core.Errorf(core.KindInvalid, "a certificate in %s is damaged", c.file).WithNext("copy the file again, whole")
		}
		c.certs = append(c.certs, cert)
	}
	return c, pair, nil
}

// checkTLS reads the certificates that clients are shown, and checks them as clients would. It
// cannot know all: none of the node's files has the authority that clients trust.
func checkTLS(cfg config.Node, now time.Time) (warnings []string, err error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	c, _, err := newCheckedCert(checkedCert{node: cfg.Name, what: "the certificate", file: cfg.TLSCert, refused: "clients refuse it", now: now}, cfg.TLSKey)
	if err != nil {
		return nil, err
	}
	if err := firstError(c.checkTime(c.certs), c.checkUses(x509.ExtKeyUsageServerAuth), c.checkChain()); err != nil {
		return nil, err
	}
	if len(c.leaf().DNSNames)+len(c.leaf().IPAddresses) == 0 {
		return nil, core.Errorf(core.KindInvalid, "%s %s names no host: %s", c.what, c.file, c.refused).WithNext("%s", c.renew())
	}
	if name := keys.NodeName(c.leaf()); name != "" && name != cfg.Name {
		warnings = append(warnings, fmt.Sprintf("The certificate %s is for the node %s, and this node is %s. If the file was copied from there, %s", c.file, name, cfg.Name, c.renew()))
	}
	if host, _, err := net.SplitHostPort(cfg.Listen); err == nil && isOneHost(host) && c.leaf().VerifyHostname(host) != nil {
		warnings = append(warnings, fmt.Sprintf("The certificate %s is not for %s, the host of --listen: clients that connect to it by that refuse it. If they do, make one for that host, too: %s",
			c.file, host, keys.CertCommand(cfg.Name, append(keys.CertHosts(c.leaf()), host))))
	}
	return slices.Concat(warnings, c.checkShared(cfg), c.checkIssuer(cfg)), nil
}

// isOneHost is false for what stands for every address of the machine.
func isOneHost(host string) bool {
	ip := net.ParseIP(host)
	return host != "" && (ip == nil || !ip.IsUnspecified())
}

// checkRouteTLS reads what the routes need, and checks it as the peers would.
func checkRouteTLS(cfg config.Node, now time.Time) (warnings []string, err error) {
	if cfg.RouteTLSCert == "" {
		return nil, nil
	}
	c, pair, err := newCheckedCert(checkedCert{node: cfg.Name, what: "the route certificate", file: cfg.RouteTLSCert, refused: "its peers refuse it", now: now}, cfg.RouteTLSKey)
	if err != nil {
		return nil, err
	}
	authorities, err := keys.LoadAuthorities(cfg.RouteTLSCA)
	if err != nil {
		return nil, err
	}
	if err := bus.CheckRouteCert(cfg.Name, cfg.RouteTLSCert, pair, keys.Pool(authorities)); err != nil {
		return nil, addText(err, exchanged(cfg, authorities))
	}
	if err := firstError(c.checkTime(c.certs), c.checkUses(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), c.checkSigned(authorities, cfg.RouteTLSCA)); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(authorities, func(c *x509.Certificate) bool { return c.IsCA }) {
		warnings = append(warnings, fmt.Sprintf("%s holds no certificate of a CA: only nodes whose own certificate is in it can have a route. Give the ca.crt of the routes with --route-tls-ca", cfg.RouteTLSCA))
	}
	if !bus.NamesHostOf(c.leaf(), cfg.Routes) {
		warnings = append(warnings, fmt.Sprintf("The route certificate %s has none of the hosts in --routes: the peers refuse it by the host that they dial. "+
			"Add this node to --routes, or make a certificate for its host there: %s", cfg.RouteTLSCert, keys.CertCommand(cfg.Name, routeHosts(cfg))))
	}
	return warnings, c.checkRevoked(cfg)
}

// routeHosts is the host by which peers can dial this node, none where it listens on every address.
func routeHosts(cfg config.Node) []string {
	if host, _, err := net.SplitHostPort(cfg.ClusterListen); err == nil && isOneHost(host) {
		return []string{host}
	}
	return nil
}

// checkTime refuses certificates before and after their time.
func (c checkedCert) checkTime(certs []*x509.Certificate) error {
	for i, cert := range certs {
		what, next := c.what+" "+c.file, c.renew()
		if i > 0 {
			what, next = "the certificate of the authority "+cert.Subject.CommonName+" in "+c.file, "put the authority's new certificate there, behind that of the node"
		}
		switch {
		case c.now.After(cert.NotAfter):
			return core.Errorf(core.KindInvalid, "%s ended at %s: %s", what, utc(cert.NotAfter), c.refused).WithNext("%s", next)
		case c.now.Before(cert.NotBefore):
			return core.Errorf(core.KindInvalid, "%s is not valid before %s, and the clock shows %s: %s", what, utc(cert.NotBefore), utc(c.now), c.refused).
				WithNext("check the clock (`timedatectl`); if it is right, wait until then, or %s", next)
		}
	}
	return nil
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// checkUses refuses a certificate that was made for another use.
func (c checkedCert) checkUses(wanted ...x509.ExtKeyUsage) error {
	has := c.leaf().ExtKeyUsage
	if len(has)+len(c.leaf().UnknownExtKeyUsage) == 0 || slices.Contains(has, x509.ExtKeyUsageAny) {
		return nil
	}
	for _, use := range wanted {
		if !slices.Contains(has, use) {
			names := map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "servers (serverAuth)", x509.ExtKeyUsageClientAuth: "clients (clientAuth), which a node is of the nodes that it dials"}
			return core.Errorf(core.KindInvalid, "%s %s was not made for %s: %s", c.what, c.file, names[use], c.refused).WithNext("%s", c.renew())
		}
	}
	return nil
}

// checkChain refuses a file in which the certificates behind the first one have not signed it.
func (c checkedCert) checkChain() error {
	if len(c.certs) < 2 || slices.ContainsFunc(c.certs[1:], func(ca *x509.Certificate) bool { return c.leaf().CheckSignatureFrom(ca) == nil }) {
		return nil
	}
	return core.Errorf(core.KindInvalid, "none of the authorities in %s has signed the certificate there: clients that know only the root refuse it", c.file).
		WithNext("put the certificate of the authority that signed it behind it, or none")
}

// checkSigned refuses a certificate that its peers could not verify now: CheckRouteCert does not look at the time.
func (c checkedCert) checkSigned(authorities []*x509.Certificate, file string) error {
	between := x509.NewCertPool()
	for _, cert := range c.certs[1:] {
		between.AddCert(cert)
	}
	_, err := c.leaf().Verify(x509.VerifyOptions{
		Roots: keys.Pool(authorities), Intermediates: between, CurrentTime: c.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	invalid := x509.CertificateInvalidError{}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		ca := invalid.Cert
		return core.Errorf(core.KindInvalid, "the authority %s in %s is valid from %s to %s, and the clock shows %s: the peers refuse what it signed",
			ca.Subject.CommonName, file, utc(ca.NotBefore), utc(ca.NotAfter), utc(c.now)).
			WithNext("make a new authority with `unibusd cert ca --out DIR`, and a certificate of it for every node: docs/operations/certificates.md has the order")
	}
	return core.Errorf(core.KindInvalid, "%s %s does not verify against %s: %w", c.what, c.file, file, err).WithNext("%s", c.renew())
}

// checkRevoked refuses a route certificate that is in the list of revoked ones.
func (c checkedCert) checkRevoked(cfg config.Node) error {
	if cfg.RouteTLSCRL == "" {
		return nil
	}
	revoked, err := keys.LoadRevocations(cfg.RouteTLSCRL, cfg.RouteTLSCA)
	if err != nil {
		return err
	}
	if revoked.Has(c.leaf()) {
		return core.Errorf(core.KindInvalid, "the route certificate %s was revoked by %s: its peers refuse it", c.file, cfg.RouteTLSCRL).WithNext("%s", c.renew())
	}
	return nil
}

func addText(err error, more string) error {
	if more == "" {
		return err
	}
	e := core.AsError(err)
	e.Text, e.Err = e.Text+more, err
	return e
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
