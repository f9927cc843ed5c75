package cluster

import (
	"fmt"
	"slices"
	"time"

	"unibus/core"
)

// A node whose address has changed is heard by its new one, because it opens routes to the
// others. Their configurations still have the old address, and nats-server tries that for as
// long as it runs. Three ways to take one route away were tried with 2.15.3. ReloadOptions, with a
// clone of the options without the route, and likewise with a copy that shares all else, ends the
// tries, but reloads users and accounts as well: every session is authenticated anew, with a
// signature that the server no longer has. The options that the server has are read by the tries
// without a lock that others can take, so that they cannot be changed in place. And there is no
// connection to close: the tries have none.

// oldRouteFaults are those of an address where no node is. Anything that answers is another fault.
func oldRouteFaults() []core.RouteFault {
	return []core.RouteFault{core.FaultRefused, core.FaultTimeout, core.FaultUnreachable, core.FaultUnresolved}
}

// oldRoute is an address in a node's configuration at which no node is any more.
type oldRoute struct {
	addr string
	node string   // whose it was; "" where that was never seen
	now  []string // the addresses that this node has now, by its own word
}

// oldRoutes are those of a node. The node whose address it was is heard elsewhere, and says
// that it has other ones. An address that was never reached is old if every node is heard,
// and none says that it is its own.
func (v View) oldRoutes(n Node, now time.Time) []oldRoute {
	if !n.Online || n.Info == nil {
		return nil
	}
	var out []oldRoute
	for _, r := range n.Info.Routes {
		if !slices.Contains(oldRouteFaults(), r.Fault) || Age(r.Since, now) < routeStays {
			continue
		}
		other, known := v.node(r.Node)
		switch {
		case known && other.saysOtherAddress(r.Addr) && !v.isCut(n.Name, r.Node):
			out = append(out, oldRoute{r.Addr, r.Node, other.Info.OwnRoutes})
		case r.Node == "" && v.isNobodys(r.Addr), v.isRemoved(r.Node):
			out = append(out, oldRoute{addr: r.Addr})
		}
	}
	return out
}

// saysOtherAddress is true of a node that answers, and has other addresses than this one.
func (n Node) saysOtherAddress(addr string) bool {
	return n.Online && n.Info != nil && len(n.Info.OwnRoutes) > 0 && !slices.Contains(n.Info.OwnRoutes, addr)
}

func (v View) isRemoved(name string) bool {
	return slices.ContainsFunc(v.Removed, func(c core.NodeChange) bool { return c.Name == name })
}

// isNobodys is true of an address that is that of no node, while every node answers.
func (v View) isNobodys(addr string) bool {
	return len(v.Nodes) == v.Expected && !slices.ContainsFunc(v.Nodes, func(n Node) bool { return !n.saysOtherAddress(addr) })
}

// OldRoutes are the addresses in the configuration of the looking node at which no node is any more.
func OldRoutes(v View, now time.Time) []string {
	n, _ := v.node(v.From)
	var out []string
	for _, r := range v.oldRoutes(n, now) {
		out = append(out, r.addr)
	}
	return out
}

// oldRouteFindings name each old address, and the nodes that have it.
func (v View) oldRouteFindings(now time.Time) []Finding {
	var order []oldRoute
	by := map[string][]string{}
	for _, n := range v.Nodes {
		for _, r := range v.oldRoutes(n, now) {
			if by[r.addr] = append(by[r.addr], n.Name); len(by[r.addr]) == 1 {
				order = append(order, r)
			}
		}
	}
	var fs []Finding
	for _, r := range order {
		where, next := "no node says that it is there", fmt.Sprintf("take %s out of routes", r.addr)
		if r.node != "" {
			where, next = r.node+" is at "+join(r.now), fmt.Sprintf("put %s in the place of %s in routes", join(r.now), r.addr)
		}
		fs = append(fs, Finding{
			Note, "config",
			fmt.Sprintf("%s %s the old address %s in routes: %s. It is tried in vain until the next start; the open routes stay.", join(by[r.addr]), plural(len(by[r.addr]), "has", "have"), r.addr, where),
			fmt.Sprintf("%s in the configuration of %s, which counts from the next start", next, join(by[r.addr])),
		})
	}
	return fs
}
