package cluster

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// faultAccepted stands for a node to which a route can be opened, and that does not answer all the same.
const faultAccepted core.RouteFault = "accepted"

// routeStays is how long a fault between nodes that hear each other must last to be a finding.
const routeStays = 30 * time.Second

// staysFor is shorter for a refused certificate: the next lost connection is not opened again.
func staysFor(f core.RouteFault) time.Duration {
	if f == core.FaultCertificate || f == core.FaultOwnCertificate {
		return 0
	}
	return routeStays
}

// causes orders faults, the one that tells most first: a host that refuses connections
// from one node is up, though another node gets no reply from it.
func causes() []core.RouteFault {
	return []core.RouteFault{
		core.FaultCertificate, core.FaultOwnCertificate, core.FaultHung, core.FaultRefused, core.FaultForeign, core.FaultClosed,
		faultAccepted, core.FaultUnresolved, core.FaultTimeout, core.FaultUnreachable,
	}
}

// silence is several nodes that do not answer for the same reason.
type silence struct {
	fault  core.RouteFault // "": not known
	detail string
	hosts  string // that a new certificate needs
	nodes  []string
	addrs  []string
	by     []string // who found it
}

// silences groups silent nodes by cause. Each certificate is renewed by a command of its own.
func (v View) silences(names []string) []silence {
	var out []silence
	var unexplained []string
	for _, name := range names {
		if n, _ := v.node(name); n.silence().fault == "" {
			unexplained = append(unexplained, name)
		}
	}
	nameless := v.namelessSilences(unexplained)
	for _, name := range names {
		n, _ := v.node(name)
		s := n.silence()
		if s.fault == "" && nameless != nil {
			continue
		}
		i := slices.IndexFunc(out, func(o silence) bool {
			return o.fault == s.fault && o.detail == s.detail && s.fault != core.FaultCertificate
		})
		if i < 0 {
			out = append(out, s)
			continue
		}
		out[i].nodes = append(out[i].nodes, name)
		out[i].addrs = appendNew(out[i].addrs, s.addrs...)
		out[i].by = appendNew(out[i].by, s.by...)
	}
	return append(out, nameless...)
}

func appendNew(list []string, more ...string) []string {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

// silence is the cause that tells most among those that the other nodes found.
func (n Node) silence() silence {
	out := silence{nodes: []string{n.Name}}
	rank := len(causes())
	for _, u := range n.Unheard {
		fault := u.Fault
		if fault == "" && u.Addr != "" {
			fault = faultAccepted
		}
		r := slices.Index(causes(), fault)
		if r < 0 || r > rank {
			continue
		}
		if r < rank {
			rank, out = r, silence{fault: fault, detail: u.Detail, hosts: u.Hosts, nodes: out.nodes}
		}
		out.addrs, out.by = appendNew(out.addrs, u.Addr), append(out.by, u.By)
	}
	return out
}

// cause is what is known about why nodes are silent, as the end of a sentence about them
// alone or, with their names, as a part of a longer one. "" where nothing is.
func (s silence) cause(named bool) string {
	whose, at := plural(len(s.nodes), "its ", "their "), "there"
	if named {
		whose, at = "", "on "+join(s.nodes)
	}
	of := func(one, more string) string {
		if named {
			return "the " + plural(len(s.nodes), one, more) + " of " + join(s.nodes)
		}
		return whose + plural(len(s.nodes), one, more)
	}
	addrs, k := join(s.addrs), len(s.nodes)
	switch s.fault {
	case core.FaultRefused:
		return fmt.Sprintf("unibusd does not run %s (%s: connection refused)", at, addrs)
	case core.FaultHung:
		return fmt.Sprintf("%s %s (%s: %s)", of("process", "processes"), plural(k, "hangs", "hang"), addrs, s.detail)
	case core.FaultTimeout, core.FaultUnreachable:
		return fmt.Sprintf("%s %s not reply to %s (%s: %s)", of("host", "hosts"), plural(k, "does", "do"), join(s.by), addrs, s.detail)
	case core.FaultUnresolved:
		return fmt.Sprintf("%s cannot resolve %s (%s)", join(s.by), addrs, s.detail)
	case core.FaultCertificate:
		return fmt.Sprintf("%s %s refused by %s: %s", of("route certificate", "route certificates"), plural(k, "is", "are"), join(s.by), s.detail)
	case core.FaultOwnCertificate:
		return fmt.Sprintf("%s %s the route certificate of %s (%s)", subjectOf(named, s.nodes), plural(k, "refuses", "refuse"), join(s.by), s.detail)
	case core.FaultForeign, core.FaultClosed:
		return fmt.Sprintf("%s is not answered by a node of this cluster (%s)", addrs, s.detail)
	case faultAccepted:
		return fmt.Sprintf("%s %s routes (%s), and no questions yet", subjectOf(named, s.nodes), plural(k, "accepts", "accept"), addrs)
	}
	return ""
}

func subjectOf(named bool, nodes []string) string {
	if named {
		return join(nodes)
	}
	return plural(len(nodes), "it", "they")
}

// causesOf says why nodes are silent, to follow the sentence that they are; "" where that is not known.
func (v View) causesOf(nodes []string) string {
	groups := v.silences(nodes)
	var parts []string
	for _, g := range groups {
		if text := g.cause(len(groups) > 1); text != "" {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", and ")
}

// neverReached are the routes of the looking node to nodes that no node knows, as silences
// of the hosts there.
func (v View) neverReached() []silence {
	n, _ := v.node(v.From)
	if n.Info == nil {
		return nil
	}
	var out []silence
	for _, r := range n.Info.Routes {
		if _, known := v.node(r.Node); !known && r.Fault != "" {
			out = append(out, silence{fault: r.Fault, detail: r.Detail, hosts: r.Hosts, nodes: []string{hostOf([]string{r.Addr})}, addrs: []string{r.Addr}, by: []string{v.From}})
		}
	}
	return out
}

// neverReachedCauses are what became of those routes, in brackets.
func (v View) neverReachedCauses() string {
	var parts []string
	for _, s := range v.neverReached() {
		parts = append(parts, s.addrs[0]+": "+s.detail)
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// neverReachedAdvice says what lets nodes answer that never did.
func (v View) neverReachedAdvice() string {
	var parts []string
	for _, s := range v.neverReached() {
		parts = append(parts, v.advice(s, s.nodes[0]))
	}
	if len(parts) != v.neverHeard() { // another one is not known by its route
		return "start unibusd on the nodes of routes that have not answered yet"
	}
	return strings.Join(parts, "; ")
}

// reviveAdvice says what brings silent nodes back. Which names those that suffice.
func (v View) reviveAdvice(nodes []string, which string) string {
	groups := v.silences(nodes)
	if len(groups) == 1 {
		return v.ownFaultAdvice(groups) + v.advice(groups[0], which)
	}
	var parts []string
	for _, g := range groups {
		parts = append(parts, v.advice(g, join(g.nodes)))
	}
	return v.ownFaultAdvice(groups) + strings.Join(parts, "; ")
}

// ownFaultAdvice is for a node that reaches no other host, or refuses the certificate of each:
// the fault is more likely its own than that of all others.
func (v View) ownFaultAdvice(groups []silence) string {
	nodes := 0
	all := func(faults ...core.RouteFault) bool {
		return !slices.ContainsFunc(groups, func(s silence) bool { return !slices.Contains(faults, s.fault) })
	}
	for _, s := range groups {
		nodes += len(s.nodes)
	}
	on := v.online()
	switch {
	case len(on) != 1 || nodes < 2:
		return ""
	case all(core.FaultTimeout, core.FaultUnreachable):
		return fmt.Sprintf("check the network of %s first, because it hears no other node; then ", on[0])
	case all(core.FaultCertificate):
		return fmt.Sprintf("check --route-tls-ca and the clock of %s first, because it refuses the certificate of every other node; then ", on[0])
	}
	return ""
}

func (v View) advice(s silence, which string) string {
	switch s.fault {
	case core.FaultHung:
		return "restart unibusd on " + which + v.serviceCommand("restart", s.nodes)
	case core.FaultTimeout, core.FaultUnreachable:
		return fmt.Sprintf("check that the %s of %s %s up, and route and firewall from %s to %s; where unibusd does not run, start it%s",
			plural(len(s.nodes), "host", "hosts"), join(s.nodes), plural(len(s.nodes), "is", "are"), join(s.by), join(s.addrs), v.serviceCommand("start", s.nodes))
	case core.FaultUnresolved:
		return fmt.Sprintf("correct the name in DNS or in /etc/hosts on %s: getent hosts %s", join(s.by), hostsOf(s.addrs))
	case core.FaultCertificate:
		if strings.HasSuffix(s.detail, core.NotYetValid) {
			return fmt.Sprintf("compare the clocks of %s: timedatectl", join(appendNew(s.by, s.nodes...)))
		}
		return v.renewAdvice(s.nodes, cmp.Or(s.hosts, hostOf(s.addrs)))
	case core.FaultOwnCertificate:
		if strings.Contains(s.detail, core.UnknownAuthority) {
			return fmt.Sprintf("if %s was removed, as `unibusd node list` at another node shows, stop it; else add the CA of its route certificate to --route-tls-ca on %s: docs/operations/certificates.md has the order",
				join(s.by), join(s.nodes))
		}
		// A node that was removed while it was down hears so from nobody: all refuse its certificate.
		return fmt.Sprintf("if %s was removed, as `unibusd node list` at another node shows, stop it; else %s", join(s.by), v.renewAdvice(s.by, v.routeCertHosts(s.by[0])))
	case core.FaultForeign, core.FaultClosed:
		if strings.HasPrefix(s.detail, core.OtherCluster) {
			return fmt.Sprintf("give %s and %s the same --cluster-name, and restart unibusd where it was another one", join(s.nodes), join(s.by))
		}
		return fmt.Sprintf("check which program listens on %s, and routes in the configuration of %s: ss -ltnp", join(s.addrs), join(s.by))
	case faultAccepted:
		return "wait a few seconds; if this stays, restart unibusd on " + which + v.serviceCommand("restart", s.nodes)
	}
	start := "start unibusd on " + which + v.serviceCommand("start", s.nodes)
	if s.fault == "" && v.routesUntried(s.nodes) {
		return fmt.Sprintf("wait a few seconds until %s has tried its routes; if nothing more is known then, %s", v.From, start)
	}
	return start
}

// hostOf is the host of the first address.
func hostOf(addrs []string) string {
	if len(addrs) == 0 {
		return ""
	}
	if host, _, err := net.SplitHostPort(addrs[0]); err == nil {
		return host
	}
	return addrs[0]
}

// routeCertHosts are the hosts of the route certificate that a node shows, HOST where it has not said.
func (v View) routeCertHosts(node string) string {
	if n, _ := v.node(node); n.Info != nil && n.Info.DiskComparison != nil {
		for _, c := range n.Info.DiskComparison.Certificates {
			if c.Use == UseRoutes && c.Hosts != "" {
				return c.Hosts
			}
		}
	}
	return "HOST"
}

// renewAdvice names the file of each certificate, where its node has ever said it.
func (v View) renewAdvice(nodes []string, host string) string {
	var files []string
	for _, name := range nodes {
		file := "the route certificate"
		if n, _ := v.node(name); n.Info != nil && n.Info.RouteCert != "" {
			file = n.Info.RouteCert
		}
		files = append(files, file+" on "+name)
	}
	return fmt.Sprintf("renew %s, and its key: unibusd cert node --name %s --ca DIR --host %s --out DIR", join(files), nodes[0], host)
}

// serviceCommand is ServiceCommand behind a colon, to end a sentence.
func (v View) serviceCommand(verb string, nodes []string) string {
	if command := v.ServiceCommand(verb, nodes...); command != "" {
		return ": " + command
	}
	return ""
}

// ServiceCommand is the service manager's command for nodes that it runs, or for nodes
// of which nothing is known where it runs the looking one. "" where they differ.
func (v View) ServiceCommand(verb string, nodes ...string) string {
	unit := ""
	for i, name := range nodes {
		n, _ := v.node(name)
		if n.Info == nil {
			n, _ = v.node(v.From)
		}
		if n.Info == nil || n.Info.Unit == "" || i > 0 && n.Info.Unit != unit {
			return ""
		}
		unit = n.Info.Unit
	}
	if unit == "" {
		return ""
	}
	return fmt.Sprintf("systemctl %s %s", verb, unit)
}

// isCut is true of two nodes that are up and do not hear each other.
func (v View) isCut(a, b string) bool {
	n, known := v.node(a)
	other, otherKnown := v.node(b)
	return known && otherKnown && n.Online && other.Online && n.unheardBy(b) != nil && other.unheardBy(a) != nil
}

// unheardBy is the report of one node about this one, nil where there is none.
func (n Node) unheardBy(by string) *Unheard {
	i := slices.IndexFunc(n.Unheard, func(u Unheard) bool { return u.By == by })
	if i < 0 {
		return nil
	}
	return &n.Unheard[i]
}

// cuts are the pairs of nodes that are up and do not hear each other.
func (v View) cuts() []link {
	var out []link
	for i, a := range v.Nodes {
		for _, b := range v.Nodes[i+1:] {
			if v.isCut(a.Name, b.Name) {
				out = append(out, link{a.Name, b.Name})
			}
		}
	}
	return out
}

// judgeRoutes is about nodes that are up and do not reach each other, or could not again.
func judgeRoutes(v View, now time.Time) []Finding {
	if v.At == 0 {
		return nil
	}
	return slices.Concat(v.cutFindings(), v.routeFaults(now), v.oldRouteFindings(now))
}

func (v View) cutFindings() []Finding {
	var fs []Finding
	for _, l := range v.cuts() {
		fs = append(fs, v.cutFinding(l))
	}
	return fs
}

// cutFinding says the same on every node, because it rests on the reports of both ends
// and of the nodes that hear both.
func (v View) cutFinding(l link) Finding {
	a, _ := v.node(l.a)
	b, _ := v.node(l.b)
	text := fmt.Sprintf("%s and %s do not hear each other; both are up. Messages of users on one do not reach users on the other.", l.a, l.b)
	if v.Meta.Online >= v.Meta.Needed {
		text += v.lossesByNode(" If %s stops, %s.")
	}
	return Finding{Degraded, "node." + l.a, text, v.cutAdvice(*b.unheardBy(l.a), *a.unheardBy(l.b))}
}

// cutAdvice looks at both ends: there is from one node to the other, back the other way.
func (v View) cutAdvice(there, back Unheard) string {
	for _, ends := range [][2]Unheard{{there, back}, {back, there}} {
		u, node := ends[0], ends[1].By
		s := silence{fault: u.Fault, detail: u.Detail, hosts: u.Hosts, nodes: []string{node}, addrs: []string{u.Addr}, by: []string{u.By}}
		switch u.Fault {
		case core.FaultCertificate, core.FaultOwnCertificate, core.FaultUnresolved, core.FaultForeign:
			return s.cause(true) + "; " + v.advice(s, node)
		}
	}
	return fmt.Sprintf("check route and firewall between %s and %s: %s", there.By, back.By, strings.Join([]string{there.attempt(), back.attempt()}, ", "))
}

// attempt is one try to open a route.
func (u Unheard) attempt() string {
	switch {
	case u.Addr == "":
		return "from " + u.By
	case u.Detail == "":
		return fmt.Sprintf("%s from %s", u.Addr, u.By)
	}
	return fmt.Sprintf("%s from %s (%s)", u.Addr, u.By, u.Detail)
}

// routeFaults are those between nodes that hear each other: the open route hides them until it closes.
func (v View) routeFaults(now time.Time) []Finding {
	var order []silence
	for _, n := range v.Nodes {
		if !n.Online || n.Info == nil {
			continue
		}
		old := v.oldRoutes(n, now)
		for _, r := range n.Info.Routes {
			other, known := v.node(r.Node)
			if slices.ContainsFunc(old, func(o oldRoute) bool { return o.addr == r.Addr }) {
				continue
			}
			if r.Fault == "" || !known || !other.Online || v.isCut(n.Name, r.Node) || Age(r.Since, now) < staysFor(r.Fault) {
				continue
			}
			s := silence{fault: r.Fault, detail: r.Detail, hosts: r.Hosts, nodes: []string{r.Node}, addrs: []string{r.Addr}, by: []string{n.Name}}
			i := slices.IndexFunc(order, func(o silence) bool { return o.fault == s.fault && o.detail == s.detail && o.nodes[0] == r.Node })
			if i < 0 {
				order = append(order, s)
				continue
			}
			order[i].addrs, order[i].by = appendNew(order[i].addrs, r.Addr), append(order[i].by, n.Name)
		}
	}
	var fs []Finding
	for _, s := range order {
		fs = append(fs, v.routeFaultFinding(s))
	}
	return fs
}

func (v View) routeFaultFinding(s silence) Finding {
	f := Finding{Level: Note, About: "node." + s.nodes[0], Next: v.advice(s, s.nodes[0])}
	switch s.fault {
	case core.FaultCertificate, core.FaultOwnCertificate:
		f.Level = Degraded
	case core.FaultTimeout, core.FaultUnreachable, core.FaultRefused, core.FaultHung, core.FaultClosed:
		f.Next = fmt.Sprintf("check route and firewall from %s to %s", join(s.by), join(s.addrs))
	}
	f.Text = fmt.Sprintf("%s cannot open a route to %s: %s. The route that is open stays, but cannot be opened again from there.", join(s.by), s.nodes[0], s.cause(true))
	return f
}

// cuts notes where two nodes stop to hear each other, and where they do again.
func (d *diff) cuts(old, next View) {
	before := old.cuts()
	for _, l := range next.cuts() {
		if !slices.Contains(before, l) {
			d.add(Degraded, l.a, "does not hear %s, and %s does not hear it; both are up", l.b, l.b)
		}
	}
	for _, l := range before {
		a, _ := next.node(l.a)
		b, _ := next.node(l.b)
		if a.Online && b.Online && !next.isCut(l.a, l.b) {
			d.add(Healthy, l.a, "and %s hear each other again", l.b)
		}
	}
}
