package cluster

import (
	"slices"
	"strings"
)

// A node that was restarted while another one is silent has never seen which node is at which
// address. A fault that it finds at the addresses is reported all the same, for all of them
// together.

// namelessRoutes are the routes of the looking node at which it found a fault and no node.
func (v View) namelessRoutes() []Route {
	n, _ := v.node(v.From)
	if n.Info == nil {
		return nil
	}
	reported := func(r Route) bool {
		return slices.ContainsFunc(v.Nodes, func(o Node) bool {
			return slices.ContainsFunc(o.Unheard, func(u Unheard) bool { return u.Addr == r.Addr })
		})
	}
	return slices.DeleteFunc(slices.Clone(n.Info.Routes), func(r Route) bool { return r.Node != "" || r.Fault == "" || reported(r) })
}

// namelessSilences are the causes of silent nodes for which no report gives one, by the
// routes without a node. It is nil where their numbers differ.
func (v View) namelessSilences(names []string) []silence {
	unexplained := slices.DeleteFunc(v.silent(), func(name string) bool {
		n, _ := v.node(name)
		return n.silence().fault != ""
	})
	routes := v.namelessRoutes()
	if len(routes) != len(unexplained) || v.neverHeard() > 0 || len(names) == 0 {
		return nil
	}
	var addrs []string
	for _, r := range routes {
		addrs = append(addrs, r.Addr)
	}
	differs := func(r Route) bool { return r.Fault != routes[0].Fault || r.Detail != routes[0].Detail }
	switch {
	case !slices.ContainsFunc(routes, differs):
		if len(names) < len(unexplained) {
			addrs = []string{strings.Join(addrs, " or ")} // which of them is not known
		}
		return []silence{{fault: routes[0].Fault, detail: routes[0].Detail, nodes: names, addrs: addrs, by: []string{v.From}}}
	case len(names) < len(unexplained):
		return nil
	}
	var out []silence
	for _, r := range routes {
		out = append(out, silence{fault: r.Fault, detail: r.Detail, hosts: r.Hosts, nodes: []string{"the one of " + join(unexplained) + " at " + r.Addr}, addrs: []string{r.Addr}, by: []string{v.From}})
	}
	return out
}

// routesUntried is true of nodes that the looking one has not heard since its start, while it
// has not tried its routes yet: nothing is known of them.
func (v View) routesUntried(names []string) bool {
	n, _ := v.node(v.From)
	return (n.Info == nil || len(n.Info.Routes) == 0) && !slices.ContainsFunc(names, func(name string) bool {
		other, _ := v.node(name)
		return other.HeardMS >= 0
	})
}

// hostsOf are the hosts of addresses.
func hostsOf(addrs []string) string {
	var hosts []string
	for _, a := range addrs {
		for one := range strings.SplitSeq(a, " or ") {
			hosts = appendNew(hosts, hostOf([]string{one}))
		}
	}
	return strings.Join(hosts, " ")
}

// withSessions are the nodes that have sessions of users, or may have: a node that has
// admitted no one since its start has none that go on.
func (v View) withSessions(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		n, _ := v.node(name)
		return n.Info != nil && n.Info.Sessions != nil && *n.Info.Sessions == 0
	})
}
