package guide

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
)

// caUse is one of the two CAs of a cluster, as it is in use now.
type caUse struct {
	of, short string // how sentences and files call it
	leaves    []nodeLeaf
	bundles   []nodeBundle
	next      string   // the id of the new CA; "" before it is seen
	old       []string // the ids of all others
}

// nodeLeaf is a certificate that a node shows.
type nodeLeaf struct {
	node cluster.Node
	cluster.Certificate
}

// nodeBundle is a file of CAs that a node uses, or this program.
type nodeBundle struct {
	node *cluster.Node // nil: this program, for all clients
	core.CABundle
}

// certificates replaces both CAs in the order that keeps every route and client: first the
// bundle with both CAs everywhere, then the certificates, then the bundle without the old
// CA. A step is done by what each node uses now, whatever is in its files.
func certificates(c *checklist) {
	routes, bus := c.routeCAs(), c.busCAs()
	if c.requireAnswers(); !c.open {
		if len(routes.bundles)+len(bus.bundles) == 0 {
			c.notApplicable("no CA of this cluster is known: its routes have none, and no --tls-ca is given")
			return
		}
		for _, u := range []*caUse{routes, bus} {
			if len(u.bundles) == 0 {
				continue // a public CA, or none
			}
			u.choose(c.OldCAs)
			c.report.OldCAs = append(c.report.OldCAs, u.old...)
		}
	}
	c.report.OldCAs = unique(append(c.report.OldCAs, c.OldCAs...))
	if len(c.report.OldCAs) > 0 {
		c.report.Resume = Command("certificates", "--old-ca", strings.Join(c.report.OldCAs, ","))
	}
	c.replaceCA(routes)
	c.replaceCA(bus)
	c.groupsCurrent()
	if !c.open {
		c.report.Text = replaced(routes, bus)
	}
}

// replaced says at the end which steps were verified, and which could not be.
func replaced(routes, bus *caUse) string {
	text := ""
	if len(routes.leaves) > 0 {
		text = "Every node shows a route certificate of the new CA " + routes.name() + ", and no bundle has another CA. "
	}
	switch {
	case len(bus.leaves) > 0 && len(bus.bundles) > 0:
		text += "Every node shows clients a certificate of the new CA " + bus.name() + ", and " + bus.bundles[0].File + " has no other; the bundles of other clients cannot be seen here. "
	case len(bus.leaves) > 0:
		text += "The CA of the bus was not replaced: no --tls-ca is given, so that clients verify the bus by the CAs of their system. "
	}
	return text + "Destroy the keys of the old CAs."
}

// NeedsTrusted is true of a guide that wants Facts.Trusted.
func (g Guide) NeedsTrusted() bool { return g.Name == "certificates" }

func unique(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (c *checklist) routeCAs() *caUse {
	u := &caUse{of: "the routes", short: "route"}
	for _, n := range c.Nodes {
		for _, cert := range certificatesOf(n) {
			switch cert.Use {
			case cluster.UseRoutes:
				u.leaves = append(u.leaves, nodeLeaf{n, cert})
			case cluster.UseAuthority:
				u.bundles = append(u.bundles, nodeBundle{&n, core.CABundle{File: cert.File, CAs: cert.CAs, Fault: fileFault(n, cert.File)}})
			}
		}
	}
	return u
}

func (c *checklist) busCAs() *caUse {
	u := &caUse{of: "the bus", short: "bus"}
	for _, n := range c.Nodes {
		for _, cert := range certificatesOf(n) {
			if cert.Use == cluster.UseClients {
				u.leaves = append(u.leaves, nodeLeaf{n, cert})
			}
		}
	}
	if c.Trusted != nil && len(u.leaves) > 0 {
		u.bundles = append(u.bundles, nodeBundle{nil, *c.Trusted})
	}
	return u
}

func certificatesOf(n cluster.Node) []cluster.Certificate {
	if n.Info == nil || n.Info.DiskComparison == nil {
		return nil
	}
	return n.Info.DiskComparison.Certificates
}

// choose finds the new CA: the newest of those that the round does not replace. In a round
// that begins it is the newest of several, and one alone is the CA to be replaced.
func (u *caUse) choose(old []string) {
	begun := map[string]core.Millis{}
	for _, b := range u.bundles {
		for _, ca := range b.CAs {
			begun[ca.ID] = max(begun[ca.ID], ca.From)
		}
	}
	for _, l := range u.leaves {
		if _, known := begun[l.Signer]; !known {
			begun[l.Signer] = l.From // that of the CA is not known
		}
	}
	for id, from := range begun {
		candidate := !slices.Contains(old, id) && (len(old) > 0 || len(begun) > 1)
		if candidate && (u.next == "" || cmp.Or(cmp.Compare(from, begun[u.next]), strings.Compare(id, u.next)) > 0) {
			u.next = id
		}
	}
	for id := range begun {
		if id != u.next {
			u.old = append(u.old, id)
		}
	}
	slices.Sort(u.old)
}

func (u *caUse) name() string { return core.ShortCA(u.next) }

// requireAnswers waits for nodes that do not answer: a certificate of the old CA that one
// of them still has would open no route in the end.
func (c *checklist) requireAnswers() {
	s := Step{
		Title: "Every node says which CAs it uses", Why: "a node that is left out has no route once the old CA is out", Type: []string{"unibus-tui status"},
		Seen: fmt.Sprintf("%d nodes say it", len(c.Nodes)),
	}
	found := Done
	for _, n := range c.Nodes {
		switch {
		case !n.Online || n.Info == nil:
			found, s.Seen = Waiting, n.Name+" does not answer"
		case slices.ContainsFunc(certificatesOf(n), func(cert cluster.Certificate) bool { return cert.Signer == "" && len(cert.CAs) == 0 }):
			s.Seen = n.Name + " runs a release that does not say it: upgrade it first"
			c.add(s, Unsafe)
			return
		}
	}
	if unseen := c.Expected - len(c.Nodes); found == Done && unseen > 0 {
		found, s.Seen = Waiting, fmt.Sprintf("%d of %d nodes have never answered", unseen, c.Expected)
	}
	c.add(s, found)
}

// replaceCA adds the steps of one CA.
func (c *checklist) replaceCA(u *caUse) {
	if len(u.leaves) == 0 || len(u.bundles) == 0 {
		return
	}
	seen := "in use: " + u.shortOld()
	if u.next != "" {
		seen = "the new CA is " + u.name() + "; to be replaced: " + cmp.Or(u.shortOld(), "none")
	}
	first := u.bundles[0] // a new CA is seen only where it is in use
	where := map[bool]string{true: "the last command on this machine:", false: "the last command on " + at(first.at()) + ", as root:"}[first.node == nil]
	c.require(Step{
		Title: "Create the new CA of " + u.of + ", and copy a bundle of both to " + first.place(), Why: "a bundle of both verifies the old and the new certificates",
		Do: "where certificates are made, with " + u.dir("") + " for the directory of the CA in use; " + where,
		Type: []string{
			"unibusd cert ca --out " + u.dir("-2"),
			fmt.Sprintf("cat %s/ca.crt %s/ca.crt > %s-both.crt", u.dir(""), u.dir("-2"), u.short),
			first.install(u.short + "-both.crt"),
		},
		Seen: seen,
	}, u.next != "", Next)
	for _, b := range u.bundles {
		c.copyBundle(u, b)
	}
	for _, l := range u.leaves {
		c.renewLeaf(u, l)
	}
	for _, b := range u.bundles {
		c.removeOldCA(u, b)
	}
}

func (u *caUse) dir(suffix string) string { return u.short + "-ca" + suffix }

func (u *caUse) shortOld() string {
	short := make([]string, len(u.old))
	for i, id := range u.old {
		short[i] = core.ShortCA(id)
	}
	return strings.Join(short, ", ")
}

// copyBundle is done where the bundle has the new CA, and that of every certificate that a
// node shows: a bundle without one refuses that node.
func (c *checklist) copyBundle(u *caUse, b nodeBundle) {
	missing := []string{}
	if !b.has(u.next) {
		missing = append(missing, "the new CA "+u.name())
	}
	for _, l := range u.leaves {
		if text := "the CA " + core.ShortCA(l.Signer) + ", of which nodes still show certificates"; l.Signer != u.next && !b.has(l.Signer) && !slices.Contains(missing, text) {
			missing = append(missing, text)
		}
	}
	lacks := ""
	if len(missing) > 0 {
		lacks = ", without " + strings.Join(missing, " and ")
	}
	s := Step{
		Title: "Copy the bundle of both CAs of " + u.of + " to " + b.place(), Why: "certificates of the new CA are refused until every verifier has it",
		Do: b.how(), Type: []string{b.install(u.short + "-both.crt")}, Seen: b.seen() + lacks,
	}
	c.require(s, u.next != "" && len(missing) == 0, Next)
}

// renewLeaf is done where the node shows a certificate of the new CA.
func (c *checklist) renewLeaf(u *caUse, l nodeLeaf) {
	out := l.node.Name + "-" + u.short + "-2"
	seen := fmt.Sprintf("%s shows a certificate of %s, valid until %s", l.node.Name, core.ShortCA(l.Signer), l.Until.Time().UTC().Format("2006-01-02"))
	if l.Fault != "" {
		seen += ", and does not use the one in the file: " + l.Fault
	}
	do := "the first command where certificates are made, then, on " + at(l.node) + " as root, the key first; the node reads both within 10 seconds:"
	if l.Use == cluster.UseClients {
		do = "not before every client has the bundle of both, which this program cannot see; " + do
	}
	install := "install " + owner(l.node)
	c.require(Step{
		Title: fmt.Sprintf("Give %s a certificate of the new CA of %s, %s", at(l.node), u.of, l.File), Why: "the old CA can be taken out only when no node needs it",
		Do: do,
		Type: []string{
			fmt.Sprintf("unibusd cert node --ca %s --name %s --host %s --out %s", u.dir("-2"), l.node.Name, core.ShellQuote(cmp.Or(l.Hosts, "HOST")), out),
			install + "-m 0600 " + out + "/node.key " + core.ShellQuote(l.KeyFile),
			install + "-m 0644 " + out + "/node.crt " + core.ShellQuote(l.File),
		},
		Seen: seen,
	}, u.next != "" && l.Signer == u.next, Next)
}

// removeOldCA is done where the bundle has no other CA than the new one.
func (c *checklist) removeOldCA(u *caUse, b nodeBundle) {
	others := slices.ContainsFunc(b.CAs, func(ca core.CA) bool { return ca.ID != u.next })
	do := b.how()
	if b.node != nil {
		do = "a node with route-tls-crl needs a list of the new CA first, which `unibusd cert crl --ca " + u.dir("-2") + "` makes; " + do
	}
	c.require(Step{
		Title: "Take the old CA of " + u.of + " out of " + b.outOf(), Why: "until then its key makes certificates that are trusted",
		Do: do, Type: []string{b.install(u.dir("-2") + "/ca.crt")}, Seen: b.seen(),
	}, u.next != "" && !others, Next)
}

func (b nodeBundle) has(id string) bool {
	return slices.ContainsFunc(b.CAs, func(ca core.CA) bool { return ca.ID == id })
}

func (b nodeBundle) at() cluster.Node {
	if b.node == nil {
		return cluster.Node{}
	}
	return *b.node
}

func (b nodeBundle) place() string {
	if b.node == nil {
		return b.File + ", and to every other client"
	}
	return b.File + " on " + at(*b.node)
}

func (b nodeBundle) outOf() string {
	if b.node == nil {
		return b.File + ", and out of the bundle of every other client"
	}
	return b.place()
}

func (b nodeBundle) how() string {
	if b.node == nil {
		return "every client needs it before the next step: --tls-ca of each operator, CA of core/client, contexts of the nats CLI; this program sees its own file alone:"
	}
	return "on " + at(*b.node) + ", as root; the node reads it within 10 seconds:"
}

func (b nodeBundle) install(from string) string {
	return "install " + owner(b.at()) + "-m 0644 " + from + " " + core.ShellQuote(b.File)
}

// owner is for nodes that a service manager runs, as docs/unibusd.service does it.
func owner(n cluster.Node) string {
	if n.Info == nil || n.Info.Unit == "" {
		return ""
	}
	return "-o unibus -g unibus "
}

// seen names the CAs in use, and why the file as it is now is not.
func (b nodeBundle) seen() string {
	ids := make([]string, len(b.CAs))
	for i, ca := range b.CAs {
		ids[i] = core.ShortCA(ca.ID)
	}
	seen := filepath.Base(b.File) + " has " + cmp.Or(strings.Join(unique(ids), ", "), "no CA")
	if b.Fault != "" {
		seen += ", and the file as it is now is not used: " + b.Fault
	}
	return seen
}

func fileFault(n cluster.Node, file string) string {
	for _, f := range n.Info.FileFaults {
		if f.File == file {
			return f.Reason
		}
	}
	return ""
}
