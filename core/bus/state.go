package bus

import (
	"errors"
	"net"
	"os"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
)

// ClientURL is where clients of this machine connect: tls:// or nats://, host and port. "" while closed.
func (s *Server) ClientURL() string {
	addr := s.Addr()
	if addr == "" {
		return ""
	}
	if s.cfg.CertFile != "" {
		return "tls://" + addr
	}
	return "nats://" + addr
}

// Addr is the listener's host:port with the port that was really taken. "" while closed.
func (s *Server) Addr() string {
	if srv := s.running(); srv != nil {
		return hostPort(srv.Addr())
	}
	return ""
}

// ClusterAddr is the same for routes; "" without a cluster too.
func (s *Server) ClusterAddr() string {
	srv := s.running()
	if srv == nil || s.cfg.Cluster == nil {
		return ""
	}
	return hostPort(srv.ClusterAddr())
}

func hostPort(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp == nil {
		return ""
	}
	return tcp.String()
}

// ID is nats-server's id of this run, "" while closed.
func (s *Server) ID() string {
	if srv := s.running(); srv != nil {
		return srv.ID()
	}
	return ""
}

// MetaLeader is the node that leads the meta group as this one knows it, "" where nobody does.
func (s *Server) MetaLeader() string {
	srv := s.running()
	if srv == nil || !s.cfg.JetStream || s.cfg.Cluster == nil {
		return ""
	}
	info, err := srv.Jsz(&server.JSzOptions{})
	if err != nil || info.Meta == nil {
		return ""
	}
	return info.Meta.Leader
}

// IsLeader says whether this node leads the meta group.
func (s *Server) IsLeader() bool {
	srv := s.running()
	return srv != nil && s.cfg.Cluster != nil && srv.JetStreamIsLeader()
}

// Routes is how many routes are up: with one route to a peer, how many peers are connected.
func (s *Server) Routes() int {
	if srv := s.running(); srv != nil {
		return srv.NumRoutes()
	}
	return 0
}

// Healthz says whether this node takes connections and, with JetStream, is part
// of the meta group and current there. It says nothing of single buckets. KindUnavailable.
func (s *Server) Healthz() error {
	srv := s.running()
	if srv == nil {
		return core.Errorf(core.KindUnavailable, "the bus is not open")
	}
	if !s.cfg.JetStream {
		return nil // nats-server would call a node without JetStream ill
	}
	h := srv.Healthz(&server.HealthzOptions{JSMetaOnly: true})
	if h.Status != "ok" {
		return core.Errorf(core.KindUnavailable, "the bus is not healthy: %s", h.Error)
	}
	return nil
}

// listenReason is what the system said about an address, in a few words.
func listenReason(err error) string {
	var sys *os.SyscallError
	var dns *net.DNSError
	switch {
	case errors.As(err, &sys):
		return sys.Err.Error()
	case errors.As(err, &dns):
		return "no such host"
	}
	return err.Error()
}

// inProcessError puts what nats.go says into unibus's kinds.
func inProcessError(err error) error {
	if errors.Is(err, nats.ErrAuthorization) {
		return core.Errorf(core.KindRefused, "the bus does not know this internal identity: %w", err)
	}
	return core.Errorf(core.KindUnavailable, "the bus does not answer from inside the process: %w", err)
}
