package guide

import (
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// The ids of the CAs: the old ones of the routes and of the bus, and the new ones.
const (
	routeOld, routeNew = "aa01aa01aa01", "aa02aa02aa02"
	busOld, busNew     = "bb01bb01bb01", "bb02bb02bb02"
)

func caOf(id string) core.CA {
	begun := before(365 * 24 * time.Hour)
	if id == routeNew || id == busNew {
		begun = before(time.Hour)
	}
	return core.CA{ID: id, From: begun, Until: begun + core.Millis(3650*24*time.Hour/time.Millisecond)}
}

func caList(ids ...string) (out []core.CA) {
	for _, id := range ids {
		out = append(out, caOf(id))
	}
	return out
}

// withCertificates gives every node what the documents install.
func withCertificates(f *Facts) {
	f.Trusted = &core.CABundle{File: "bus-ca.crt", CAs: caList(busOld)}
	for i := range f.Nodes {
		name := f.Nodes[i].Name
		f.Nodes[i].Info.DiskComparison = &cluster.DiskComparison{Certificates: []cluster.Certificate{
			{Use: cluster.UseClients, File: "/etc/unibus/bus/node.crt", KeyFile: "/etc/unibus/bus/node.key", Hosts: name + ".example.org", Signer: busOld, From: before(24 * time.Hour), Until: before(-800 * 24 * time.Hour)},
			{Use: cluster.UseRoutes, File: "/etc/unibus/route/node.crt", KeyFile: "/etc/unibus/route/node.key", Hosts: name + ".example.org", Signer: routeOld, From: before(24 * time.Hour), Until: before(-800 * 24 * time.Hour)},
			{Use: cluster.UseAuthority, File: "/etc/unibus/route/ca.crt", CAs: caList(routeOld)},
		}}
	}
}

func certificate(f *Facts, node int, use cluster.CertificateUse) *cluster.Certificate {
	all := f.Nodes[node].Info.DiskComparison.Certificates
	return &all[slices.IndexFunc(all, func(c cluster.Certificate) bool { return c.Use == use })]
}

func bundleOf(node int, ids ...string) func(*Facts) {
	return func(f *Facts) { certificate(f, node, cluster.UseAuthority).CAs = caList(ids...) }
}

func bundles(ids ...string) func(*Facts) {
	return all(bundleOf(0, ids...), bundleOf(1, ids...), bundleOf(2, ids...))
}

func leafOf(node int, use cluster.CertificateUse, signer string) func(*Facts) {
	return func(f *Facts) { certificate(f, node, use).Signer = signer }
}

func leaves(use cluster.CertificateUse, signer string) func(*Facts) {
	return all(leafOf(0, use, signer), leafOf(1, use, signer), leafOf(2, use, signer))
}

func trusted(ids ...string) func(*Facts) {
	return func(f *Facts) { f.Trusted = &core.CABundle{File: "bus-ca.crt", CAs: caList(ids...)} }
}

func inRound(f *Facts) { f.OldCAs = []string{routeOld, busOld} }

func certificateCases() []guideCase {
	of := func(changes ...func(*Facts)) func(*Facts) {
		return all(append([]func(*Facts){withCertificates}, changes...)...)
	}
	routesDone := all(bundles(routeNew), leaves(cluster.UseRoutes, routeNew), inRound)
	busDone := all(trusted(busNew), leaves(cluster.UseClients, busNew))
	const g = "certificates"
	return []guideCase{
		{g, "a round begins", of(), HasNext, "Next: Create the new CA of the routes, and copy a bundle of both to /etc/unibus/route/ca.crt on n1"},
		{g, "one node has the bundle", of(bundleOf(0, routeOld, routeNew)), HasNext, "Next: Copy the bundle of both CAs of the routes to /etc/unibus/route/ca.crt on n2"},
		{g, "a bundle is damaged", of(bundleOf(0, routeOld, routeNew), func(f *Facts) {
			f.Nodes[1].Info.FileFaults = []cluster.FileFault{{File: "/etc/unibus/route/ca.crt", Reason: "a certificate is damaged"}}
		}), HasNext, "Next: Copy the bundle of both CAs of the routes to /etc/unibus/route/ca.crt on n2"},
		{g, "a bundle lost the old CA too early", of(bundles(routeOld, routeNew), bundleOf(1, routeNew)), HasNext, "Next: Copy the bundle of both CAs of the routes to /etc/unibus/route/ca.crt on n2"},
		{g, "every node has the bundle", of(bundles(routeOld, routeNew)), HasNext, "Next: Give n1 (n1.example.org) a certificate of the new CA of the routes, /etc/unibus/route/node.crt."},
		{g, "a new certificate is not used", of(bundles(routeOld, routeNew), func(f *Facts) { certificate(f, 0, cluster.UseRoutes).Fault = "it does not fit its key" }), HasNext, "Next: Give n1"},
		{g, "two nodes are renewed", of(bundles(routeOld, routeNew), leafOf(0, cluster.UseRoutes, routeNew), leafOf(1, cluster.UseRoutes, routeNew)), HasNext, "Next: Give n3"},
		{g, "the old CA is still in the bundles", of(bundles(routeOld, routeNew), leaves(cluster.UseRoutes, routeNew)), HasNext, "Next: Take the old CA of the routes out of /etc/unibus/route/ca.crt on n1"},
		{g, "the last bundle has it", of(routesDone, bundleOf(2, routeOld, routeNew)), HasNext, "Next: Take the old CA of the routes out of /etc/unibus/route/ca.crt on n3"},
		{g, "a new CA was made twice", of(bundles(routeOld, "aa00aa00aa00", routeNew), leaves(cluster.UseRoutes, routeNew), inRound), HasNext, "Next: Take the old CA of the routes out of"},
		{g, "the routes are done", of(routesDone), HasNext, "Next: Create the new CA of the bus, and copy a bundle of both to bus-ca.crt, and to every other client."},
		{g, "the clients have the bundle", of(routesDone, trusted(busOld, busNew)), HasNext, "Next: Give n1 (n1.example.org) a certificate of the new CA of the bus, /etc/unibus/bus/node.crt."},
		{g, "the clients have both still", of(routesDone, busDone, trusted(busOld, busNew)), HasNext, "Next: Take the old CA of the bus out of bus-ca.crt"},
		{g, "both are done", of(routesDone, busDone), AllDone, "Every node shows a route certificate of the new CA aa02aa02, and no bundle has another CA. Every node shows clients a certificate of the new CA bb02bb02"},
		{g, "both are done, and a round begins", of(routesDone, busDone, func(f *Facts) { f.OldCAs = nil }), HasNext, "Next: Create the new CA of the routes"},
		{g, "clients use the CAs of their system", of(routesDone, func(f *Facts) { f.Trusted = nil }), AllDone, "The CA of the bus was not replaced"},
		{g, "this program's bundle cannot be read", of(routesDone, func(f *Facts) { f.Trusted = &core.CABundle{File: "bus-ca.crt", Fault: "it is damaged"} }), HasNext, "Next: Create the new CA of the bus"},
		{g, "the routes have no certificates", of(func(f *Facts) {
			for i := range f.Nodes {
				d := f.Nodes[i].Info.DiskComparison
				d.Certificates = d.Certificates[:1]
			}
		}), HasNext, "Next: Create the new CA of the bus"},
		{g, "a node is away", of(bundles(routeOld, routeNew), func(f *Facts) { down(f, "n2") }), HasNext, "Wait: n2 does not answer."},
		{g, "a node was never heard", of(func(f *Facts) { f.Expected = 4 }), HasNext, "Wait: 1 of 4 nodes have never answered."},
		{g, "a node of an older release", of(func(f *Facts) {
			certificate(f, 2, cluster.UseRoutes).Signer, certificate(f, 2, cluster.UseAuthority).CAs = "", nil
		}), IsUnsafe, "Stop here: n3 runs a release that does not say it: upgrade it first."},
		{g, "a replica is behind at the end", of(routesDone, busDone, func(f *Facts) { f.Buckets[0].Replicas[1].State = cluster.ReplicaBehind }), HasNext, "Wait: the replica of"},
		{g, "no certificates", func(*Facts) {}, NotApplicable, "no CA of this cluster is known"},
	}
}

// TestRoundOfCertificates: the set of files that a round replaces does not change while the
// round goes on, and the printed command goes on with it.
func TestRoundOfCertificates(t *testing.T) {
	t.Parallel()
	g, _ := Named("certificates")
	f := whole()
	withCertificates(&f)
	r := g.Fill(f)
	if want := "unibusd guide certificates --old-ca " + routeOld + "," + busOld; r.Resume != want {
		t.Errorf("%q, want %q", r.Resume, want)
	}
	for _, step := range []func(*Facts){
		bundles(routeOld, routeNew), leaves(cluster.UseRoutes, routeNew), bundles(routeNew), trusted(busOld, busNew), leaves(cluster.UseClients, busNew), trusted(busNew),
	} {
		if r.Outcome != HasNext {
			t.Fatalf("%s: %s", r.Outcome, r.Text)
		}
		f.OldCAs = r.OldCAs
		step(&f)
		r = g.Fill(f)
	}
	if r.Outcome != AllDone || !slices.Equal(r.OldCAs, []string{routeOld, busOld}) {
		t.Errorf("%s: %s; %q", r.Outcome, r.Text, r.OldCAs)
	}
}

// TestRoundBeginsWhenEveryNodeIsKnown: a node that is away may have a CA that nobody else has.
func TestRoundBeginsWhenEveryNodeIsKnown(t *testing.T) {
	t.Parallel()
	g, _ := Named("certificates")
	f := whole()
	withCertificates(&f)
	down(&f, "n2")
	if r := g.Fill(f); r.Resume != "" || len(r.OldCAs) > 0 || !strings.HasPrefix(r.Text, "Wait: ") {
		t.Errorf("%s %q %q", r.Text, r.Resume, r.OldCAs)
	}
}
