package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/doctor"
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
	user, ending := nodetest.Identity(t).Public(), nodetest.Identity(t).Public()
	end := core.MillisOf(time.Now().Add(time.Hour))
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := c.Client(0, c.Admin)
	nodetest.Wait(t, 30*time.Second, func() error {
		_, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(ending), Expires: end})
		return err
	})
	doctorNames(t, cl, doctor.OK, "all nodes run the same version")
	if err := c.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	before := release(t, c, 2, core.Protocols{})
	if err := before.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.WaitServing(core.BackendKV, 2)
	if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(user)}); err != nil {
		t.Fatal(err)
	}
	found(t, cl, cluster.Note, "config", "different versions", "another on n3")
	_, err := cl.UserExtend(t.Context(), user, end)
	e := core.AsError(err)
	if e == nil || e.Kind != core.KindRefused || e.Outcome != core.OutcomeNone || !strings.Contains(e.Text, "n3 runs an older release") || !strings.Contains(e.Next, "upgrade n3 first") {
		t.Fatalf("an end that n3 cannot read: %v", err)
	}
	if u, err := cl.UserGet(t.Context(), user); err != nil || u.Expires != 0 {
		t.Errorf("after the refusal: %+v %v", u, err)
	}
	revokeBesideOlder(t, cl, ending, end)
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

// revokeBesideOlder: a user whose end the older node cannot read is revoked all the same, and
// may get an earlier end: that node refuses the user already. Every node's status names it.
func revokeBesideOlder(t *testing.T, cl *admin.Client, id string, end core.Millis) {
	t.Helper()
	found(t, cl, cluster.Degraded, "config", "n3 runs an older release", "cannot read one user with an end", "upgrade unibusd on n3")
	doctorNames(t, cl, doctor.Wrong, "n3 runs an older release", "upgrade unibusd on n3")
	if u, err := cl.UserExtend(t.Context(), id, end-1); err != nil || u.Expires != end-1 {
		t.Errorf("an earlier end: %+v %v", u, err)
	}
	if u, err := cl.UserRevoke(t.Context(), id); err != nil || u.Status != core.UserRevoked {
		t.Errorf("a revocation: %+v %v", u, err)
	}
}

// doctorNames: the doctor at one node finds what status finds about the versions.
func doctorNames(t *testing.T, cl *admin.Client, state doctor.State, texts ...string) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		r, err := cl.Doctor(t.Context(), admin.DoctorRequest{})
		if err != nil {
			return err
		}
		for _, c := range r.Checks {
			if c.Name != "versions" {
				continue
			}
			for _, text := range texts {
				if c.State != state || !strings.Contains(c.Text+" "+c.Next, text) {
					return fmt.Errorf("%+v, want %s with %q", c, state, text)
				}
			}
			return nil
		}
		return errors.New("the doctor checks no versions")
	})
}
