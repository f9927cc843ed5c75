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

// routeGuard lets only configured nodes have a route. A certificate names its
// node, and the server that shows it must have that name.
//
// nats-server learns a peer's name after it has authenticated the route, and
// there is no call between the two. So the certificate decides during the
// handshake, and the guard compares the names as soon as the route is there.
type routeGuard struct {
	nodes   []string // nil: any
	revoked *revocationList
	log     *slog.Logger
	kick    chan struct{} // a route is about to be there
	few     few

	mu       sync.Mutex
	accepted map[uint64]accepted          // by route: the certificates that were shown here
	foundAt  map[string]*x509.Certificate // by node: the last certificate that was found there
	liars    map[string]bool              // ids of servers that claimed another name than their certificate's
}

type accepted struct {
	cert *x509.Certificate
	at   time.Time
}

const (
	guardEvery = time.Second
	guardSoon  = 5 * time.Millisecond // for guardWhile after a handshake
	guardWhile = 2 * time.Second
	mostLiars  = 1024
)

func newRouteGuard(c *Cluster, revoked *revocationList, log *slog.Logger) *routeGuard {
	return &routeGuard{
		nodes: c.Nodes, revoked: revoked, log: log, kick: make(chan struct{}, 1),
		accepted: map[uint64]accepted{}, foundAt: map[string]*x509.Certificate{}, liars: map[string]bool{},
	}
}

// checkCert says whether a certificate is one of a node of the cluster.
func (g *routeGuard) checkCert(cert *x509.Certificate) error {
	name := keys.NodeName(cert)
	switch {
	case name == "":
		return core.Errorf(core.KindRefused, "the certificate for %s names no node: make a new one with `unibusd cert node --name NAME --ca DIR --host %s --out DIR`",
			certHosts(cert), certHosts(cert))
	case g.revoked.current().Has(cert):
		return core.Errorf(core.KindRefused, "the certificate of %s was revoked", name)
	case g.nodes != nil && !slices.Contains(g.nodes, name):
		return core.Errorf(core.KindRefused, "%s is none of the nodes that --nodes lists", name)
	}
	return nil
}

func certHosts(cert *x509.Certificate) string {
	hosts := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return strings.Join(hosts, ",")
}

// verify is for both ends of a handshake. The chain has been verified.
func (g *routeGuard) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return core.Errorf(core.KindRefused, "a server without a certificate cannot have a route")
	}
	return g.checkCert(s.PeerCertificates[0])
}

// verifyOpened is verify where this node opened the route.
func (g *routeGuard) verifyOpened(s tls.ConnectionState) error {
	if err := g.verify(s); err != nil {
		return err
	}
	g.mu.Lock()
	g.foundAt[keys.NodeName(s.PeerCertificates[0])] = s.PeerCertificates[0]
	g.mu.Unlock()
	g.wake()
	return nil
}

// Check is what nats-server calls for every route that another server opens.
func (g *routeGuard) Check(c server.ClientAuthentication) bool {
	state := c.GetTLSConnectionState()
	if state == nil || g.verify(*state) != nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if id := c.GetOpts().Name; g.liars[id] { // a route's CONNECT gives the server's id as its name
		g.refused(remoteOf(c), id, "it has said before that it is another node than its certificate's, "+keys.NodeName(state.PeerCertificates[0]))
		return false
	}
	g.accepted[c.GetID()] = accepted{state.PeerCertificates[0], time.Now()}
	g.wake()
	return true
}

func remoteOf(c server.ClientAuthentication) string {
	if addr := c.RemoteAddress(); addr != nil {
		return addr.String()
	}
	return "" // it has closed
}

// refused is logged for a bounded number of tries: a stranger decides how often it comes.
func (g *routeGuard) refused(remote, name, reason string) {
	if _, note := g.few.next(time.Now()); note {
		g.log.Error("a server was refused at the route", "remote", remote, "name", name, "reason", reason)
	}
}

func (g *routeGuard) wake() {
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

// run compares the names of the routes and closes those that must not be there, until ctx ends.
func (g *routeGuard) run(ctx context.Context, srv *server.Server) {
	timer := time.NewTimer(guardEvery)
	defer timer.Stop()
	var busy time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-g.kick:
			busy = time.Now().Add(guardWhile)
		}
		g.enforce(srv)
		if time.Now().Before(busy) {
			timer.Reset(guardSoon)
		} else {
			timer.Reset(guardEvery)
		}
	}
}

func (g *routeGuard) enforce(srv *server.Server) {
	info, err := srv.Routez(nil)
	if err != nil {
		return // the server is stopping
	}
	open := map[uint64]bool{}
	for _, r := range info.Routes {
		open[r.Rid] = true
		if err := g.judge(r); err != nil {
			g.refused(r.IP, r.RemoteName, err.Error())
			closePeer(r.IP, r.Port)
		}
	}
	g.forget(open)
}

// judge says whether a route may stay. nats-server does not tell which certificate
// belongs to a route that this node opened: there the name must be one that a
// certificate gave.
func (g *routeGuard) judge(r *server.RouteInfo) error {
	g.mu.Lock()
	cert := g.accepted[r.Rid].cert
	if r.DidSolicit {
		cert = g.foundAt[r.RemoteName]
	}
	g.mu.Unlock()
	if cert == nil {
		g.remember(r.RemoteID)
		return core.Errorf(core.KindRefused, "the server says that it is %s, and no certificate of that name was seen", r.RemoteName)
	}
	if name := keys.NodeName(cert); name != r.RemoteName {
		g.remember(r.RemoteID)
		return core.Errorf(core.KindRefused, "the server says that it is %s, and showed the certificate of %s", r.RemoteName, name)
	}
	return g.checkCert(cert)
}

func (g *routeGuard) remember(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.liars) >= mostLiars {
		clear(g.liars)
	}
	g.liars[id] = true
}

// forget drops the certificates of routes that have closed.
func (g *routeGuard) forget(open map[uint64]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, a := range g.accepted {
		if !open[id] && time.Since(a.at) > time.Minute { // nats-server shows a route a moment after Check
			delete(g.accepted, id)
		}
	}
}
