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

// accountsText declares the accounts of DESIGN D1 in the server's own language:
// only there can imports be declared before the server is made. AUDIT gets four
// reading calls of CONTROL's JetStream API, each exported to it alone.
func accountsText(jetstream bool) string {
	if !jetstream {
		return "accounts { SYS {}, CONTROL {}, BUS {}, AUDIT {} }\nsystem_account: SYS\n"
	}
	var exports, imports []string
	for _, api := range auth.AuditedAPI() {
		exports = append(exports, fmt.Sprintf("{service: %q, accounts: [%s]}", "$JS.API."+api, auth.AccountAudit))
		imports = append(imports, fmt.Sprintf("{service: {account: %s, subject: %q}, to: %q}",
			auth.AccountControl, "$JS.API."+api, auth.AuditPrefix+api))
	}
	return fmt.Sprintf("accounts {\n SYS {}\n CONTROL { jetstream: enabled, exports: [\n%s\n] }\n BUS {}\n AUDIT { imports: [\n%s\n] }\n}\nsystem_account: SYS\n",
		strings.Join(exports, "\n"), strings.Join(imports, "\n"))
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
	o.MaxConn, o.MaxSubs = l.Connections, l.Subscriptions
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
	conf, err := clientTLS(s.renewable(s.cfg.CertFile, s.cfg.KeyFile))
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
	o.Cluster.TLSConfig, err = routeTLS(c, s.renewable(c.CertFile, c.KeyFile))
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
