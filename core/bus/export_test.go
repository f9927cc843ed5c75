package bus

import (
	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
)

// DefaultConnections is the limit of a Server whose Config sets none.
const DefaultConnections = defaultConnections

// Fatal is what nats-server does where it cannot go on.
func (s *Server) Fatal(text string) { s.fatal(text) }

// ClientURL is where a client on this machine connects: tls:// or nats://, host and port. "" while closed.
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

// MetaLeader is the node that leads the meta group as this one knows it, "" where none does.
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

// Healthz says whether this node accepts connections and, with JetStream, is part of
// the meta group and current there. KindUnavailable.
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
