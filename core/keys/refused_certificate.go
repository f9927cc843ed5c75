package keys

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"unibus/core"
)

// RefusedCertificate is the error of a client that does not accept the certificate of a
// node: each cause has its own sentence and its own next step. at is the address of the
// node, ca the file of authorities that the client was given or "", and setting names
// the way in which its user gives another one. Nil where err is about something else.
func RefusedCertificate(err error, at, ca, setting string, now time.Time) *core.Error {
	refused := new(tls.CertificateVerificationError)
	if !errors.As(err, &refused) {
		return nil
	}
	c := refusedCertificate{at: at, ca: ca, setting: setting, now: now}
	if len(refused.UnverifiedCertificates) > 0 {
		c.shown = refused.UnverifiedCertificates[0]
	}
	out := c.describe(refused.Err)
	out.Err = err
	return out
}

// refusedCertificate is what is known when a certificate is not accepted.
type refusedCertificate struct {
	shown       *x509.Certificate // by the node; nil: not known
	at          string
	ca, setting string
	now         time.Time
}

func (c refusedCertificate) describe(err error) *core.Error {
	var (
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return c.outOfTime(invalid.Cert)
	case errors.As(err, &host):
		return c.otherName(host.Host)
	case errors.As(err, &unknown) && c.ca != "":
		return core.Errorf(core.KindRefused, "%s is not signed by an authority in %s: another authority made it, or another server answers there", c.subject(), c.ca).
			WithNext("give the %s of the authority that made the nodes' certificates with %s", CACertFile, c.setting)
	case errors.As(err, &unknown):
		return core.Errorf(core.KindRefused, "%s is signed by an authority that this machine does not know, and none was named", c.subject()).
			WithNext("give the %s of the authority that made the nodes' certificates with %s", CACertFile, c.setting)
	}
	return core.Errorf(core.KindRefused, "%s cannot be used: %v", c.subject(), err).WithNext("%s", c.renew(""))
}

// outOfTime is for a certificate, the node's or its authority's, before or after its time.
func (c refusedCertificate) outOfTime(cert *x509.Certificate) *core.Error {
	subject, renew := c.subject(), c.renew("")
	if cert.IsCA {
		subject = "the certificate of the authority of " + c.at
		renew = "make a new authority with `unibusd cert ca --out DIR`, and a certificate of it for every node"
	}
	when := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
	if c.now.Before(cert.NotBefore) {
		return core.Errorf(core.KindRefused, "%s is not valid yet: it begins at %s, and the clock of this machine shows %s", subject, when(cert.NotBefore), when(c.now)).
			WithNext("compare the clocks of this machine and of the one that made the certificate (`timedatectl` shows whether one is synchronized); if both are right, wait until then, or %s", renew)
	}
	return core.Errorf(core.KindRefused, "%s ended at %s, and the clock of this machine shows %s: clients that check it do not connect", subject, when(cert.NotAfter), when(c.now)).
		WithNext("%s", renew)
}

// otherName is for a certificate that was made for other addresses than the one that was asked for.
func (c refusedCertificate) otherName(host string) *core.Error {
	e := core.Errorf(core.KindRefused, "%s is not for %s", c.subject(), host)
	names := c.names()
	if len(names) == 0 {
		return e.WithNext("%s", c.renew(host))
	}
	e = core.Errorf(core.KindRefused, "%s is not for %s, but for %s", c.subject(), host, strings.Join(names, ", "))
	return e.WithNext("connect by a name or an address of the certificate; or, if %s is this node, %s", host, c.renew(host))
}

// subject is the certificate in a sentence, with the node that it was made for.
func (c refusedCertificate) subject() string {
	if name := c.node(); name != "" {
		return fmt.Sprintf("the certificate of the node %s (%s)", name, c.at)
	}
	return "the certificate of " + c.at
}

func (c refusedCertificate) node() string {
	if c.shown == nil {
		return ""
	}
	return NodeName(c.shown)
}

func (c refusedCertificate) names() []string {
	if c.shown == nil {
		return nil
	}
	return CertHosts(c.shown)
}

// renew says how the node gets another certificate; host is one that it has to name, "" for those that it has.
func (c refusedCertificate) renew(host string) string {
	hosts := c.names()
	if host != "" {
		hosts = append(hosts, host)
	}
	return fmt.Sprintf("make a new certificate for this node, and put it in the place of its tls-cert and tls-key: `%s`", CertCommand(c.node(), hosts))
}
