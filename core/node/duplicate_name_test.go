package node_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/keys"
	"unibus/core/node"
	"unibus/core/nodetest"
)

// duplicateOf is a second node with the name of node i, with a data directory and ports of its own.
func duplicateOf(t *testing.T, c *nodetest.Cluster, i int) config.Node {
	t.Helper()
	twin, ports := c.Configs[i], nodetest.Ports(t, 2)
	twin.Data = filepath.Join(t.TempDir(), "twin")
	twin.DB = filepath.Join(twin.Data, "unibus.db")
	twin.Listen, twin.ClusterListen = loopbackAddr(ports[0]), loopbackAddr(ports[1])
	return twin
}

// tryOpen starts a node and returns why it does not run.
func tryOpen(t *testing.T, cfg config.Node) (*node.Node, error) {
	t.Helper()
	n := node.New(node.Config{Node: cfg, Version: "test", Log: nodetest.Log(t)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	t.Cleanup(func() { _ = n.Close() })
	return n, n.Open(ctx)
}

// TestSecondNodeOfANameIsRefused: a node whose name another one has does not start, whether its
// --routes name that one, or only nodes that hear it.
func TestSecondNodeOfANameIsRefused(t *testing.T) {
	t.Parallel()
	t.Run("routes without certificates", func(t *testing.T) { t.Parallel(); testSecondNode(t, func(*nodetest.Cluster) {}) })
	t.Run("routes with certificates", func(t *testing.T) {
		t.Parallel()
		testSecondNode(t, func(c *nodetest.Cluster) { secureRoutes(t, c) })
	})
}

// secureRoutes gives every node a certificate for its routes. A second node of a name has a copy
// of it, as a cloned machine does.
func secureRoutes(t *testing.T, c *nodetest.Cluster) {
	t.Helper()
	ca := t.TempDir()
	if err := keys.WriteCA(ca); err != nil {
		t.Fatal(err)
	}
	for i := range c.Configs {
		dir := t.TempDir()
		if err := keys.NodeCert(ca, c.Configs[i].Name, []string{"127.0.0.1"}, dir); err != nil {
			t.Fatal(err)
		}
		c.Configs[i].RouteTLSCert, c.Configs[i].RouteTLSKey = filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile)
		c.Configs[i].RouteTLSCA = filepath.Join(ca, keys.CACertFile)
	}
}

func testSecondNode(t *testing.T, prepare func(*nodetest.Cluster)) {
	c := nodetest.Start(t, nodetest.Config{Nodes: 3, Store: core.BackendKV, Before: prepare})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	direct := duplicateOf(t, c, 1)
	indirect := duplicateOf(t, c, 1)
	indirect.Routes = []string{c.Configs[0].ClusterListen, indirect.ClusterListen, c.Configs[2].ClusterListen}
	var tries sync.WaitGroup
	for _, try := range []struct {
		name string
		twin config.Node
		at   []string // one of these is in the message
	}{
		{"its routes name the other one", direct, []string{c.Configs[1].ClusterListen}},
		{"a peer hears the other one", indirect, []string{"n1 (" + c.Configs[0].ClusterListen, "n3 (" + c.Configs[2].ClusterListen}},
	} {
		tries.Go(func() {
			_, err := tryOpen(t, try.twin)
			if core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "another unibusd runs as n2") {
				t.Errorf("%s: %v", try.name, err)
			}
			if err != nil && !slices.ContainsFunc(try.at, func(at string) bool { return strings.Contains(err.Error(), at) }) {
				t.Errorf("%s: %v names none of %v", try.name, err, try.at)
			}
		})
	}
	tries.Wait()
	nodetest.Wait(t, 30*time.Second, func() error { return nodetest.CheckHealthy(c.Client(0, c.Admin)) })
}

// TestSecondNodeThatJoinsLaterIsCritical: it asked nobody when it started, as where its network
// was cut then. Every node names both, steadily, and each of the two does as well.
func TestSecondNodeThatJoinsLaterIsCritical(t *testing.T) {
	t.Parallel()
	later := loopbackAddr(nodetest.Ports(t, 1)[0])
	c := nodetest.Start(t, nodetest.Config{Nodes: 3, Store: core.BackendKV, Before: func(c *nodetest.Cluster) {
		for i := range c.Configs {
			c.Configs[i].Nodes = []string{"n1", "n2", "n3"}
		}
	}})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	if err := c.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	c.Configs[0].Routes = append(slices.Clone(c.Configs[0].Routes), later) // n1 finds it
	if err := c.Open(0); err != nil {
		t.Fatal(err)
	}
	twin := duplicateOf(t, c, 1)
	twin.ClusterListen, twin.Routes = later, []string{later}
	second, err := tryOpen(t, twin)
	if err != nil {
		t.Fatal(err)
	}
	configs := append(slices.Clone(c.Configs), twin)
	var clients []*admin.Client
	for _, cfg := range configs {
		cl := admin.NewClient(admin.ClientConfig{Servers: []string{"nats://" + cfg.Listen}, Identity: c.Viewer, Name: t.Name()})
		if err := cl.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		clients = append(clients, cl)
	}
	told := func(cl *admin.Client) error {
		st, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		for _, f := range st.Judgment.Findings {
			if f.About == "node.n2" && strings.HasPrefix(f.Text, "n2 runs twice: ") && strings.Contains(f.Text, c.Configs[1].Listen) && strings.Contains(f.Text, twin.Listen) {
				return nil
			}
		}
		return fmt.Errorf("%s says %+v", st.From, st.Judgment)
	}
	for _, cl := range clients {
		nodetest.Wait(t, 30*time.Second, func() error { return told(cl) })
	}
	since := time.Now()
	nodetest.Wait(t, 10*time.Second, func() error {
		for i, cl := range clients {
			if err := told(cl); err != nil {
				t.Fatalf("at %s, %s after it was told everywhere: %v", configs[i].Listen, time.Since(since), err)
			}
		}
		if time.Since(since) < 5*time.Second {
			return errors.New("the time is not over")
		}
		return nil
	})
	const began = "began with an empty data directory"
	events, err := clients[0].EventsOf(t.Context(), "n1", admin.EventsRequest{})
	if err != nil || !slices.ContainsFunc(events.Events, func(e cluster.Event) bool { return e.About == "node.n2" && e.Text == began }) {
		t.Fatalf("n1 saw no other data directory of n2: %+v, %v", events, err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 60*time.Second, func() error { // of n2 alone is left what is true of it
		st, err := clients[0].Status(t.Context())
		if err == nil && len(st.View.DuplicateNames) > 0 {
			err = fmt.Errorf("still %+v", st.View.DuplicateNames)
		}
		for _, f := range st.Judgment.Findings {
			if strings.Contains(f.Text, began) {
				err = fmt.Errorf("still %+v", f)
			}
		}
		return err
	})
}

// TestRestartIsNoSecondNode: a node that was killed or stopped starts again at once.
func TestRestartIsNoSecondNode(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 3, Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	for range 3 {
		if err := c.Nodes[1].Close(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := c.Open(1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the start took %s", took)
		}
	}
}

func loopbackAddr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
