package config

import (
	"strings"
	"testing"

	"unibus/core"
)

// clustered returns valid settings of a node in a cluster of three.
func clustered() Node {
	n := Default()
	n.Name, n.DB = "n1", "/d/unibus.db"
	n.ClusterName, n.ClusterListen = "c", "127.0.0.1:6001"
	n.Routes = []string{"127.0.0.1:6001", "127.0.0.1:6002", "127.0.0.1:6003"}
	n.RouteTLSCert, n.RouteTLSKey, n.RouteTLSCA = "/c", "/k", "/ca"
	n.TLSCert, n.TLSKey = "/c", "/k"
	n.Store, n.Replicas = core.BackendKV, 3
	n.Operators = []core.Operator{{Key: alice, Role: core.OperatorAdmin, Name: "alice"}, {Key: bob, Role: core.OperatorSystem, Name: "bob"}}
	return n
}

func TestValidSettings(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Node){
		"as it is":         func(*Node) {},
		"port 0":           func(n *Node) { n.Listen = "127.0.0.1:0" },
		"every address":    func(n *Node) { n.Listen, n.ClusterListen = ":4222", "0.0.0.0:6222" },
		"IPv6":             func(n *Node) { n.Listen = "[::1]:4222" },
		"names of hosts":   func(n *Node) { n.Routes = []string{"a.example:6222", "b.example:6222"} },
		"loopback, no TLS": func(n *Node) { n.RouteTLSCert, n.RouteTLSKey, n.RouteTLSCA = "", "", "" },
		"two nodes":        func(n *Node) { n.Routes, n.Replicas = []string{"127.0.0.1:6002"}, 2 },
		"list of nodes":    func(n *Node) { n.Nodes, n.RouteTLSCRL = []string{"n1", "n2", "n3"}, "/crl" },
		"own route by name": func(n *Node) {
			n.Nodes, n.Routes = []string{"n1", "n2"}, []string{"a.example:1", "b.example:1"}
			n.Replicas = 2
		},
		"operator with a UI": func(n *Node) { n.Operators[0].Name = "Zoë 1" },
	} {
		n := clustered()
		change(&n)
		if err := n.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContradictions(t *testing.T) {
	t.Parallel()
	alone := func(n *Node) {
		*n = Default()
		n.Name = "n1"
	}
	for _, c := range []struct {
		change func(*Node)
		want   string
	}{
		{func(n *Node) { n.Name = "" }, "--name is missing"},
		{func(n *Node) { n.Name = "a.b" }, `--name: "a.b"`},
		{func(n *Node) { n.Name = strings.Repeat("n", 33) }, "--name: "},
		{func(n *Node) { n.Data = "" }, "--data is empty"},
		{func(n *Node) { n.DB = "a\x00b" }, "--db: "},
		{func(n *Node) { n.TLSKey = "a\x00b" }, "--tls-key: "},
		{func(n *Node) { n.MaxConnections = 15 }, "--max-connections is 15"},
		{func(n *Node) { n.MaxConnections = 1 << 30 }, "--max-connections is"},
		{func(n *Node) { n.MaxConnectionsPerAddress = -1 }, "--max-connections-per-address is -1"},
		{func(n *Node) { n.QuotaInvitations = -1 }, "--quota-invitations is -1"},
		{func(n *Node) { n.QuotaMegabytes = 1 << 30 }, "--quota-megabytes is"},
		{func(n *Node) { n.MaxConnections, n.MaxConnectionsPerAddress = 20, 21 }, "--max-connections-per-address is 21"},
		{func(n *Node) { n.Store = "none" }, `--store: there is no "none"`},
		{func(n *Node) { n.BusAuth = "on" }, `--bus-auth: there is no "on"`},
		{func(n *Node) { n.LogFormat = "xml" }, `--log-format: there is no "xml"`},
		{func(n *Node) { n.LogLevel = "loud" }, `--log-level: there is no "loud"`},
		{func(n *Node) { n.Listen = "" }, "--listen: "},
		{func(n *Node) { n.Listen = "4222" }, `--listen: "4222" is not host:port`},
		{func(n *Node) { n.Listen = "h:x" }, `--listen: "x" is not a port`},
		{func(n *Node) { n.Listen = "h:65536" }, `--listen: "65536" is not a port`},
		{func(n *Node) { n.Listen = "a b:1" }, `--listen: "a b" is not a host`},
		{func(n *Node) { n.Listen = "[a:b]:1" }, `--listen: "a:b" is not a host`},
		{func(n *Node) { n.ClusterListen = "127.0.0.1:0" }, `--cluster-listen: "0" is not a port`},
		{func(n *Node) { n.Listen = n.ClusterListen }, "--listen and --cluster-listen are both"},
		{func(n *Node) { n.ClusterName = "" }, "--routes is given without --cluster-name"},
		{func(n *Node) { n.ClusterName = "my cluster" }, "--cluster-name: "},
		{func(n *Node) { n.ClusterListen = "" }, "--routes is given without --cluster-listen"},
		{func(n *Node) { n.Routes[1] = "10.0.0.2" }, `--routes: "10.0.0.2" is not host:port`},
		{func(n *Node) { n.Routes[1] = "nats://h:1" }, `--routes: "nats://h:1" is not host:port`},
		{func(n *Node) { n.Routes[1] = "u:p@h:1" }, "--routes: "},
		{func(n *Node) { n.Routes[1] = "0.0.0.0:1" }, `--routes: "0.0.0.0" is not a host`},
		{func(n *Node) { n.Routes[1] = ":6222" }, "--routes: "},
		{func(n *Node) { n.Routes, n.Replicas = n.Routes[:1], 1 }, "--routes names this node alone"},
		{func(n *Node) { n.Nodes = []string{"n2", "n3", "n4"} }, "--nodes does not list this node, n1"},
		{func(n *Node) { n.Nodes = []string{"n1", "n2", "n2"} }, `--nodes: "n2" is given twice`},
		{func(n *Node) { n.Nodes = []string{"n1", "a.b", "n3"} }, "--nodes: entry 2 is no node"},
		{func(n *Node) { n.Nodes = []string{"n1", "n2"} }, "--nodes lists 2 nodes, and --routes 3"},
		{func(n *Node) { n.RouteTLSCert, n.RouteTLSKey, n.RouteTLSCA, n.RouteTLSCRL = "", "", "", "/crl" }, "--route-tls-crl is given without --route-tls-ca"},
		{func(n *Node) { alone(n); n.RouteTLSCRL = "/crl" }, "--route-tls-crl is given without --routes"},
		{func(n *Node) { n.RouteTLSCRL = "a\x00b" }, "--route-tls-crl: "},
		{func(n *Node) { n.RouteTLSKey = "" }, "--route-tls-cert and --route-tls-ca is given without --route-tls-key"},
		{func(n *Node) { n.RouteTLSKey, n.RouteTLSCA = "", "" }, "given without --route-tls-key and --route-tls-ca"},
		{func(n *Node) {
			n.ClusterListen, n.RouteTLSCert, n.RouteTLSKey, n.RouteTLSCA = "0.0.0.0:6222", "", "", ""
		}, "admit anybody as a node"},
		{func(n *Node) { n.TLSKey = "" }, "--tls-cert is given without --tls-key"},
		{func(n *Node) { n.TLSCert = "" }, "--tls-key is given without --tls-cert"},
		{func(n *Node) { n.Replicas = 0 }, "--replicas is 0"},
		{func(n *Node) { n.Replicas = 6 }, "--replicas is 6"},
		{func(n *Node) { n.Replicas = 4 }, "--replicas is 4, and --routes makes a cluster of 3"},
		{func(n *Node) { n.Operators[0].Key = "UABC" }, `"UABC" is not a public nkey`},
		{func(n *Node) { n.Operators[0].Key = strings.ToLower(alice) }, "is not a public nkey"},
		{func(n *Node) { n.Operators[0].Role = "root" }, `there is no role "root"`},
		{func(n *Node) { n.Operators[0].Name = "" }, "is not a name for"},
		{func(n *Node) { n.Operators[0].Name = "a\nb" }, "is not a name for"},
		{func(n *Node) { n.Operators[1].Key = alice }, "alice and bob have the same key"},
		{func(n *Node) { alone(n); n.Store = core.BackendKV }, "--store kv is given without --routes"},
		{func(n *Node) { alone(n); n.ClusterName = "c" }, "--cluster-name is given without --routes"},
		{func(n *Node) { alone(n); n.ClusterListen = "127.0.0.1:1" }, "--cluster-listen is given without --routes"},
		{func(n *Node) { alone(n); n.RouteTLSCA = "/ca" }, "--route-tls-ca is given without --routes"},
		{func(n *Node) { alone(n); n.Replicas = 3 }, "--replicas 3 is given without --routes"},
	} {
		n := clustered()
		c.change(&n)
		invalid(t, n.Validate(), c.want)
	}
}

func FuzzOperator(f *testing.F) {
	f.Add(alice + ":admin:alice")
	f.Add("::")
	f.Fuzz(func(t *testing.T, text string) {
		op, err := parseOperator(text)
		if err != nil {
			return
		}
		if op.Key+":"+string(op.Role)+":"+op.Name != text {
			t.Fatalf("%q became %+v", text, op)
		}
	})
}
