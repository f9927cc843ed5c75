package sshd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"charm.land/ssh"
	"charm.land/wish/v2"
	"charm.land/wish/v2/ratelimiter"
	"charm.land/wish/v2/recover"
	gossh "golang.org/x/crypto/ssh"

	"unibus/core"
	"unibus/tui/feed"
)

// Config configures a Server. Client and Dir are required. Zero values take the defaults in brackets.
type Config struct {
	Client  feed.Client // of an operator of the role viewer
	Dir     string      // the host key and the last known operators are kept here
	Version string
	Log     *slog.Logger // [nothing is logged]

	MaxSessions      int           // open at the same time [32]
	IdleTimeout      time.Duration // without a key [30 min]
	HandshakeTimeout time.Duration // until the login [10 s]
	KeepAlive        time.Duration // between two questions whether the client is there; it has as long to answer [20 s]
	CheckInterval    time.Duration // of the operators in force [1 s]
}

const (
	defaultMaxSessions = 32
	maxAuthTries       = 10 // keys that a client offers: an agent may hold several
	sessionsPerSecond  = 5  // of one address
	sessionBurst       = 40
	ratedAddresses     = 1024
)

// Server serves the console over SSH.
type Server struct {
	cfg         Config
	hostKey     gossh.Signer
	operators   *operators
	connections *connections
	client      *sharedClient
	refused     refusedLogins
	failed      context.CancelCauseFunc // ends Serve
}

// New does no I/O.
func New(cfg Config) *Server {
	setDefault(&cfg.MaxSessions, defaultMaxSessions)
	setDefault(&cfg.IdleTimeout, 30*time.Minute)
	setDefault(&cfg.HandshakeTimeout, 10*time.Second)
	setDefault(&cfg.KeepAlive, 20*time.Second)
	setDefault(&cfg.CheckInterval, time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg: cfg, operators: newOperators(filepath.Join(cfg.Dir, operatorsFile)), connections: newConnections(cfg.MaxSessions),
		failed: func(error) {},
	}
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Open reads the host key, or makes it, and the operators that were known last.
func (s *Server) Open() error {
	key, err := openHostKey(s.cfg.Dir)
	if err != nil {
		return err
	}
	s.hostKey = key
	return s.operators.load()
}

// Fingerprint is the host key's, as ssh shows it. Open comes first.
func (s *Server) Fingerprint() string { return gossh.FingerprintSHA256(s.hostKey.PublicKey()) }

// KnownHost is the line of a known_hosts file for a host, as "[n1.example.org]:2222".
func (s *Server) KnownHost(host string) string {
	key := gossh.MarshalAuthorizedKey(s.hostKey.PublicKey())
	return host + " " + string(key[:len(key)-1])
}

// Serve serves the connections of l until ctx ends, and closes l. It returns an error if the server's own
// identity may do more than read, or if l fails.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, s.failed = context.WithCancelCause(ctx)
	defer s.failed(nil)
	s.client = newSharedClient(s.cfg.Client)
	srv, err := wish.NewServer(s.options(ctx)...)
	if err != nil {
		return core.Errorf(core.KindFailed, "the SSH server cannot be made: %w", err)
	}
	go s.watch(ctx)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case <-ctx.Done():
		err = context.Cause(ctx)
	case err = <-ended:
		err = core.Errorf(core.KindFailed, "the SSH server stopped: %w", err).WithNext("start it again")
	}
	_ = srv.Close()
	s.connections.closeAll()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *Server) options(ctx context.Context) []ssh.Option {
	limiter := ratelimiter.NewRateLimiter(sessionsPerSecond, sessionBurst, ratedAddresses)
	panics := slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelError)
	return []ssh.Option{
		func(srv *ssh.Server) error {
			srv.AddHostKey(s.hostKey)
			srv.Version = "unibus"
			srv.HandshakeTimeout = s.cfg.HandshakeTimeout
			// Not nil: the library's own defaults are global, and may have more.
			srv.ChannelHandlers = map[string]ssh.ChannelHandler{"session": s.handleChannel}
			srv.RequestHandlers = map[string]ssh.RequestHandler{}
			srv.SubsystemHandlers = map[string]ssh.SubsystemHandler{}
			srv.PublicKeyHandler = func(conn ssh.Context, key ssh.PublicKey) bool { return s.mayLogIn(ctx, connectionOf(conn), key) }
			srv.ConnCallback = s.connections.add
			srv.ServerConfigCallback = s.sshConfig
			srv.ConnectionFailedCallback = func(conn net.Conn, err error) { s.refused.note(conn.RemoteAddr(), err) }
			return nil
		},
		wish.WithMiddleware( // the last one is the outermost
			func(ssh.Handler) ssh.Handler { return s.handleSession },
			ratelimiter.Middleware(limiter),
			recover.MiddlewareWithLogger(panics),
		),
	}
}

// sshConfig limits what may be negotiated. Only keys that an operator can have are worth a signature.
func (s *Server) sshConfig(ssh.Context) *gossh.ServerConfig {
	return &gossh.ServerConfig{MaxAuthTries: maxAuthTries, PublicKeyAuthAlgorithms: acceptedKeys()}
}

// watch ends the sessions of keys that belong to no operator any more, and idle or hanging ones.
func (s *Server) watch(ctx context.Context) {
	t := time.NewTicker(s.cfg.CheckInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if s.connections.haveSession() {
			s.refreshOperators(ctx)
		}
		now := time.Now()
		s.connections.closeExpired(now, s.cfg.IdleTimeout, func(op core.Operator, key ssh.PublicKey) bool {
			is, ok := s.operators.ofKey(key, now)
			return ok && is.Key == op.Key
		})
		s.refused.log(s.cfg.Log)
	}
}

// mayLogIn is asked for each key that a client offers, before the client has signed with it.
func (s *Server) mayLogIn(ctx context.Context, c *connection, key ssh.PublicKey) bool {
	if c.isFirstKey() {
		s.refreshOperators(ctx)
	}
	_, ok := s.operators.ofKey(key, time.Now())
	return ok
}

// refreshOperators reads the operators in force. Without an answer the last known ones hold: without a
// quorum and without any node the console has to open and say why.
func (s *Server) refreshOperators(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	st, err := s.client.Status(ctx)
	if err != nil {
		return
	}
	if err := checkIdentity(st.Operator); err != nil {
		s.failed(err)
		return
	}
	if err := s.operators.set(st.View); err != nil {
		s.cfg.Log.Error("the operators in force cannot be kept for the next start", "err", err)
	}
}

// CheckIdentity returns an error if the nodes say that the server's own identity may act. While no node
// answers that is not known, and Serve looks again.
func (s *Server) CheckIdentity(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	st, err := s.cfg.Client.Status(ctx)
	if err != nil {
		return nil //nolint:nilerr // the console has to open without any node, too
	}
	return checkIdentity(st.Operator)
}

func checkIdentity(op core.Operator) error {
	if op.Role == core.OperatorViewer {
		return nil
	}
	return core.Errorf(core.KindRefused, "the identity belongs to %s, whose role is %s: a console over SSH would hold more than it may give", op.Name, op.Role).
		WithNext("make a key for this server alone, name it in the nodes' configuration with the role viewer, and give its file with --identity")
}
