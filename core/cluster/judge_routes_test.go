package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// withService makes every node one that systemd runs, with its files.
func withService(v View) View {
	for i := range v.Nodes {
		v.Nodes[i].Info.Unit, v.Nodes[i].Info.RouteCert = "unibusd", "/etc/unibus/route/node.crt"
	}
	return v
}

// unheard adds a report about a node.
func (v View) unheard(node, by string, fault core.RouteFault, detail string) View {
	for i := range v.Nodes {
		if v.Nodes[i].Name == node {
			addr := fmt.Sprintf("%s.example.org:6222", node)
			v.Nodes[i].Unheard = append(slices.Clone(v.Nodes[i].Unheard), Unheard{By: by, Addr: addr, Fault: fault, Detail: detail})
		}
	}
	return v
}

// cutBoth adds the reports of both ends.
func (v View) cutBoth(a, b string, fault core.RouteFault, detail string) View {
	return v.unheard(a, b, fault, detail).unheard(b, a, fault, detail)
}

// silentBecause makes n3 silent, and n1 and n2 find the same cause.
func silentBecause(fault core.RouteFault, detail string) View {
	return lose(withService(healthy(3, 3)), "n3").unheard("n3", "n1", fault, detail).unheard("n3", "n2", fault, detail)
}

// restartedBeside is a node that was restarted while both others are silent: it has seen
// neither of them at an address, and has admitted no one.
func restartedBeside(faults ...core.RouteFault) View {
	details := map[core.RouteFault]string{
		core.FaultHung: "connected, and no answer within 3s", core.FaultRefused: "connection refused", core.FaultUnresolved: "no such host",
	}
	return with(lose(withService(healthy(3, 3)), "n2", "n3"), func(v *View) {
		v.Nodes[1].HeardMS, v.Nodes[2].HeardMS = -1, -1
		v.Nodes[0].Info.Sessions = new(int)
		for i, f := range faults {
			v.Nodes[0].Info.Routes = append(v.Nodes[0].Info.Routes, Route{Addr: fmt.Sprintf("10.0.0.%d:6222", i+2), Fault: f, Detail: details[f], Since: ago(time.Minute)})
		}
	})
}

// moved is a cluster in which n3 is at the address own, and two nodes try another one in vain.
func moved(node, tried, own string) View {
	return with(withService(healthy(3, 3)), func(v *View) {
		v.Nodes[0].Info.OwnRoutes, v.Nodes[1].Info.OwnRoutes, v.Nodes[2].Info.OwnRoutes = []string{"10.0.0.1:6222"}, []string{"10.0.0.2:6222"}, []string{own}
		for i := range 2 {
			v.Nodes[i].Info.Routes = []Route{{Addr: tried, Node: node, Fault: core.FaultRefused, Detail: "connection refused", Since: ago(time.Minute)}}
		}
	})
}

func routeViews() []judged {
	noReply := "no reply within 3s"
	return []judged{
		{"one path of three cut", withService(healthy(3, 3)).cutBoth("n1", "n3", core.FaultTimeout, noReply)},
		{"one path of five cut", withService(healthy(5, 5)).cutBoth("n1", "n3", core.FaultTimeout, noReply)},
		{"two paths of five cut, one node heard by two", withService(healthy(5, 3)).cutBoth("n1", "n5", core.FaultTimeout, noReply).cutBoth("n2", "n5", core.FaultTimeout, noReply)},
		{"one path of three cut, the ends' causes differ", withService(healthy(3, 3)).unheard("n3", "n1", core.FaultTimeout, noReply).unheard("n1", "n3", core.FaultRefused, "connection refused")},
		{"one path of three cut by a certificate", withService(healthy(3, 3)).unheard("n3", "n1", core.FaultCertificate, "it expired on 2026-11-01 00:00 UTC").unheard("n1", "n3", core.FaultOwnCertificate, "expired certificate")},
		{"n3 is not running", silentBecause(core.FaultRefused, "connection refused")},
		{"n3 is not running, no service manager", with(silentBecause(core.FaultRefused, "connection refused"), func(v *View) { v.Nodes[2].Info.Unit = "" })},
		{"n3 has another address", moved("n3", "10.0.0.3:6222", "10.0.0.9:6222")},
		{"an address leads to no node", moved("", "10.0.0.3:6222", "10.0.0.9:6222")},
		{"a removed node's address", with(moved("n4", "10.0.0.4:6222", "10.0.0.3:6222"), func(v *View) { v.Removed = []core.NodeChange{{Name: "n4", State: core.NodeRemoved}} })},
		{"a firewall keeps two nodes from n3's address", moved("n3", "10.0.0.9:6222", "10.0.0.9:6222")},
		{"n3 hangs", silentBecause(core.FaultHung, "connected, and no answer within 3s")},
		{"n3 is cut off", silentBecause(core.FaultTimeout, noReply)},
		{"n3 has no way", silentBecause(core.FaultUnreachable, "no route to host")},
		{"n3 has no name", silentBecause(core.FaultUnresolved, "no such host")},
		{"n3's certificate has expired", silentBecause(core.FaultCertificate, "it expired on 2026-11-01 00:00 UTC")},
		{"n3's certificate is not yet valid", silentBecause(core.FaultCertificate, "it is valid from 2027-01-01 00:00 UTC, "+core.NotYetValid)},
		{"n3 is another program", silentBecause(core.FaultForeign, "the answer is not TLS")},
		{"n3 closes", silentBecause(core.FaultClosed, "the connection was closed before an answer")},
		{"n3 has just accepted", silentBecause("", "")},
		{"n3 hangs for one, and is not reached by the other", lose(withService(healthy(3, 3)), "n3").unheard("n3", "n1", core.FaultTimeout, noReply).unheard("n3", "n2", core.FaultHung, "connected, and no answer within 3s")},
		{"two causes at once", lose(withService(healthy(5, 5)), "n4", "n5").unheard("n4", "n1", core.FaultRefused, "connection refused").unheard("n5", "n1", core.FaultHung, "connected, and no answer within 3s")},
		{"both others are down", lose(withService(healthy(3, 3)), "n2", "n3").unheard("n2", "n1", core.FaultRefused, "connection refused").unheard("n3", "n1", core.FaultRefused, "connection refused")},
		{"the looking node was restarted, and has not tried its routes", restartedBeside()},
		{"the looking node was restarted beside hung ones", restartedBeside(core.FaultHung, core.FaultHung)},
		{"the looking node was restarted beside a hung one and one that is down", restartedBeside(core.FaultHung, core.FaultRefused)},
		{"the looking node was restarted, and resolves no name", restartedBeside(core.FaultUnresolved, core.FaultUnresolved)},
		{"the looking node was restarted, and one of two routes has a name", with(restartedBeside(core.FaultHung, core.FaultRefused), func(v *View) { v.Nodes[0].Info.Routes[0].Node = "n2" }).unheard("n2", "n1", core.FaultHung, "connected, and no answer within 3s")},
		{"the looking node is cut off", lose(withService(healthy(3, 3)), "n2", "n3").unheard("n2", "n1", core.FaultTimeout, noReply).unheard("n3", "n1", core.FaultTimeout, noReply)},
		{"both others' certificates have expired", lose(withService(healthy(3, 3)), "n2", "n3").unheard("n2", "n1", core.FaultCertificate, "it expired on 2026-11-01 00:00 UTC").unheard("n3", "n1", core.FaultCertificate, "it expired on 2026-11-01 00:00 UTC")},
		{"one path of three cut: n3 has lost the CA of n1", withService(healthy(3, 3)).unheard("n3", "n1", core.FaultOwnCertificate, core.UnknownAuthority).unheard("n1", "n3", core.FaultClosed, "the connection was closed")},
		{"the looking node was removed", lose(withService(healthy(3, 3)), "n2", "n3").unheard("n2", "n1", core.FaultOwnCertificate, "bad certificate").unheard("n3", "n1", core.FaultOwnCertificate, "bad certificate")},
		{"the looking node's certificate has expired", lose(withService(healthy(3, 3)), "n2", "n3").unheard("n2", "n1", core.FaultOwnCertificate, "expired certificate").unheard("n3", "n1", core.FaultOwnCertificate, "expired certificate")},
		{"a certificate that is not valid for the address that peers were given", with(withService(healthy(3, 3)), func(v *View) {
			r := Route{Addr: "10.0.0.3:6222", Node: "n3", Fault: core.FaultCertificate, Detail: "it is for n3.example.org and not for 10.0.0.3", Hosts: "n3.example.org,10.0.0.3", Since: ago(time.Second)}
			v.Nodes[0].Info.Routes, v.Nodes[1].Info.Routes = []Route{r}, []Route{r}
		})},
		{"a certificate that a node that is heard would refuse", with(withService(healthy(3, 3)), func(v *View) {
			v.Nodes[0].Info.Routes = []Route{{Addr: "n3.example.org:6222", Node: "n3", Fault: core.FaultOwnCertificate, Detail: core.UnknownAuthority, Since: ago(time.Second)}}
		})},
		{"a route that opens from one side alone", with(withService(healthy(3, 3)), func(v *View) {
			v.Nodes[0].Info.Routes = []Route{{Addr: "10.0.0.3:6222", Node: "n3", Fault: core.FaultTimeout, Detail: noReply, Since: ago(time.Hour)}}
		})},
		{"a third that never answered", with(lose(withService(healthy(3, 3)), "n3"), func(v *View) {
			v.Nodes = v.Nodes[:2]
			v.Nodes[0].Info.Routes = []Route{{Addr: "n3.example.org:6222", Fault: core.FaultUnresolved, Detail: "no such host", Since: ago(time.Hour)}}
		})},
		{"an error again and again", with(withService(healthy(3, 3)), func(v *View) {
			v.Nodes[1].Info.Repeated = []RepeatedLine{{Level: Degraded, Text: "the audit cannot be copied file=/var/lib/unibus/audit.jsonl", Count: 117, Since: ago(2 * time.Minute)}}
		})},
		{"a warning again and again", with(withService(healthy(3, 3)), func(v *View) {
			v.Nodes[1].Info.Repeated = []RepeatedLine{{Level: Note, Text: "203.0.113.9 - Slow Consumer Detected", Count: 40, Since: ago(2 * time.Minute)}}
		})},
		{"a route error again and again of before, and every route opens now", with(withService(healthy(3, 3)), func(v *View) {
			v.Nodes[1].Info.Routes = []Route{{Addr: "10.0.0.3:6222", Node: "n3", Since: ago(time.Second)}}
			v.Nodes[1].Info.Repeated = []RepeatedLine{
				{Level: Degraded, Text: "Error trying to connect to route (attempt 90): dial tcp 10.0.0.3:6222: connect: connection refused", Count: 90, Since: ago(2 * time.Minute)},
				{Level: Degraded, Text: "10.0.0.3:41000 - rid:9 - TLS route handshake error: EOF", Count: 90, Since: ago(2 * time.Minute)},
			}
		})},
		{"a route error again and again, which has its finding", with(silentBecause(core.FaultRefused, "connection refused"), func(v *View) {
			v.Nodes[1].Info.Repeated = []RepeatedLine{{Level: Degraded, Text: "Error trying to connect to route (attempt 90): dial tcp 10.0.0.3:6222: connect: connection refused", Count: 90, Since: ago(2 * time.Minute)}}
		})},
		{"n2 logs for want of a leader though there is one", with(withService(healthy(3, 3)), func(v *View) {
			for _, text := range []string{"JetStream system temporarily unavailable (10008)", "the audit is not ready yet", "Waiting for routing to be established..."} {
				v.Nodes[1].Info.Repeated = append(v.Nodes[1].Info.Repeated, RepeatedLine{Level: Note, Text: text, Count: 40, Since: ago(2 * time.Minute), Last: ago(0)})
			}
		})},
	}
}

// TestJudgeRoutes compares what is said of routes with the golden file.
func TestJudgeRoutes(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, c := range routeViews() {
		writeJudgement(&b, c)
	}
	golden(t, "judge_routes.txt", b.String())
}

// TestFindingsAboutRoutesAreComplete: a sentence, a next step, and 60 columns by 20 rows hold both.
func TestFindingsAboutRoutesAreComplete(t *testing.T) {
	t.Parallel()
	for _, c := range routeViews() {
		for _, f := range Judge(c.view, noon).Findings {
			if !strings.HasSuffix(f.Text, ".") || f.Level != Note && f.Next == "" {
				t.Errorf("%s: %+v", c.name, f)
			}
			if len(f.Text)+len(f.Next) > 60*16 {
				t.Errorf("%s: %d characters: %+v", c.name, len(f.Text)+len(f.Next), f)
			}
		}
	}
}

// TestCutEvents: a cut is an event at its beginning and at its end.
func TestCutEvents(t *testing.T) {
	t.Parallel()
	whole, cut := healthy(3, 3), healthy(3, 3).cutBoth("n1", "n3", core.FaultTimeout, "no reply within 3s")
	begun, ended := Diff(whole, cut), Diff(cut, whole)
	if len(begun) != 1 || begun[0].Level != Degraded || begun[0].About != "n1" || !strings.Contains(begun[0].Text, "does not hear n3") {
		t.Errorf("at the beginning: %+v", begun)
	}
	if len(ended) != 1 || ended[0].Level != Healthy || ended[0].Text != "and n3 hear each other again" {
		t.Errorf("at the end: %+v", ended)
	}
}
