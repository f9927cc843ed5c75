package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/keys"
	"unibus/core/node"
	"unibus/core/nodetest"
)

// fileCluster is a cluster whose nodes each have a configuration file.
type fileCluster struct {
	*nodetest.Cluster
	files []string
	t     *testing.T
}

// startFiles starts three nodes, each from a file with these operators.
func startFiles(t *testing.T, operators ...core.Operator) *fileCluster {
	t.Helper()
	c := &fileCluster{Cluster: nodetest.Furnish(t, nodetest.Config{}), t: t}
	dir := t.TempDir()
	for i := range c.Configs {
		c.files = append(c.files, filepath.Join(dir, fmt.Sprintf("n%d.toml", i+1)))
		c.write(i, "", operators...)
	}
	c.Nodes = make([]*node.Node, len(c.Configs))
	var all sync.WaitGroup
	for i := range c.Configs {
		all.Go(func() { c.open(i) })
	}
	all.Wait()
	return c
}

// write gives a node another configuration.
func (c *fileCluster) write(i int, extra string, operators ...core.Operator) {
	c.t.Helper()
	cfg := c.Configs[i]
	cfg.Operators = operators
	nodetest.WriteConfig(c.t, c.files[i], cfg, extra)
}

func (c *fileCluster) open(i int) {
	source := &config.Source{File: c.files[i]}
	cfg, err := source.Load()
	if err != nil {
		c.t.Error(err)
		return
	}
	n := node.New(node.Config{Node: cfg, Version: "test", Log: nodetest.Log(c.t), Source: source})
	if err := n.Open(context.Background()); err != nil {
		c.t.Error(err)
		return
	}
	c.Nodes[i] = n
	c.t.Cleanup(func() { _ = n.Close() })
}

// finding waits until node i shows a finding that contains text. For "" it waits until there is none about the subject.
func (c *fileCluster) finding(i int, as keys.Identity, text string) cluster.Finding {
	c.t.Helper()
	cl := c.Client(i, as)
	var found cluster.Finding
	nodetest.Wait(c.t, 20*time.Second, func() error {
		st, err := nodetest.Status(c.t.Context(), cl)
		if err != nil {
			return err
		}
		for _, f := range st.Findings {
			if strings.Contains(f.Text, text) {
				found = f
				return nil
			}
		}
		return fmt.Errorf("no finding %q in %+v", text, st.Findings)
	})
	return found
}

// TestOperatorsDifferIsAFinding: an operator that was removed from one node's file is named,
// with the nodes that still admit it. A file that cannot be used is named too.
func TestOperatorsDifferIsAFinding(t *testing.T) {
	t.Parallel()
	ana, ben := nodetest.Identity(t), nodetest.Identity(t)
	admin, viewer := operator(ana, core.OperatorAdmin, "ana"), operator(ben, core.OperatorAdmin, "ben")
	c := startFiles(t, admin, viewer)
	c.write(0, "", admin)
	f := c.finding(2, ana, "is an operator on n2 and n3 and not on n1")
	if f.Level != cluster.Degraded || !strings.Contains(f.Text, "ben") || !strings.Contains(f.Next, "unibusd operator remove "+ben.Public()) {
		t.Errorf("%+v", f)
	}
	c.write(1, "lisen = 1", admin, viewer)
	if f := c.finding(0, ana, "n2 cannot use its configuration file"); f.Level != cluster.Degraded || !strings.Contains(f.Text, `there is no setting "lisen"`) || !strings.Contains(f.Next, c.files[1]) {
		t.Errorf("%+v", f)
	}
	if err := os.Chmod(c.files[2], 0o664); err != nil {
		t.Fatal(err)
	}
	if f := c.finding(0, ana, "n3 cannot use its configuration file"); !strings.Contains(f.Text, "(mode 0664)") {
		t.Errorf("%+v", f)
	}
	if err := os.Chmod(c.files[2], 0o644); err != nil {
		t.Fatal(err)
	}
	c.write(1, "", admin)
	c.write(2, "", admin)
	cl := c.Client(0, ana)
	nodetest.Wait(t, 20*time.Second, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		for _, f := range st.Findings {
			if strings.Contains(f.Text, "operator") || strings.Contains(f.Text, "configuration file") {
				err = errors.Join(err, errors.New(f.Text))
			}
		}
		return err
	})
}

// TestRemovedOperatorIsOutEverywhere: one command ends the sessions on every node. The key is
// refused, also if a file names it. A node that was down learns it, and a restart keeps it.
func TestRemovedOperatorIsOutEverywhere(t *testing.T) {
	t.Parallel()
	ana, ben, cay := nodetest.Identity(t), nodetest.Identity(t), nodetest.Identity(t)
	ops := []core.Operator{operator(ana, core.OperatorAdmin, "ana"), operator(ben, core.OperatorAdmin, "ben"), operator(cay, core.OperatorViewer, "cay")}
	c := startFiles(t, ops...)
	c.finding(0, ana, "")              // the cluster is seen
	takesRequests(t, c.Client(0, ana)) // and founded: a third of it may stop
	sessions := []session{connect(t, c.Cluster, 0, ben), connect(t, c.Cluster, 1, ben)}
	if err := c.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	cl := c.Client(0, ana)
	if _, err := c.remove(cl, cay); err != nil { // two removals in a row
		t.Fatal(err)
	}
	got, err := c.remove(cl, ben)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "ben" || got.By != "ana" || got.Nodes["n1"].Unknown || got.Nodes["n2"].Unknown || fmt.Sprint(got.Unreached()) != "[n3]" {
		t.Errorf("%+v", got)
	}
	if got.Nodes["n1"].Ended != 1 || got.Nodes["n2"].Ended != 1 {
		t.Errorf("sessions: %+v", got.Nodes)
	}
	for _, s := range sessions {
		s.over(t, 2*time.Second)
	}
	c.open(2) // its file still names ben
	nodetest.Wait(t, 20*time.Second, func() error {
		if _, err := c.Connect(2, ben); !errors.Is(err, nats.ErrAuthorization) {
			return fmt.Errorf("n3 admits ben: %v", err) //nolint:errorlint // it may be nil
		}
		return nil
	})
	f := c.finding(2, ana, "The configuration of n3 still names ben")
	if f.Level != cluster.Note || !strings.Contains(f.Next, ben.Public()) {
		t.Errorf("%+v", f)
	}
	if err := c.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1} {
		if err := c.Nodes[i].Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.open(2) // alone, with its own disk
	if _, err := c.Connect(2, ben); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("n3 has forgotten: %v", err)
	}
	if _, err := c.Connect(2, ana); err != nil {
		t.Errorf("ana: %v", err)
	}
	c.write(2, "", ops...) // written again: nothing of it brings a key back
	if err := c.Nodes[2].Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connect(2, ben); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a file brings ben back: %v", err)
	}
}

// remove tries again during an election: the request is then not recorded, and not done.
func (c *fileCluster) remove(cl *admin.Client, id keys.Identity) (admin.OperatorRemoved, error) {
	var out admin.OperatorRemoved
	var err error
	nodetest.Wait(c.t, 30*time.Second, func() error {
		out, err = cl.OperatorRemove(c.t.Context(), id.Public())
		if core.KindOf(err) == core.KindUnavailable || core.KindOf(err) == core.KindConflict {
			return err
		}
		return nil
	})
	return out, err
}

// TestNobodyRemovesTheLastAdmin: an operator can remove neither itself nor the only admin of
// another node. Of two admins that remove each other at the same time one succeeds at most.
func TestNobodyRemovesTheLastAdmin(t *testing.T) {
	t.Parallel()
	ana, ben, vic, eve := nodetest.Identity(t), nodetest.Identity(t), nodetest.Identity(t), nodetest.Identity(t)
	a, b, v := operator(ana, core.OperatorAdmin, "ana"), operator(ben, core.OperatorAdmin, "ben"), operator(vic, core.OperatorViewer, "vic")
	c := startFiles(t, a, b, v)
	nodetest.Wait(t, 20*time.Second, func() error { // before a node knows the key, it lets nothing through that changes something
		for i := range c.Configs {
			cl := admin.NewClient(admin.ClientConfig{Servers: []string{c.URL(i)}, Identity: ana})
			if err := cl.Open(t.Context()); err != nil {
				return err
			}
			key := cl.ClusterKey()
			cl.Close()
			if key == "" {
				return fmt.Errorf("n%d does not know the cluster's key", i+1)
			}
		}
		return nil
	})
	c.finding(1, ana, "")
	cl := c.Client(0, ana)
	for what, try := range map[string]struct {
		as   *admin.Client
		key  string
		kind core.Kind
		text string
	}{
		"herself":    {cl, ana.Public(), core.KindRefused, "signs this request"},
		"a stranger": {cl, eve.Public(), core.KindNotFound, "no node has an operator"},
		"no key":     {cl, "UX", core.KindInvalid, "public nkey"},
		"a viewer":   {c.Client(0, vic), ben.Public(), core.KindRefused, "may not"},
	} {
		_, err := try.as.OperatorRemove(t.Context(), try.key)
		if core.KindOf(err) != try.kind || !strings.Contains(err.Error(), try.text) {
			t.Errorf("%s: %v", what, err)
		}
	}
	c.write(2, "", b) // n3 has ben alone
	c.finding(0, ana, "is an operator on n1 and n2 and not on n3")
	if _, err := c.remove(cl, ben); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "n3 would have no admin left") {
		t.Errorf("the last admin of n3: %v", err)
	}
	c.write(2, "", a, b, v)
	nodetest.Wait(t, 20*time.Second, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		for _, f := range st.Findings {
			if strings.Contains(f.Text, "not on n3") {
				err = errors.Join(err, errors.New(f.Text))
			}
		}
		return err
	})
	var both sync.WaitGroup
	var errs [2]error
	for i, try := range []struct{ by, of keys.Identity }{{ana, ben}, {ben, ana}} {
		at := c.Client(i, try.by)
		both.Go(func() { _, errs[i] = at.OperatorRemove(t.Context(), try.of.Public()) })
	}
	both.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("they removed each other: %v, %v", errs[0], errs[1])
	}
	out := ana
	if errs[0] == nil {
		out = ben
	}
	for i := range c.Configs {
		if _, err := c.Connect(i, out); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s admits the removed operator: %v", c.Configs[i].Name, err)
		}
	}
}
