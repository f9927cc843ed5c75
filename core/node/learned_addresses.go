package node

import (
	"net"

	"unibus/core/cluster"
)

// learnedAddresses are those on which the other nodes accept routes, by their own word. The
// address of a node that joined later may be in nobody's configuration.
type learnedAddresses struct {
	hosts  func() map[string]string // where the routes of the nodes come from; nil in tests without a server
	byNode map[string]learnedAddress
}

type learnedAddress struct {
	run  string // nats-server's id of the run that said so
	addr string
}

func newLearnedAddresses() learnedAddresses {
	return learnedAddresses{byNode: map[string]learnedAddress{}}
}

// see learns the addresses of the nodes that are heard, and forgets nodes that belong to the
// cluster no more.
func (l *learnedAddresses) see(v cluster.View) {
	var hosts map[string]string // are asked for once, where a node does not name its host
	known := map[string]learnedAddress{}
	for _, n := range v.Nodes {
		before, seen := l.byNode[n.Name]
		if seen {
			known[n.Name] = before
		}
		if !n.Reachable() || n.Info == nil || n.Info.RouteListen == "" || seen && before.run == n.Info.ID {
			continue
		}
		host, port, err := net.SplitHostPort(n.Info.RouteListen)
		if err != nil {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			if hosts == nil && l.hosts != nil {
				hosts = l.hosts()
			}
			host = hosts[n.Name]
		}
		if host != "" {
			known[n.Name] = learnedAddress{n.Info.ID, net.JoinHostPort(host, port)}
		}
	}
	l.byNode = known
}
