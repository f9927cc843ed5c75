package bus_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/keys"
)

// TestNameCheckTellsOtherClusters: a server at an address of --routes may have another CA, belong to
// another cluster, or be no node at all. It keeps no node from starting, and is named in the node's
// log.
func TestNameCheckTellsOtherClusters(t *testing.T) {
	t.Parallel()
	r, stranger := newFixture(t, core.BusAuthEnforce), newFixture(t, core.BusAuthEnforce)
	_, routes, _ := r.openTwo(t, nil)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = silent.Close() }) // not before the parallel cases have run
	for name, c := range map[string]struct {
		change func(*bus.Cluster)
		want   string
	}{
		"a node of the cluster": {func(*bus.Cluster) {}, ""},
		"another cluster":       {func(c *bus.Cluster) { c.Name = "other" }, `it belongs to the cluster "test", and this node to "other"`},
		"another CA":            {func(c *bus.Cluster) { c.CAFile = stranger.file(keys.CACertFile) }, "its route certificate is refused"},
		"silence":               {func(c *bus.Cluster) { c.Routes = []string{silent.Addr().String()} }, ""},
		"nobody":                {func(c *bus.Cluster) { c.Routes = routes[2:] }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, lines := logLines()
			cfg := r.config(t, "n3")
			cfg.Logger, cfg.Cluster = log, r.member(t, routes, 2)
			c.change(cfg.Cluster)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			began := time.Now()
			must(t, bus.New(cfg, r.auth).CheckName(ctx))
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			if got := lines(); c.want == "" && strings.Contains(got, "WARN") || !strings.Contains(got, strings.ReplaceAll(c.want, `"`, `\"`)) {
				t.Errorf("the log, which should have %q: %s", c.want, got)
			}
		})
	}
}

// TestNobodyAsksAboutAnotherName: a node learns only whether its own name is free.
func TestNobodyAsksAboutAnotherName(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	nodes, routes, _ := r.openTwo(t, nil)
	cfg := r.config(t, "n9") // it shows n3's certificate
	cfg.Cluster = r.member(t, routes, 2)
	cfg.Cluster.CertFile, cfg.Cluster.KeyFile = filepath.Join(r.nodeDir(t, "n3"), keys.NodeCertFile), filepath.Join(r.nodeDir(t, "n3"), keys.NodeKeyFile)
	if err := bus.New(cfg, r.auth).CheckName(t.Context()); core.KindOf(err) != core.KindRefused {
		t.Errorf("a question about another name: %v", err)
	}
	if nodes[0].Routes() != 1 {
		t.Errorf("n1 has %d routes", nodes[0].Routes())
	}
}
