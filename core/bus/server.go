package bus

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
)

// openTimeout bounds Open where its context does not.
const openTimeout = 60 * time.Second

// Server is one embedded nats-server. Open it once, close it once or more.
type Server struct {
	cfg  Config
	log  *slog.Logger
	gate *gate
	cert *pair // of the clients' listener; nil without TLS, and before Open

	guard *routeGuard // of routes with certificates; else nil

	mu      sync.Mutex
	srv     *server.Server // nil before Open and after an Open that failed
	opened  bool           // Open was called
	opening bool           // Fatal texts are Open's result, not yet the program's end
	broken  string         // the first fatal text while opening
	closing bool           // what breaks now was going to end anyway
	away    func()         // ends the reaper and the guard

	closeMu sync.Mutex // serializes Close, so that every caller returns when it is done
}

// New makes a Server that asks a about every connection.
func New(cfg Config, a Authenticator) *Server {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cfg.Limits = cfg.Limits.orDefaults()
	return &Server{cfg: cfg, log: log, gate: newGate(a, cfg.Limits, log)}
}

// Open starts the server and returns once clients, and peers where there is a
// cluster, can connect. It does not wait for a meta leader. KindInvalid for a
// wrong configuration, KindRefused for a data directory that is not this node's,
// KindFailed where a port is taken or JetStream does not start, KindUnavailable
// where ctx ended first. After a failure nothing is left running.
func (s *Server) Open(ctx context.Context) error {
	s.mu.Lock()
	again := s.opened
	s.opened, s.opening = true, true
	s.mu.Unlock()
	if again {
		return core.Errorf(core.KindFailed, "the bus was opened before")
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
	background, away := context.WithCancel(context.Background())
	s.away = away
	go s.reapIdle(background, srv)
	if s.guard != nil {
		go s.guard.run(background, srv)
	}
	if s.cfg.Debug {
		s.log.Info("the server's monitoring is on", "addr", srv.MonitorAddr().String())
	}
	return nil
}

// CheckDir says whether the data directory is this node's, and writes nothing. KindRefused.
func (s *Server) CheckDir() error {
	m, err := readMark(s.cfg.DataDir)
	if err != nil || m == nil {
		return err
	}
	return s.cfg.checkMark(*m)
}

// CheckPorts says whether both addresses can be listened on. KindFailed names the flag.
func (s *Server) CheckPorts() error {
	if err := s.cfg.check(); err != nil {
		return err
	}
	if err := portFree("--listen", s.cfg.Listen); err != nil {
		return err
	}
	if c := s.cfg.Cluster; c != nil {
		return portFree("--cluster-listen", c.Listen)
	}
	return nil
}

// prepare checks everything that can be checked before a server is made.
func (s *Server) prepare() error {
	if err := s.CheckPorts(); err != nil {
		return err
	}
	if err := s.cfg.claim(); err != nil {
		return err
	}
	if s.cfg.RescanBlocks && s.cfg.JetStream {
		return dropIndexes(s.cfg.DataDir)
	}
	return nil
}

// portFree listens for a moment: nats-server would only log that a port is
// taken. Somebody can still come in between; then Open reports the server's own words.
func portFree(flag, addr string) error {
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
	srv.SetLogger(&natsLog{log: s.log, debug: s.cfg.Debug, fatal: s.fatal}, s.cfg.Debug, false)
	if err := s.gate.own.prepare(srv, s.gate.decider.OperatorGrants()); err != nil {
		return nil, err
	}
	s.gate.srv.Store(srv)
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Start()
	}()
	if err := s.ready(ctx, srv, done); err != nil {
		srv.Shutdown()
		<-done
		srv.WaitForShutdown()
		return nil, err
	}
	return srv, nil
}

// ready waits until the server takes connections and JetStream runs, or something broke.
func (s *Server) ready(ctx context.Context, srv *server.Server, started <-chan struct{}) error {
	late := core.Errorf(core.KindUnavailable, "the bus was not ready in time").
		WithNext("look at the log; a large store takes longer to read after a crash")
	select {
	case <-started:
	case <-ctx.Done():
		return late
	}
	for !srv.ReadyForConnections(100 * time.Millisecond) {
		if text := s.brokenText(); text != "" || ctx.Err() != nil {
			break
		}
	}
	switch text := s.brokenText(); {
	case text != "":
		return core.Errorf(core.KindFailed, "the bus could not start: %s", text)
	case ctx.Err() != nil:
		return late
	case s.cfg.JetStream && !srv.JetStreamEnabled():
		return core.Errorf(core.KindFailed, "JetStream did not start in %s", s.cfg.DataDir).WithNext("look at the log for the reason")
	}
	return nil
}

func (s *Server) brokenText() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// fatal is where nats-server says that it cannot go on.
func (s *Server) fatal(text string) {
	s.mu.Lock()
	opening, closing := s.opening, s.closing
	if opening && s.broken == "" {
		s.broken = text
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

// Close stops the server: in a cluster it first hands over what it leads and
// lets clients go in their own time; when ctx ends it goes at once. It returns
// when everything has stopped. Twice is harmless.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.opened, s.closing = true, true
	srv, away := s.srv, s.away
	s.mu.Unlock()
	s.closeMu.Lock()
	defer s.closeMu.Unlock()
	if srv == nil {
		return nil
	}
	away()
	if s.cfg.Cluster != nil && srv.Running() {
		s.handOver(ctx, srv)
	}
	srv.Shutdown()
	srv.WaitForShutdown()
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

// Identity is one of the process's own: keys.Identity has these methods.
type Identity interface {
	Public() string
	SignNonce(nonce []byte) ([]byte, error)
}

// InProcess connects from inside the process, past the listener; internal
// identities are accepted from here alone. The connection comes back by itself
// until it is closed. KindUnavailable before Open and after Close, KindRefused
// where the authenticator does not know the identity.
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

// Channels are those that clients of this node may see: one for each certificate
// that it has shown since it started, or the one of a connection without TLS.
func (s *Server) Channels() []auth.Channel {
	if s.running() == nil {
		return nil
	}
	if s.cert == nil {
		return []auth.Channel{{}}
	}
	return s.cert.channels()
}

// CertUntil says when the first of the node's certificates expires; the zero time without TLS.
func (s *Server) CertUntil() (time.Time, error) {
	files := []string{s.cfg.CertFile}
	if c := s.cfg.Cluster; c != nil {
		files = append(files, c.CertFile, c.CAFile)
	}
	var first time.Time
	for _, f := range files {
		if f == "" {
			continue
		}
		until, err := keys.CertUntil(f)
		if err != nil {
			return time.Time{}, err
		}
		if first.IsZero() || until.Before(first) {
			first = until
		}
	}
	return first, nil
}
