package bus

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/auth"
)

const (
	tlsSeconds    = 5 // of routes
	lameDuckGrace = 100 * time.Millisecond
	lameDuck      = time.Second
)

// accountsConfig declares the accounts of docs/decisions/0001 in nats-server's configuration
// language, with what SYS and CONTROL export. They are declared before the server is
// made: enabling JetStream for one afterwards loses a race on a restarted node. Exports
// name no importer, because this process alone makes accounts (accounts.go).
func accountsConfig(jetstream bool) string {
	var system []string
	for _, subject := range auth.MonitoredServices() { // every server answers
		system = append(system, fmt.Sprintf("{service: %q, response_type: stream}", subject))
	}
	for _, subject := range auth.MonitoredEvents() {
		system = append(system, fmt.Sprintf("{stream: %q}", subject))
	}
	control := []string{}
	for _, subject := range auth.AuditedAPI() {
		control = append(control, fmt.Sprintf("{service: %q}", subject))
	}
	enabled := ""
	if jetstream {
		enabled = "jetstream: enabled,"
	}
	return fmt.Sprintf("accounts {\n SYS { exports: [\n%s\n] }\n CONTROL { %s exports: [\n%s\n] }\n BUS {}\n %s { limits: { max_connections: 0 } }\n}\nsystem_account: SYS\n",
		strings.Join(system, "\n"), enabled, strings.Join(control, "\n"), accountFull)
}

// options builds nats-server's options. Ports of gateways, leaf nodes, websocket and
// MQTT stay 0: those listeners do not exist.
func (s *Server) options() (*server.Options, error) {
	cfg := &s.cfg
	o := &server.Options{}
	if err := o.ProcessConfigString(accountsConfig(cfg.JetStream)); err != nil {
		return nil, core.Errorf(core.KindFailed, "the accounts could not be declared: %w", err)
	}
	host, port, err := splitAddr("--listen", cfg.Listen)
	if err != nil {
		return nil, err
	}
	o.ServerName, o.Host, o.Port = cfg.Name, host, freePort(port)
	o.NoSigs = true // the program handles signals
	o.AlwaysEnableNonce = true
	o.CustomClientAuthentication = s.auth
	limitOptions(o, cfg.Limits)
	o.LameDuckDuration, o.LameDuckGracePeriod = lameDuck, lameDuckGrace
	o.DisableJetStreamBanner = true
	o.Debug = cfg.Debug
	if cfg.Debug {
		o.HTTPHost, o.HTTPPort = "127.0.0.1", server.RANDOM_PORT
	}
	s.jetStreamOptions(o)
	if err := s.tlsOptions(o); err != nil {
		return nil, err
	}
	return o, s.clusterOptions(o)
}

func limitOptions(o *server.Options, l Limits) {
	o.AuthTimeout = l.AuthTimeout.Seconds()
	o.MaxConn, o.MaxSubs = l.sockets(), l.Subscriptions
	o.MaxPayload, o.MaxPending = int32(l.Payload), l.Pending
}

func (s *Server) jetStreamOptions(o *server.Options) {
	if !s.cfg.JetStream {
		return
	}
	o.JetStream = true
	o.StoreDir = s.cfg.DataDir
	o.JetStreamMaxStore = s.cfg.MaxStore
	o.SyncAlways = true // acknowledged means on disk (docs/decisions/0011)
	o.JetStreamLimits = server.JSLimitOpts{
		MaxBatchSize: 1000, MaxBatchInflightPerStream: 50, MaxBatchInflightTotal: 1000, MaxBatchTimeout: 10 * time.Second,
	}
}

func (s *Server) tlsOptions(o *server.Options) error {
	if s.cfg.CertFile == "" {
		return nil
	}
	cert, err := s.loadCertificate(s.cfg.CertFile, s.cfg.KeyFile, anyCertificate)
	if err != nil {
		return err
	}
	s.cert = cert
	// TLSHandshakeFirst is off by default, because the nats CLI needs a flag for it. A fallback
	// would hide nothing: a client that waits is sent INFO in clear.
	// TLSRateLimit panics in an embedded server.
	o.TLSHandshakeFirst = s.cfg.TLSFirst
	o.TLS, o.TLSConfig, o.TLSTimeout = true, clientTLS(cert), s.cfg.Limits.AuthTimeout.Seconds()
	return nil
}

func (s *Server) clusterOptions(o *server.Options) error {
	c := s.cfg.Cluster
	if c == nil {
		return nil
	}
	host, port, err := splitAddr("--cluster-listen", c.Listen)
	if err != nil {
		return err
	}
	o.Cluster = server.ClusterOpts{
		Name: c.Name, Host: host, Port: freePort(port),
		PoolSize:    -1,   // one route to a peer: the default of three broke cold starts
		NoAdvertise: true, // clients learn no address that the operator did not give
		TLSTimeout:  tlsSeconds,
	}
	for _, r := range c.Routes {
		u, err := routeURL(r)
		if err != nil {
			return err
		}
		o.Routes = append(o.Routes, u)
	}
	if c.CertFile != "" {
		if err := s.routeSecurity(o); err != nil {
			return err
		}
	}
	o.CustomRouterAuthentication = &routeGate{certs: s.routes, log: s.log, routes: func() []*server.RouteInfo {
		if srv := s.running(); srv != nil {
			return openRoutes(srv)
		}
		return nil // it has just started, and hears no node yet
	}}
	return nil
}

// routeSecurity is for a cluster with certificates.
func (s *Server) routeSecurity(o *server.Options) error {
	c := s.cfg.Cluster
	revoked, err := s.loadRevocations()
	if err != nil {
		return err
	}
	roots, err := s.loadRoots()
	if err != nil {
		return err
	}
	cert, err := s.loadCertificate(c.CertFile, c.KeyFile, ownRouteCert(s.cfg.Name, c.CertFile, roots))
	if err != nil {
		return err
	}
	s.routeCert = cert
	s.routes = newRouteAuth(c, revoked, roots, s.log)
	s.routeTLS = routeTLS(cert, s.routes)
	o.Cluster.TLSConfig = s.routeTLS
	o.Cluster.Advertise = ownRoute(c, cert.current().pair.Leaf)
	return nil
}

// ownRoute is the address under which this node's peers reach it: the one that --routes
// has for it, or the name in its certificate. "" where neither is known.
//
// nats-server passes on to every peer where a node can be reached, and peers open routes
// to what they learn. Without this address they learn the one that a connection comes
// from, for which a certificate with names alone is not valid: they try it for ever.
func ownRoute(c *Cluster, cert *x509.Certificate) string {
	listenHost, listenPort, err := net.SplitHostPort(c.Listen)
	if err != nil || cert == nil {
		return ""
	}
	for _, r := range c.Routes {
		if u, err := routeURL(r); err == nil && u.Port() == listenPort && cert.VerifyHostname(u.Hostname()) == nil {
			return u.Host
		}
	}
	if cert.VerifyHostname(listenHost) == nil || listenPort == "0" {
		return ""
	}
	for _, name := range cert.DNSNames {
		if !strings.Contains(name, "*") {
			return net.JoinHostPort(name, listenPort)
		}
	}
	return ""
}

// freePort returns the value that makes nats-server take any free port.
func freePort(port int) int {
	if port == 0 {
		return server.RANDOM_PORT
	}
	return port
}

// routeURL parses one of --routes: host:port, with or without nats:// or tls://.
func routeURL(r string) (*url.URL, error) {
	addr := r
	for _, scheme := range []string{"nats://", "tls://", "nats-route://"} {
		addr = strings.TrimPrefix(addr, scheme)
	}
	host, port, err := splitAddr("--routes", addr)
	if err != nil || host == "" || port == 0 {
		return nil, core.Errorf(core.KindInvalid, "--routes: %q is not host:port", r).WithNext("for example --routes n1.example.org:6222,n2.example.org:6222")
	}
	return &url.URL{Scheme: "nats-route", Host: addr}, nil
}
