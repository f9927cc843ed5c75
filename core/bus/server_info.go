package bus

import (
	"net"
	"slices"

	"unibus/core/auth"
)

// Addr is the clients' listener as host:port, with the port that was taken. "" while closed.
func (s *Server) Addr() string {
	if srv := s.running(); srv != nil {
		return hostPort(srv.Addr())
	}
	return ""
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

// Channels are those that clients of this node may see: one for each certificate since
// the start, or the one of a connection without TLS.
func (s *Server) Channels() []auth.Channel {
	if s.running() == nil {
		return nil
	}
	if s.cert == nil {
		return []auth.Channel{{}}
	}
	return slices.Clone(s.cert.current().channels)
}

// FileFaults are the bundles of CAs and the lists of revoked certificates that cannot be
// used as they are now. The last good ones are in use.
func (s *Server) FileFaults() []FileFault {
	if s.running() == nil || s.routes == nil {
		return nil
	}
	if f := s.routes.roots.currentFault(); f.Reason != "" {
		return []FileFault{f} // the list is read with the bundle
	}
	if f := s.routes.revoked.currentFault(); f.Reason != "" {
		return []FileFault{f}
	}
	return nil
}

// Traffic is what the server has received and sent since its start, over all connections:
// users', the node's own and the routes.
type Traffic struct {
	ReceivedMessages, SentMessages int64
	ReceivedBytes, SentBytes       int64
	SlowConsumers                  int64 // connections that were ended because they did not read
}

// Traffic is zero while the server is closed.
func (s *Server) Traffic() Traffic {
	srv := s.running()
	if srv == nil {
		return Traffic{}
	}
	v, err := srv.Varz(nil)
	if err != nil { // it never returns one today
		return Traffic{}
	}
	return Traffic{
		ReceivedMessages: v.InMsgs, SentMessages: v.OutMsgs, ReceivedBytes: v.InBytes, SentBytes: v.OutBytes, SlowConsumers: v.SlowConsumers,
	}
}
