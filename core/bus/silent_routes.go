package bus

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
)

// SilentRoutes are the addresses of --routes at which no server takes a connection.
func (s *Server) SilentRoutes(ctx context.Context) []string {
	if s.cfg.Cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, nameAskTimeout)
	defer cancel()
	conf, err := s.nameAskTLS()
	if err != nil {
		return nil // the files cannot be read now; FileFaults has it
	}
	silent := make([]string, len(s.cfg.Cluster.Routes))
	var trying sync.WaitGroup
	for i, r := range s.cfg.Cluster.Routes {
		u, err := routeURL(r)
		if err != nil {
			continue // check has refused it
		}
		trying.Go(func() {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
			if err != nil {
				silent[i] = u.Host
				return
			}
			defer func() { _ = conn.Close() }()
			if conf != nil { // the other end would log a connection that ends before its handshake
				_ = tls.Client(conn, withHost(conf, u.Hostname())).HandshakeContext(ctx)
			}
		})
	}
	trying.Wait()
	return slices.DeleteFunc(silent, func(addr string) bool { return addr == "" })
}
