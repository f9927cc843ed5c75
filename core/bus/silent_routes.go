package bus

import (
	"context"
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
			_ = conn.Close()
		})
	}
	trying.Wait()
	return slices.DeleteFunc(silent, func(addr string) bool { return addr == "" })
}
