package cluster

import (
	"fmt"
	"slices"
	"strings"

	"unibus/core"
)

// founding is true of a new cluster in which a configured node has never been up. JetStream
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
	text := fmt.Sprintf("The cluster is being founded: %s %s never been up. It elects its first leader once all %s have been up; until then no user can connect.",
		who, plural(len(names)+unnamed, "has", "have"), number(v.Expected))
	level := Critical
	if len(v.sqliteNodes()) > 0 {
		text = strings.Replace(text, "no user can connect", "no move is possible", 1)
		level = Degraded
	}
	return []Finding{{level, "meta", text, "start unibusd on " + v.whereToStart(names)}}
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

// silentRoutes are the addresses of routes at which the looking node finds no server.
func (v View) silentRoutes() []string {
	n, _ := v.node(v.From)
	if n.Info == nil {
		return nil
	}
	var out []string
	for _, r := range n.Info.Routes {
		switch r.Fault {
		case core.FaultRefused, core.FaultUnreachable, core.FaultTimeout, core.FaultUnresolved:
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
