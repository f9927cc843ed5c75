package node_test

import (
	"fmt"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/nodetest"
)

// TestConnectedAreUsers: neither the nodes' own connections nor operators' are counted.
func TestConnectedAreUsers(t *testing.T) {
	t.Parallel()
	s := sample(t)
	c := nodetest.Start(t, nodetest.Config{Seed: s, Nodes: 1})
	cl := c.Client(0, c.Admin)
	user := nodetest.Identity(t)
	connected := func(want int) {
		t.Helper()
		nodetest.Wait(t, 20*time.Second, func() error {
			st, err := cl.Status(t.Context())
			if err == nil && (len(st.Nodes) != 1 || st.Nodes[0].Info == nil || st.Nodes[0].Conns != want) {
				err = fmt.Errorf("%+v, not %d", st.Nodes, want)
			}
			return err
		})
	}
	connected(0)
	if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(user.Public()), Role: core.RoleMember}); err != nil {
		t.Fatal(err)
	}
	nc, err := c.Connect(0, user)
	if err != nil {
		t.Fatal(err)
	}
	connected(1)
	nc.Close()
	connected(0)
}
