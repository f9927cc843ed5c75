package node_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestBareServerIsNamed: a nats-server with JetStream that has a route is critical by name on
// every node. It does not count as a node, and gets no advice about its disk.
func TestBareServerIsNamed(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 3, Store: core.BackendSQLite})
	startBareServer(t, "ghostnode", c.Configs[0].Routes)
	for i := range c.Nodes {
		cl := c.Client(i, c.Viewer)
		waitFor(t, "the bare server to be named", func() bool {
			st, err := cl.Status(t.Context())
			return err == nil && slices.ContainsFunc(st.Judgment.Findings, func(f cluster.Finding) bool {
				return f.Level == cluster.Critical && strings.HasPrefix(f.Text, "ghostnode is connected as a node")
			})
		})
		st, err := cl.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(st.View.Nodes) != 3 {
			t.Errorf("the nodes are %+v", st.View.Nodes)
		}
		for _, f := range st.Judgment.Findings {
			if strings.Contains(f.Text, "ghostnode") && strings.Contains(f.Next, "disk") {
				t.Errorf("advice: %+v", f)
			}
		}
	}
}

// startBareServer joins a cluster whose routes have no TLS.
func startBareServer(t *testing.T, name string, routes []string) {
	t.Helper()
	o := &server.Options{ServerName: name, Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()}
	if err := o.ProcessConfigString("accounts { SYS {}, CONTROL { jetstream: enabled }, BUS {} }\nsystem_account: SYS\n"); err != nil {
		t.Fatal(err)
	}
	o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: -1, PoolSize: -1}
	for _, addr := range routes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: addr})
	}
	srv, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
}
