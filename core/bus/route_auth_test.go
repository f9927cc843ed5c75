package bus

import (
	"log/slog"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
)

// TestPeerNameWithoutACertificate: a peer chooses its name freely in the route's
// first message. No name stands for a certificate that was never seen.
func TestPeerNameWithoutACertificate(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"n1", "", "no node of that name", "n3 "} {
		for _, opened := range []bool{true, false} {
			a := newRouteAuth(&Cluster{Nodes: []string{"n1", "n2"}}, nil, nil, slog.New(slog.DiscardHandler))
			err := a.checkRoute(&server.RouteInfo{Rid: 7, RemoteID: "ID", RemoteName: name, DidSolicit: opened})
			if core.KindOf(err) != core.KindRefused || !a.misnamed["ID"] {
				t.Errorf("a peer called %q, opened here %v: %v", name, opened, err)
			}
		}
	}
}
