package node_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/nodetest"
)

// TestSoftRecordsWhoWouldBeDenied: an unknown key and a connection without a key at one node
// of three are shown by every node.
func TestSoftRecordsWhoWouldBeDenied(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, BusAuth: core.BusAuthSoft})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	viewer := c.Client(2, c.Viewer)
	known, stranger := nodetest.Identity(t), nodetest.Identity(t)
	if _, err := c.Client(0, c.Admin).UserAdd(t.Context(), user(known)); err != nil {
		t.Fatal(err)
	}
	connect(t, c, 1, known)
	safe := rollout(t, viewer)
	if !safe.Safe || safe.Verdict != admin.SafeToEnforce || len(safe.Nodes) != 3 || safe.Declared["bus-auth"] != "enforce" || safe.Nodes["n2"].Active["bus-auth"] != "soft" {
		t.Errorf("before any connection that enforce would deny: %+v", safe)
	}
	for range 3 {
		connect(t, c, 1, stranger).Close()
	}
	nc, err := nats.Connect(c.URL(0))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	got := rollout(t, viewer)
	if got.Safe || !strings.Contains(got.Verdict, "2 clients would be denied on n1, n2") {
		t.Errorf("the verdict is %q", got.Verdict)
	}
	d := got.Nodes["n2"].WouldDeny
	if len(d) != 1 || d[0].Key != stranger.Public() || d[0].Addr != "127.0.0.1" || d[0].Count != 3 || d[0].First > d[0].Last || !strings.Contains(d[0].Reason, "unknown") {
		t.Errorf("n2 recorded %+v", d)
	}
	if d := got.Nodes["n1"].WouldDeny; len(d) != 1 || d[0].Key != "" || d[0].Count != 1 {
		t.Errorf("n1 recorded %+v", d)
	}
	// Once the stranger has been added, enforce would admit it.
	if _, err := c.Client(0, c.Admin).UserAdd(t.Context(), user(stranger)); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 10*time.Second, func() error {
		if r := rollout(t, viewer); len(r.Nodes["n2"].WouldDeny) > 0 {
			return core.Errorf(core.KindFailed, "%+v", r.Nodes["n2"])
		}
		return nil
	})
}

func rollout(t *testing.T, cl *admin.Client) admin.Rollout {
	t.Helper()
	r, err := cl.Rollout(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
