package node_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/config"
	"unibus/core/node"
	"unibus/core/nodetest"
)

// twinOf is a second node of the name of node i, with a data directory and ports of its own.
func twinOf(t *testing.T, c *nodetest.Cluster, i int) config.Node {
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
	c := nodetest.Start(t, nodetest.Config{Nodes: 3, Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	direct := twinOf(t, c, 1)
	hearsay := twinOf(t, c, 1)
	hearsay.Routes = []string{c.Configs[0].ClusterListen, hearsay.ClusterListen, c.Configs[2].ClusterListen}
	var tries sync.WaitGroup
	for _, try := range []struct {
		name string
		twin config.Node
		at   []string // one of these is in the message
	}{
		{"its routes name the other one", direct, []string{c.Configs[1].ClusterListen}},
		{"a peer hears the other one", hearsay, []string{"n1 (" + c.Configs[0].ClusterListen, "n3 (" + c.Configs[2].ClusterListen}},
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
