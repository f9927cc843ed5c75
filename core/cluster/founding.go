package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"unibus/core"
)

// founding is true of a new cluster in which the looking node has never heard a configured
// node, which may be up all the same. JetStream
// elects no first leader without all the nodes that the routes name, though a majority is up;
// later a majority suffices.
func (v View) founding() bool {
	fresh := v.Meta.Leader == "" && v.Meta.Last == "" && !v.KnowsStreams && v.noRecord() && len(v.AllBuckets()) == 0 && len(v.Lost) == 0
	if !v.Clustered || v.At == 0 || !fresh {
		return false
	}
	for _, n := range v.Nodes {
		if n.Online && n.Info == nil {
			return false // it may know more
		}
	}
	return len(v.neverUp())+v.neverHeard() > 0
}

// neverUp are the nodes that are known by name and have never been heard.
func (v View) neverUp() []string {
	var out []string
	for _, n := range v.Nodes {
		if !n.Online && n.HeardMS < 0 {
			out = append(out, n.Name)
		}
	}
	return out
}

// judgeFounding says which node a new cluster waits for, and where it is to be started.
func judgeFounding(v View) []Finding {
	names, unnamed := v.neverUp(), v.neverHeard()
	who := join(names)
	if unnamed > 0 {
		who = fmt.Sprintf("%s of its %s nodes", number(len(names)+unnamed), number(v.Expected))
	}
	text := fmt.Sprintf("The cluster is being founded: %s has not heard %s yet. It elects its first leader once all %s have been up; until then no user can connect.",
		v.From, who, number(v.Expected))
	missing, next := len(names)+unnamed, []string{}
	for _, s := range v.unacceptedRoutes() {
		text += " " + capital(s.cause(true), s.nodes[0], v.From) + "."
		next = append(next, v.advice(s, s.nodes[0]))
		missing -= len(s.nodes)
		names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(s.nodes, n) })
	}
	if missing > 0 {
		next = append(next, "start unibusd on "+v.whereToStart(names))
	}
	level := Critical
	if len(v.sqliteNodes()) > 0 {
		text = strings.Replace(text, "no user can connect", "no move is possible", 1)
		level = Degraded
	}
	return []Finding{{level, "meta", text, strings.Join(next, "; ")}}
}

// unacceptedRoutes are those of the looking node where a process listens and something else
// is wrong: the missing node may be up, with a fault of its configuration or of the
// network.
func (v View) unacceptedRoutes() []silence {
	n, _ := v.node(v.From)
	if n.Info == nil {
		return nil
	}
	var out []silence
	for _, r := range n.Info.Routes {
		if r.Fault == "" || r.Fault == core.FaultRefused || r.Fault == core.FaultRouteToItself {
			continue
		}
		name := cmp.Or(r.Node, v.neverUpAt(r.Addr), hostOf([]string{r.Addr}))
		if other, _ := v.node(name); other.Online {
			continue
		}
		i := slices.IndexFunc(out, func(s silence) bool { return s.fault == r.Fault && s.detail == r.Detail && r.Node == "" })
		if i >= 0 { // one cause, as a closed firewall has for several
			out[i].nodes, out[i].addrs = append(out[i].nodes, name), append(out[i].addrs, r.Addr)
			continue
		}
		out = append(out, silence{fault: r.Fault, detail: r.Detail, hosts: r.Hosts, nodes: []string{name}, addrs: []string{r.Addr}, by: []string{v.From}})
	}
	return out
}

// neverUpAt is the node that was never heard and has the name of an address; "" if none has.
func (v View) neverUpAt(addr string) string {
	names := v.neverUp()
	if i := slices.IndexFunc(names, func(name string) bool { return isHostOf(addr, name) }); i >= 0 {
		return names[i]
	}
	return ""
}

// whereToStart names the nodes with the addresses of routes at which no server answers.
func (v View) whereToStart(names []string) string {
	silent := v.silentRoutes()
	var out []string
	for _, name := range names {
		i := slices.IndexFunc(silent, func(addr string) bool { return isHostOf(addr, name) })
		switch {
		case i >= 0:
			out = append(out, fmt.Sprintf("%s (%s)", name, silent[i]))
			silent = slices.Delete(silent, i, i+1)
		case len(names) == 1 && len(silent) == 1:
			return fmt.Sprintf("%s (%s)", name, silent[0])
		default:
			out = append(out, name)
		}
	}
	switch {
	case len(silent) == 0 && len(out) == 0:
		return "the nodes of routes that do not answer"
	case len(silent) == 0:
		return join(out)
	case len(out) == 0:
		return fmt.Sprintf("the %s of %s", plural(len(silent), "host", "hosts"), join(silent))
	}
	return fmt.Sprintf("%s; no server answers at %s", join(out), join(silent))
}

// silentRoutes are the addresses of routes at which no process listens, as their hosts say.
func (v View) silentRoutes() []string {
	n, _ := v.node(v.From)
	if n.Info == nil {
		return nil
	}
	var out []string
	for _, r := range n.Info.Routes {
		if r.Fault == core.FaultRefused {
			out = append(out, r.Addr)
		}
	}
	return out
}

// isHostOf is true of an address whose host begins with the node's name: n1.example.org:6222.
func isHostOf(addr, node string) bool {
	rest, ok := strings.CutPrefix(addr, node)
	return ok && rest != "" && (rest[0] == '.' || rest[0] == ':')
}
