package node_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/node"
	"unibus/core/nodetest"
)

// release is node i as one of another release.
func release(t *testing.T, c *nodetest.Cluster, i int, p core.Protocols) *node.Node {
	t.Helper()
	n := node.New(node.Config{Node: c.Configs[i], Version: "another", Log: nodetest.Log(t)})
	n.SetProtocols(p)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// TestReleasesSideBySide: while one node runs the release before, nothing is written that it
// could not read, and everything else works. A node of a release too far away ends itself.
func TestReleasesSideBySide(t *testing.T) {
	t.Parallel()
	user := nodetest.Identity(t)
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, Before: func(c *nodetest.Cluster) { c.Later(2) }})
	before := release(t, c, 2, core.Protocols{})
	if err := before.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := c.Client(0, c.Admin)
	nodetest.Wait(t, 30*time.Second, func() error {
		_, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(user.Public())})
		return err
	})
	found(t, cl, cluster.Note, "config", "different versions", "another on n3")
	end := core.MillisOf(time.Now().Add(time.Hour))
	_, err := cl.UserExtend(t.Context(), user.Public(), end)
	e := core.AsError(err)
	if e == nil || e.Kind != core.KindRefused || e.Outcome != core.OutcomeNone || !strings.Contains(e.Text, "n3 runs an older release") || !strings.Contains(e.Next, "upgrade n3 first") {
		t.Fatalf("an end that n3 cannot read: %v", err)
	}
	if u, err := cl.UserGet(t.Context(), user.Public()); err != nil || u.Expires != 0 {
		t.Errorf("after the refusal: %+v %v", u, err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	far := release(t, c, 2, core.Protocols{Newest: core.ProtocolVersion + 2, Oldest: core.ProtocolVersion + 1})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := far.Run(ctx); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "cannot work with the cluster") {
		t.Errorf("a release too far away: %v", err)
	}
}
