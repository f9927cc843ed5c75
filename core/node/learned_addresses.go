package node

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/keys"
)

// learnedAddressesFile keeps the addresses over a restart: a node that hangs meanwhile says
// nothing, and its address is what shows that it hangs.
const learnedAddressesFile = "route-addresses.json"

// learnedAddresses are those on which the other nodes accept routes, by their own word. The
// address of a node that joined later may be in nobody's configuration.
type learnedAddresses struct {
	path   string                   // of the file; "": in tests
	hosts  func() map[string]string // where the routes of the nodes come from; nil in tests without a server
	byNode map[string]learnedAddress
	saved  map[string]string
}

type learnedAddress struct {
	run  string // nats-server's id of the run that said so; "": it is from the file
	addr string
}

func newLearnedAddresses() learnedAddresses {
	return learnedAddresses{byNode: map[string]learnedAddress{}}
}

// load takes the addresses from the file. Without it there are none.
func (l *learnedAddresses) load() error {
	data, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	saved := map[string]string{}
	if err == nil {
		err = json.Unmarshal(data, &saved)
	}
	if err != nil {
		return err
	}
	for name, addr := range saved {
		_, bad := core.ParseNodeName(name)
		if _, _, err := net.SplitHostPort(addr); err == nil && bad == nil && len(l.byNode) < maxNodeRecords {
			l.byNode[name] = learnedAddress{addr: addr}
		}
	}
	l.saved = saved
	return nil
}

// save writes the file, if it is not what is known.
func (l *learnedAddresses) save() error {
	now := map[string]string{}
	for name, a := range l.byNode {
		now[name] = a.addr
	}
	if l.path == "" || maps.Equal(now, l.saved) && (len(now) == 0 || !wasRemoved(l.path)) {
		return nil
	}
	data, err := json.Marshal(now)
	if err == nil {
		err = keys.Replace(l.path, append(data, '\n'))
	}
	if err == nil {
		l.saved = now
	}
	return err
}

// see learns the addresses of the nodes that are heard, and forgets nodes that belong to the
// cluster no more. One from the file stays until its node is in the view: who belongs to the
// cluster may not be known yet.
func (l *learnedAddresses) see(v cluster.View) {
	var hosts map[string]string // are asked for once, where a node does not name its host
	known := map[string]learnedAddress{}
	for name, a := range l.byNode {
		if a.run == "" {
			known[name] = a
		}
	}
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
