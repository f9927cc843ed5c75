package bus

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/auth"
)

// How long parts of a connection's life may take. Admission waits for the
// directory, so a server gives up after core/auth has.
const (
	tlsSeconds    = 5 // of routes
	lameDuckGrace = 100 * time.Millisecond
	lameDuck      = time.Second
)

// accountsText declares the accounts of DESIGN D1 in the server's own language,
// with what SYS and CONTROL export. Exports name no importer: an account can be
// made by this process alone (accounts.go), and clients have no way to import.
func accountsText(jetstream bool) string {
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

// options builds what nats-server is made of. Ports of gateways, leaf nodes,
// websocket and MQTT stay 0: those listeners do not exist.
func (s *Server) options() (*server.Options, error) {
	cfg := &s.cfg
	o := &server.Options{}
	if err := o.ProcessConfigString(accountsText(cfg.JetStream)); err != nil {
		return nil, core.Errorf(core.KindFailed, "the accounts could not be declared: %w", err)
	}
	host, port, err := splitAddr("--listen", cfg.Listen)
	if err != nil {
		return nil, err
	}
	o.ServerName, o.Host, o.Port = cfg.Name, host, freePort(port)
	o.NoSigs = true // signals are the program's
	o.AlwaysEnableNonce = true
	o.CustomClientAuthentication = s.gate
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
	o.SyncAlways = true // acknowledged means on disk (DESIGN D11)
	o.JetStreamLimits = server.JSLimitOpts{
		MaxBatchSize: 1000, MaxBatchInflightPerStream: 50, MaxBatchInflightTotal: 1000, MaxBatchTimeout: 10 * time.Second,
	}
}

func (s *Server) tlsOptions(o *server.Options) error {
	if s.cfg.CertFile == "" {
		return nil
	}
	s.cert = s.renewable(s.cfg.CertFile, s.cfg.KeyFile)
	conf, err := clientTLS(s.cert)
	if err != nil {
		return err
	}
	// TLSHandshakeFirst is off by default: the nats CLI needs telling. A fallback would hide nothing: who waits is sent INFO in clear.
	// TLSRateLimit panics in an embedded server.
	o.TLSHandshakeFirst = s.cfg.TLSFirst
	o.TLS, o.TLSConfig, o.TLSTimeout = true, conf, s.cfg.Limits.AuthTimeout.Seconds()
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
		NoAdvertise: true, // nobody learns an address that the operator did not give
		TLSTimeout:  tlsSeconds,
	}
	for _, r := range c.Routes {
		u, err := routeURL(r)
		if err != nil {
			return err
		}
		o.Routes = append(o.Routes, u)
	}
	if c.CertFile == "" {
		return nil
	}
	return s.routeSecurity(o)
}

// routeSecurity is for a cluster with certificates.
func (s *Server) routeSecurity(o *server.Options) error {
	c := s.cfg.Cluster
	revoked, err := s.revocations()
	if err != nil {
		return err
	}
	s.guard = newRouteGuard(c, revoked, s.log)
	p := s.renewable(c.CertFile, c.KeyFile)
	p.check = ownRouteCert(s.cfg.Name, c.CertFile)
	o.CustomRouterAuthentication = s.guard
	o.Cluster.TLSConfig, err = routeTLS(c, p, s.guard)
	return err
}

// freePort is nats-server's word for "any free port".
func freePort(port int) int {
	if port == 0 {
		return server.RANDOM_PORT
	}
	return port
}

// routeURL reads one of --routes: host:port, with or without nats:// or tls://.
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
