package control

import (
	"encoding/json"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/binding"
)

// gate is a server in this process that can keep a client from connecting.
type gate struct {
	*server.Server
	shut atomic.Bool
}

func (g *gate) InProcessConn() (net.Conn, error) {
	if g.shut.Load() {
		return nil, errors.New("the gate is shut")
	}
	return g.Server.InProcessConn()
}

// renewing is an identity whose connection is renewed while it signs.
type renewing struct {
	signer
	renew func()
}

func (r renewing) Sign(data []byte) ([]byte, error) {
	r.renew()
	return r.signer.Sign(data)
}

// TestAnswerAfterAReconnectIsDropped: a request that waited for a connection, or
// whose connection was renewed while it was signed, goes to a server that has
// proven nothing. Its answer is not believed.
func TestAnswerAfterAReconnectIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	caller, cluster := string(w.owner), prover(t)
	g := &gate{Server: w.server}
	nc, err := nats.Connect("", nats.InProcessServer(g), nats.CustomInboxPrefix(auth.InboxPrefix(caller)), nats.ReconnectWait(time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	answerAs(t, w, caller, cluster)

	ask := func(id auth.Signer, f func(*Client) error) error {
		t.Helper()
		cl := NewClient(ClientConfig{Conn: nc, Identity: id, Timeout: 5 * time.Second})
		if _, err := cl.Identify(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f(cl)
	}
	err = ask(signer(caller), func(cl *Client) error {
		g.shut.Store(true)
		if err := nc.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() {
			_, err := cl.User(t.Context(), w.other)
			got <- err
		}()
		eventually(t, func() bool { n, _ := nc.Buffered(); return n > 0 })
		g.shut.Store(false)
		return <-got
	})
	wantKind(t, "a request that waited for a connection", err, core.KindUnavailable)

	renew := func() {
		before := nc.Stats().Reconnects
		if err := nc.ForceReconnect(); err != nil {
			t.Error(err)
		}
		eventually(t, func() bool { return nc.IsConnected() && nc.Stats().Reconnects > before })
	}
	err = ask(renewing{signer(caller), renew}, func(cl *Client) error {
		_, err := cl.RevokeUser(t.Context(), w.other)
		return err
	})
	wantKind(t, "an act whose connection was renewed", err, core.KindUnavailable)
	if err != nil && core.AsError(err).Next != "whether it took effect is not known: look before you try again" {
		t.Errorf("it may have been done, and the error says %q", core.AsError(err).Next)
	}
}

// answerAs is a service that answers one caller: it proves the cluster's key, and
// says yes to everything else.
func answerAs(t *testing.T, w *world, caller string, cluster auth.Prover) {
	t.Helper()
	service, err := nats.Connect("", nats.InProcessServer(w.server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	_, err = service.Subscribe(Subject(caller, "*"), func(msg *nats.Msg) {
		inner := []byte("{}")
		if msg.Subject == Subject(caller, methodIdentify) {
			req, _ := decode[binding.Request](msg.Data)
			key, signature, err := cluster.Prove(req.Channel, caller, req.Nonce)
			if err != nil {
				t.Error(err)
			}
			inner, _ = json.Marshal(binding.Proof{Cluster: key, Signature: signature})
		}
		body, _ := json.Marshal(reply{V: version, Reply: inner})
		_ = msg.Respond(body)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	tick, end := time.NewTicker(time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			t.Error("it did not happen in time")
			return
		}
	}
}
