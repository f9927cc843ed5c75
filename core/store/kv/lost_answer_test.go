package kv

import (
	"bytes"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
)

// losesAnswers is a connection to a server that loses acknowledgements of a stream.
type losesAnswers struct {
	net.Conn
	left *atomic.Int32 // how many are lost yet
}

func (c losesAnswers) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !bytes.Contains(p[:n], []byte(`"seq":`)) || c.left.Add(-1) < 0 {
			return n, err
		}
	}
}

// Dial implements nats.CustomDialer.
func (c losesAnswers) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, 5*time.Second)
	return losesAnswers{conn, c.left}, err
}

// TestNonceAfterALostAnswerIsItsOwn: a nonce that was stored, and whose acknowledgement
// was lost, was used by this call and by no other.
func TestNonceAfterALostAnswerIsItsOwn(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]tenant{"one node": onSingle(t), "three nodes": onCluster(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on.nonces(t, 0) // makes the bucket
			var left atomic.Int32
			nc, err := nats.Connect(on.nodes[0].ClientURL(), nats.UserInfo(fmt.Sprintf("t%d", on.account), "x"), nats.SetCustomDialer(losesAnswers{left: &left}))
			mustDo(t, err)
			t.Cleanup(nc.Close)
			n := NewNonces(NoncesConfig{Life: auth.NonceLife, Conn: nc, Replicas: min(3, len(on.nodes)), Timeout: 5 * time.Second})
			left.Store(1)
			if err := n.Create(t.Context(), "UX.lost"); err != nil {
				t.Errorf("the call whose answer was lost: %v", err)
			}
			if left.Load() >= 1 {
				t.Error("no answer was lost")
			}
			wantKind(t, n.Create(t.Context(), "UX.lost"), core.KindExists)
		})
	}
}

// TestNonceOfAnotherIsUsed: a nonce that another call wrote is never taken for this call's own.
func TestNonceOfAnotherIsUsed(t *testing.T) {
	t.Parallel()
	n := onSingle(t).nonces(t, 0)
	mustDo(t, n.Create(t.Context(), "UX.other"))
	wantKind(t, n.compare(t.Context(), message{key: "UX.other", value: []byte(token())}), core.KindExists)
	wantKind(t, n.compare(t.Context(), message{key: "UX.none", value: []byte(token())}), core.KindUnavailable)
}
