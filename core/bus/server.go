package bus

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
)

// openTimeout bounds Open where its context does not.
const openTimeout = 60 * time.Second

// Server is one embedded nats-server. Open it once, close it once or more.
type Server struct {
	cfg    Config
	log    *slog.Logger
	auth   *authAdapter
	cert   *reloaded[certificate] // of the clients' listener; nil without TLS, and before Open
	routes *routeAuth             // nil without a cluster

	routeTLS  *tls.Config            // of routes that this node opens; nil where routes is
	routeCert *reloaded[certificate] // nil where routes is
	dataID    string                 // of the data directory; "" without a cluster
	groups    lastGroups

	oldRoutes atomic.Pointer[[]string] // see SetOldRoutes

	mu             sync.Mutex
	srv            *server.Server // nil before Open and after an Open that failed
	opened         bool           // Open was called
	opening        bool           // a fatal error is Open's result, not yet the program's end
	fatalText      string         // the first fatal error while opening
	closing        bool           // a fatal error means nothing any more
	stopBackground func()         // ends the reaper and the check of routes
	background     sync.WaitGroup

	closeMu sync.Mutex // serializes Close, so that every caller returns when it is done
}

// New makes a Server that asks a about every connection. It does no I/O.
func New(cfg Config, a Authenticator) *Server {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cfg.Limits = cfg.Limits.orDefaults()
	return &Server{cfg: cfg, log: log, auth: newAuthAdapter(a, cfg.Limits, log)}
}

// Open starts the server and returns once clients, and peers where there is a
// cluster, can connect. It does not wait for a meta leader. KindInvalid for a
// wrong configuration, KindRefused for a data directory that is not this node's,
// KindFailed where a port is taken or JetStream does not start, KindUnavailable
// where ctx ended first. After a failure nothing is left running.
func (s *Server) Open(ctx context.Context) error {
	if err := s.beginOpen(); err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	srv, err := s.start(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.srv, s.opening = srv, false
	run, stop := context.WithCancel(context.Background())
	s.stopBackground = stop
	s.background.Go(func() { s.reapIdle(run, srv) })
	if s.routes != nil {
		s.background.Go(func() { s.routes.run(run, srv) })
	}
	if s.cfg.Debug {
		s.log.Info("the server's monitoring is on", "addr", srv.MonitorAddr().String())
	}
	return nil
}

// beginOpen lets the first Open through. A later one changes nothing: the server that
// is open reports its own fatal errors.
func (s *Server) beginOpen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return core.Errorf(core.KindFailed, "the bus was opened before")
	}
	s.opened, s.opening = true, true
	return nil
}

// CheckDir refuses a data directory that is not this node's, and writes nothing. KindRefused.
func (s *Server) CheckDir() error {
	o, err := readOwner(s.cfg.DataDir)
	if err != nil || o == nil {
		return err
	}
	return s.cfg.checkOwner(*o)
}

// CheckPorts fails where one of the addresses cannot be listened on. KindFailed names the flag.
func (s *Server) CheckPorts() error {
	if err := s.cfg.check(); err != nil {
		return err
	}
	if err := checkPort("--listen", s.cfg.Listen); err != nil {
		return err
	}
	if c := s.cfg.Cluster; c != nil {
		return checkPort("--cluster-listen", c.Listen)
	}
	return nil
}

// prepare checks everything that can be checked before a server is made.
func (s *Server) prepare() error {
	if err := s.CheckPorts(); err != nil {
		return err
	}
	o, err := s.cfg.claimDir()
	if err != nil {
		return err
	}
	s.dataID = o.ID
	if s.cfg.RescanBlocks && s.cfg.JetStream {
		return deleteIndexes(s.cfg.DataDir)
	}
	return nil
}

// checkPort listens for a moment: nats-server would only log that a port is taken. If
// another process takes the port in between, Open returns nats-server's own error.
func checkPort(flag, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return core.Errorf(core.KindFailed, "%s: cannot listen on %s: %s", flag, addr, listenReason(err)).
			WithNext("stop what is using the address (`ss -ltnp` shows it), or give another one with %s", flag)
	}
	return l.Close()
}

func (s *Server) start(ctx context.Context) (*server.Server, error) {
	o, err := s.options()
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the bus could not be made: %w", err)
	}
	srv.SetLogger(&natsLogger{log: s.log, debug: s.cfg.Debug, fatal: s.fatal, oldRoutes: &s.oldRoutes}, s.cfg.Debug, false)
	if err := s.auth.accounts.prepare(srv, s.auth.decider.OperatorGrants()); err != nil {
		return nil, err
	}
	s.auth.srv.Store(srv)
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Start()
	}()
	if err := s.awaitReady(ctx, srv, done); err != nil {
		srv.Shutdown()
		<-done
		srv.WaitForShutdown()
		return nil, err
	}
	return srv, nil
}

// awaitReady waits until the server accepts connections and JetStream runs, or fails.
func (s *Server) awaitReady(ctx context.Context, srv *server.Server, started <-chan struct{}) error {
	late := core.Errorf(core.KindUnavailable, "the bus was not ready in time").
		WithNext("look at the log; a large store takes longer to read after a crash")
	select {
	case <-started:
	case <-ctx.Done():
		return late
	}
	for !srv.ReadyForConnections(100 * time.Millisecond) {
		if text := s.fatalError(); text != "" || ctx.Err() != nil {
			break
		}
	}
	switch text := s.fatalError(); {
	case text != "":
		return core.Errorf(core.KindFailed, "the bus could not start: %s", text)
	case ctx.Err() != nil:
		return late
	case s.cfg.JetStream && !srv.JetStreamEnabled():
		return core.Errorf(core.KindFailed, "JetStream did not start in %s", s.cfg.DataDir).WithNext("look at the log for the reason")
	}
	return nil
}

func (s *Server) fatalError() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fatalText
}

// fatal is called where nats-server cannot go on.
func (s *Server) fatal(text string) {
	s.mu.Lock()
	opening, closing := s.opening, s.closing
	if opening && s.fatalText == "" {
		s.fatalText = text
	}
	s.mu.Unlock()
	if opening || closing {
		return
	}
	s.log.Error("the bus cannot go on", "reason", text)
	if s.cfg.Fatal != nil {
		s.cfg.Fatal(text)
	}
}

// Close stops the server. In a cluster it first hands over the groups that it leads,
// and clients disconnect one by one; when ctx ends it stops at once. It returns when
// everything has stopped. Twice is harmless.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.opened, s.closing = true, true
	srv, stop := s.srv, s.stopBackground
	s.mu.Unlock()
	s.closeMu.Lock()
	defer s.closeMu.Unlock()
	if srv == nil {
		return nil
	}
	stop()
	if s.cfg.Cluster != nil && srv.Running() {
		s.handOver(ctx, srv)
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	s.background.Wait()
	return nil
}

func (s *Server) handOver(ctx context.Context, srv *server.Server) {
	if ctx.Err() != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.LameDuckShutdown()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		srv.Shutdown() // ends the hand-over as well
		<-done
	}
}

// Identity is one of the process's own; keys.Identity implements it.
type Identity interface {
	Public() string
	SignNonce(nonce []byte) ([]byte, error)
}

// InProcess connects from inside the process, past the listener; internal
// identities are accepted from here alone. The connection reconnects by itself until
// it is closed. KindUnavailable before Open and after Close, KindRefused where the
// authenticator does not know the identity.
func (s *Server) InProcess(id Identity, opts ...nats.Option) (*nats.Conn, error) {
	srv := s.running()
	if srv == nil {
		return nil, core.Errorf(core.KindUnavailable, "the bus is not open")
	}
	all := append([]nats.Option{
		nats.InProcessServer(srv),
		nats.Nkey(id.Public(), id.SignNonce),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond),
		nats.IgnoreAuthErrorAbort(), // a refusal while the node starts is not the last word
	}, opts...)
	nc, err := nats.Connect("", all...)
	if err != nil {
		return nil, inProcessError(err)
	}
	return nc, nil
}

func (s *Server) running() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil
	}
	return s.srv
}

// SyncsWrites is true if the running server acknowledges what is on disk alone. A server
// without JetStream acknowledges nothing.
func (s *Server) SyncsWrites() bool {
	srv := s.running()
	if srv == nil {
		return true
	}
	c := srv.JetStreamConfig()
	return c == nil || c.SyncAlways
}

// HasTLS is true if the clients' listener speaks TLS.
func (s *Server) HasTLS() bool { return s.cert != nil }
