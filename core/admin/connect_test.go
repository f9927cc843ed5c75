package admin_test

import (
	"net"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/nodetest"
)

// Three addresses that take connections and say nothing, as stopped processes
// do: the client gives up within its time, and says whom it asked.
func TestSilentServersAreGivenUpInTime(t *testing.T) {
	t.Parallel()
	var urls []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		urls = append(urls, "nats://"+l.Addr().String())
	}
	const within = 2 * time.Second
	cl := admin.NewClient(admin.ClientConfig{Servers: urls, Identity: nodetest.Identity(t), Connect: within})
	began := time.Now()
	err := cl.Open(t.Context())
	if core.KindOf(err) != core.KindUnavailable {
		t.Errorf("got %v, want it unavailable", err)
	}
	if took := time.Since(began); took > within+time.Second {
		t.Errorf("it took %s, asked for %s", took, within)
	}
}
