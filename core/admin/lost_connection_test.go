package admin_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"unibus/core/admin"
	"unibus/core/nodetest"
)

// TestLostConnectionSaysWhyNoServerIsReached: once the only node is gone, the client says of each server why
// it does not reach it, and says nothing of it any more once it is connected again.
func TestLostConnectionSaysWhyNoServerIsReached(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Config{Nodes: 1})
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	cl := admin.NewClient(admin.ClientConfig{Servers: []string{n.URL(0), "nats://" + silent.Addr().String()}, Identity: n.Admin})
	t.Cleanup(cl.Close)
	if err := cl.Open(t.Context()); err != nil || len(cl.Attempts()) != 0 {
		t.Fatal(err, cl.Attempts())
	}
	if err := n.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 20*time.Second, func() error {
		got := cl.Attempts()
		if len(got) != 2 || got[0].Server != n.URL(0) || got[0].Why != "connection refused" || !strings.Contains(got[1].Why, "its process hangs") {
			return fmt.Errorf("%+v", got)
		}
		if got[0].Since.IsZero() || !strings.Contains(got[0].Next, "start unibusd") || !strings.Contains(got[1].Next, "restart unibusd") {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	if err := n.Open(0); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 20*time.Second, func() error {
		if got := cl.Attempts(); len(got) != 0 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
}
