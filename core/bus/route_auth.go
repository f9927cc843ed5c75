package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/keys"
)

// routeAuth decides about routes with certificates. Only configured nodes
// may have a route. A certificate names its node, and the server that shows it must
// have that name.
//
// nats-server learns a peer's name after it has authenticated the route, and there is
// no call between the two. So the certificate is checked during the handshake, and the
// names are compared as soon as the route is open.
type routeAuth struct {
	check   func(name string) error // refuses a name
	revoked *reloaded[*keys.Revocations]
	roots   *reloaded[authorities] // of routes
	log     *slog.Logger
	wake    chan struct{} // a route is about to open
	limiter logLimiter

	mu        sync.Mutex
	accepted  map[uint64]acceptedCert // by route: the certificate with which a peer opened a route
	solicited map[string]certChain    // by node: the last one that a peer showed when this node opened a route
	misnamed  map[string]bool         // ids of servers that claimed another name than their certificate's
}

type acceptedCert struct {
	cert certChain
	at   time.Time
}

const (
	routeCheckEvery = time.Second
	routeCheckSoon  = 5 * time.Millisecond // for routeCheckBusy after a handshake
	routeCheckBusy  = 2 * time.Second
	maxMisnamed     = 1024
)

func newRouteAuth(c *Cluster, revoked *reloaded[*keys.Revocations], roots *reloaded[authorities], log *slog.Logger) *routeAuth {
	check := c.CheckNode
	if check == nil {
		check = func(string) error { return nil }
	}
	return &routeAuth{
		check: check, revoked: revoked, roots: roots, log: log, wake: make(chan struct{}, 1),
		accepted: map[uint64]acceptedCert{}, solicited: map[string]certChain{}, misnamed: map[string]bool{},
	}
}

// checkCert refuses a certificate that is not one of a node of the cluster.
func (a *routeAuth) checkCert(cert *x509.Certificate) error {
	name := keys.NodeName(cert)
	switch {
	case name == "":
		return core.Errorf(core.KindRefused, "the certificate for %s names no node: make a new one with `unibusd cert node --name NAME --ca DIR --host %s --out DIR`",
			certHosts(cert), certHosts(cert))
	case a.revoked.current().Has(cert):
		return core.Errorf(core.KindRefused, "the certificate of %s was revoked", name)
	}
	return a.check(name)
}

func certHosts(cert *x509.Certificate) string {
	hosts := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return strings.Join(hosts, ",")
}

// verify is for both ends of a handshake. The chain is verified already.
func (a *routeAuth) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return core.Errorf(core.KindRefused, "a server without a certificate cannot have a route")
	}
	return a.checkCert(s.PeerCertificates[0])
}

// verifySolicited is verify where this node opened the route. It verifies the chain, too,
// and a host name that the route was opened to. An address is not compared: crypto/tls does
// not tell it here. The other end of a route is known by its node's name, not by its place.
func (a *routeAuth) verifySolicited(s tls.ConnectionState) error {
	if len(s.PeerCertificates) > 0 {
		if err := certChain(s.PeerCertificates).verify(a.roots.current().pool, s.ServerName); err != nil {
			return err
		}
	}
	if err := a.verify(s); err != nil {
		return err
	}
	a.mu.Lock()
	a.solicited[keys.NodeName(s.PeerCertificates[0])] = s.PeerCertificates
	a.mu.Unlock()
	a.wakeUp()
	return nil
}

// Check is called for every route that a peer opens.
func (a *routeAuth) Check(c server.ClientAuthentication) bool {
	state := c.GetTLSConnectionState()
	if state == nil || a.verify(*state) != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if id := c.GetOpts().Name; a.misnamed[id] { // a route's CONNECT gives the server's id as its name
		a.logRefusal(remoteOf(c), id, "it has said before that it is another node than its certificate's, "+keys.NodeName(state.PeerCertificates[0]))
		return false
	}
	a.accepted[c.GetID()] = acceptedCert{state.PeerCertificates, time.Now()}
	a.wakeUp()
	return true
}

func remoteOf(c server.ClientAuthentication) string {
	if addr := c.RemoteAddress(); addr != nil {
		return addr.String()
	}
	return "" // it has closed
}

// logRefusal is bounded, because a stranger decides how often it connects.
func (a *routeAuth) logRefusal(remote, name, reason string) {
	if _, allowed := a.limiter.next(time.Now()); allowed {
		a.log.Error("a server was refused at the route", "remote", remote, "name", name, "reason", reason)
	}
}

func (a *routeAuth) wakeUp() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run compares the names of the routes and closes those that must not be open, until ctx ends.
func (a *routeAuth) run(ctx context.Context, srv *server.Server) {
	timer := time.NewTimer(routeCheckEvery)
	defer timer.Stop()
	var busyUntil time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-a.wake:
			busyUntil = time.Now().Add(routeCheckBusy)
		}
		a.checkRoutes(srv)
		if time.Now().Before(busyUntil) {
			timer.Reset(routeCheckSoon)
		} else {
			timer.Reset(core.UntilTick(routeCheckEvery))
		}
	}
}

func (a *routeAuth) checkRoutes(srv *server.Server) {
	info, err := srv.Routez(nil)
	if err != nil {
		return // the server is stopping
	}
	open := map[uint64]bool{}
	for _, r := range info.Routes {
		open[r.Rid] = true
		if err := a.checkRoute(r); err != nil {
			a.logRefusal(r.IP, r.RemoteName, err.Error())
			closePeer(r.IP, r.Port)
		}
	}
	a.forgetClosed(open)
}

// checkRoute refuses a route that must not stay open. nats-server does not tell which
// certificate belongs to a route that this node opened: there the name must be one
// that a certificate gave.
func (a *routeAuth) checkRoute(r *server.RouteInfo) error {
	a.mu.Lock()
	cert := a.accepted[r.Rid].cert
	if r.DidSolicit {
		cert = a.solicited[r.RemoteName]
	}
	a.mu.Unlock()
	if len(cert) == 0 {
		a.noteMisnamed(r.RemoteID)
		return core.Errorf(core.KindRefused, "the server says that it is %s, and no certificate of that name was seen", r.RemoteName)
	}
	if name := keys.NodeName(cert[0]); name != r.RemoteName {
		a.noteMisnamed(r.RemoteID)
		return core.Errorf(core.KindRefused, "the server says that it is %s, and showed the certificate of %s", r.RemoteName, name)
	}
	if err := cert.signedBy(a.roots.current().pool); err != nil {
		return core.Errorf(core.KindRefused, "the CA of its certificate is not in --route-tls-ca any more")
	}
	return a.checkCert(cert[0])
}

func (a *routeAuth) noteMisnamed(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.misnamed) >= maxMisnamed {
		clear(a.misnamed)
	}
	a.misnamed[id] = true
}

// forgetClosed drops the certificates of routes that have closed.
func (a *routeAuth) forgetClosed(open map[uint64]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, c := range a.accepted {
		if !open[id] && time.Since(c.at) > time.Minute { // nats-server shows a route a moment after Check
			delete(a.accepted, id)
		}
	}
}
