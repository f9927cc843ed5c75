package bus

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/keys"
)

// heardFor is how long a server counts as heard: nodes ask each other something every second.
const heardFor = 4 * time.Second

// routeGate is nats-server's custom authentication of routes. It lets routeAuth decide, and
// answers the question of a node that starts: is a server of its name heard here already?
// A CONNECT with a user is the question. No is the answer where one is heard.
type routeGate struct {
	certs  *routeAuth // nil where routes need no certificates
	routes func() []*server.RouteInfo
	log    *slog.Logger
}

// Check implements server.Authentication.
func (g *routeGate) Check(c server.ClientAuthentication) bool {
	name := c.GetOpts().Username
	if name == "" {
		return g.certs == nil || g.certs.Check(c)
	}
	if _, err := core.ParseNodeName(name); err != nil {
		return false
	}
	if g.certs != nil {
		state := c.GetTLSConnectionState()
		if state == nil || g.certs.verify(*state) != nil || keys.NodeName(state.PeerCertificates[0]) != name {
			return false // a client may not ask about others
		}
	}
	for _, r := range g.routes() {
		if r.RemoteName == name && time.Since(r.LastActivity) < heardFor {
			g.log.Warn("a node may not start, because another one has its name", "name", name, "starting at", hostOf(remoteOf(c)), "running at", r.IP) // without its port, which is new each time: a repeated line is counted
			return false
		}
	}
	return true
}

// Run is one server that is heard under a name.
type Run struct {
	ID      string // nats-server's
	Address string // where its route comes from
	Since   time.Time
}

// DuplicateNames are the runs of each name under which two or more servers have a route to this
// node, and are heard. The routes of a node that has just died or started do not count.
func (s *Server) DuplicateNames() map[string][]Run {
	srv := s.running()
	if srv == nil || s.cfg.Cluster == nil {
		return nil
	}
	byName := map[string][]Run{}
	for _, r := range openRoutes(srv) {
		known := slices.ContainsFunc(byName[r.RemoteName], func(run Run) bool { return run.ID == r.RemoteID })
		if r.RemoteName != "" && !known && time.Since(r.LastActivity) < heardFor && time.Since(r.Start) > time.Second {
			byName[r.RemoteName] = append(byName[r.RemoteName], Run{ID: r.RemoteID, Address: r.IP, Since: r.Start})
		}
	}
	for name, runs := range byName {
		if len(runs) < 2 {
			delete(byName, name)
			continue
		}
		slices.SortFunc(runs, func(a, b Run) int { return strings.Compare(a.ID, b.ID) })
	}
	return byName
}

// RouteListen is the address on which this server accepts routes; "" while it accepts none.
func (s *Server) RouteListen() string {
	srv := s.running()
	if srv == nil || s.cfg.Cluster == nil {
		return ""
	}
	return hostPort(srv.ClusterAddr())
}

// PeerHosts are the addresses, without ports, of the servers that have a route to this one, by name.
func (s *Server) PeerHosts() map[string]string {
	hosts := map[string]string{}
	if srv := s.running(); srv != nil {
		for _, r := range openRoutes(srv) {
			hosts[r.RemoteName] = r.IP
		}
	}
	return hosts
}

func openRoutes(srv *server.Server) []*server.RouteInfo {
	info, err := srv.Routez(nil)
	if err != nil {
		return nil // the server is stopping
	}
	return info.Routes
}
