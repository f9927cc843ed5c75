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
			a := newRouteAuth(&Cluster{CheckNode: onlyN1AndN2}, nil, nil, slog.New(slog.DiscardHandler))
			err := a.checkRoute(&server.RouteInfo{Rid: 7, RemoteID: "ID", RemoteName: name, DidSolicit: opened})
			if core.KindOf(err) != core.KindRefused || !a.misnamed["ID"] {
				t.Errorf("a peer called %q, opened here %v: %v", name, opened, err)
			}
		}
	}
}

func onlyN1AndN2(name string) error {
	if name != "n1" && name != "n2" {
		return core.Errorf(core.KindRefused, "%s is no node of this cluster", name)
	}
	return nil
}
