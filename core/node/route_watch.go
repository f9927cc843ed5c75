package node

import (
	"context"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/cluster"
)

const (
	// probeEvery is how often routes are tried while each node is heard: a certificate
	// that has expired closes no route, and would keep the next one from opening.
	probeEvery = 15 * time.Second
	// probeSoon is how often they are tried while one is not.
	probeSoon = 2 * time.Second
)

// routeWatch is what this node knows of the ways to its peers, for every node to see.
type routeWatch struct {
	name     string
	probe    func(ctx context.Context, others []string) []bus.RouteProbe
	observer atomic.Pointer[cluster.Observer] // nil until the node has one

	mu     sync.Mutex
	hears  []string // nil before the first observation
	lost   bool     // a known or configured node is not heard
	stale  []string // nodes that fell silent since the last try, in that order, perhaps twice
	routes []cluster.Route
	owners map[string]string // the nodes at the addresses, also while they are silent

	learned learnedAddresses
	silent  []string // nodes that are not heard, in order
	others  []string // the addresses of the last try that no configured route has
}

func newRouteWatch(name string, probe func(ctx context.Context, others []string) []bus.RouteProbe) *routeWatch {
	return &routeWatch{name: name, probe: probe, owners: map[string]string{}, learned: newLearnedAddresses()}
}

// run tries the routes until ctx ends.
func (w *routeWatch) run(ctx context.Context) {
	var last time.Time
	repeat(ctx, probeSoon, func() {
		w.mu.Lock()
		lost := w.lost
		w.mu.Unlock()
		if lost || time.Since(last) >= probeEvery {
			last = time.Now()
			w.try(ctx)
		}
	})
}

// try tries each route once.
func (w *routeWatch) try(ctx context.Context) {
	w.mu.Lock()
	begun, silent := core.MillisOf(time.Now()), len(w.stale)
	w.others = w.otherAddresses()
	others := w.others
	w.mu.Unlock()
	w.note(w.probe(ctx, others), begun, silent)
}

// see notes which nodes an observation heard. An error is that of saving their addresses.
func (w *routeWatch) see(v cluster.View) error {
	hears, lost := []string{}, len(v.Nodes) < v.Expected
	var silent []string
	for _, n := range v.Nodes {
		switch {
		case n.Name == w.name:
		case n.Reachable():
			hears = append(hears, n.Name)
		default:
			lost, silent = true, append(silent, n.Name)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.learned.see(v)
	for _, name := range silent { // one that was never heard may have been added just now
		if !slices.Contains(w.silent, name) {
			w.stale = append(w.stale, name)
		}
	}
	w.hears, w.silent, w.lost = hears, silent, lost
	return w.learned.save()
}

// otherAddresses are those that silent nodes had by their own word, where no configured route
// is known to lead to them. Only there is seen whether such a node has stopped, or hangs.
func (w *routeWatch) otherAddresses() (addrs []string) {
	for _, name := range w.silent {
		learned, known := w.learned.byNode[name]
		if owner, taken := w.owners[learned.addr]; !known || taken && owner != name {
			continue
		}
		elsewhere := false
		for addr, owner := range w.owners {
			elsewhere = elsewhere || owner == name && addr != learned.addr
		}
		if !elsewhere {
			w.owners[learned.addr] = name
			addrs = append(addrs, learned.addr)
		}
	}
	return addrs
}

// note keeps what came of the tries. A fault that stays keeps its beginning. The tries say
// nothing about nodes that fell silent after they began; silent is how many had before.
func (w *routeWatch) note(probes []bus.RouteProbe, now core.Millis, silent int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.routes
	w.routes, w.stale = nil, w.stale[silent:]
	for _, p := range probes {
		if p.Node != "" {
			w.owners[p.Addr] = p.Node
		}
		twice := slices.ContainsFunc(w.routes, func(r cluster.Route) bool { return r.Addr == p.Addr })
		if p.Fault == core.FaultRouteToItself || w.owners[p.Addr] == w.name || p.Addr == "" || twice {
			continue
		}
		r := cluster.Route{Addr: p.Addr, Node: w.owners[p.Addr], Fault: p.Fault, Detail: core.Redact(p.Detail), Hosts: p.Hosts, Since: now}
		i := slices.IndexFunc(before, func(b cluster.Route) bool { return b.Addr == r.Addr && b.Fault == r.Fault })
		if i >= 0 {
			r.Since = before[i].Since
		}
		w.routes = append(w.routes, r)
	}
}

// report returns the nodes that this one hears, and its routes. A result from before a
// node's silence is not its cause, and is left out, also where nobody knows whose address it
// is: it may be of the time when another node started. So is one at an address that is tried
// only while its node is silent, once the node is heard.
func (w *routeWatch) report() (hears []string, routes []cluster.Route) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hears, slices.DeleteFunc(slices.Clone(w.routes), func(r cluster.Route) bool {
		return slices.Contains(w.stale, r.Node) || r.Node == "" && len(w.stale) > 0 || slices.Contains(w.others, r.Addr) && slices.Contains(w.hears, r.Node)
	})
}

// own returns the addresses that lead to this node itself.
func (w *routeWatch) own() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for addr, name := range w.owners {
		if name == w.name {
			out = append(out, addr)
		}
	}
	slices.Sort(out)
	return out
}

// relay returns what this node heard of nodes that another one does not hear.
func (w *routeWatch) relay(hears []string) []cluster.Relayed {
	o := w.observer.Load()
	if o == nil {
		return nil
	}
	return o.Relay(append(slices.Clone(hears), w.name)) // the asking node is among those that it hears
}

// serviceUnit is the unit of systemd that runs this process, "" where none does. A
// service whose type is notify has the socket, a shell has not.
func serviceUnit() string {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return ""
	}
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	return unitOf(string(data))
}

// unitOf finds the service in the lines of /proc/PID/cgroup.
func unitOf(cgroup string) string {
	for line := range strings.Lines(cgroup) {
		unit, isService := strings.CutSuffix(path.Base(strings.TrimSpace(line)), ".service")
		if isService && unit != "" {
			return unit
		}
	}
	return ""
}
