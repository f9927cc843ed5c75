package admin

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/binding"
	"unibus/core/keys"
)

// renewing is an identity whose connection is renewed while it signs a request.
type renewing struct {
	Identity
	renew func()
}

func (r *renewing) Sign(data []byte) ([]byte, error) {
	if renew := r.renew; renew != nil {
		r.renew = nil
		renew()
	}
	return r.Identity.Sign(data)
}

// TestAnswerAfterAReconnectIsDropped: the server that an answer comes from has
// proven nothing, where the connection was renewed after the proof was looked at.
func TestAnswerAfterAReconnectIsDropped(t *testing.T) {
	t.Parallel()
	srv, err := server.NewServer(&server.Options{ServerName: "n1", Host: "127.0.0.1", Port: -1, AlwaysEnableNonce: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the test's server did not start")
	}
	user, err := keys.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	id := &renewing{Identity: user}
	answerAs(t, srv, id.Public())
	cl := NewClient(ClientConfig{Servers: []string{srv.ClientURL()}, Identity: id})
	if err := cl.Open(t.Context()); err != nil || !cl.Proven() {
		t.Fatal(cl.Proven(), err)
	}
	t.Cleanup(cl.Close)
	for what, ask := range map[string]func() error{
		"a reading": func() error { _, err := cl.Status(t.Context()); return err },
		"an act":    func() error { _, err := call[core.Backup](t.Context(), cl, TargetAny, verbBackup, nil); return err },
	} {
		id.renew = func() {
			connected := cl.session.Load().nc.StatusChanged(nats.CONNECTED)
			if err := cl.session.Load().nc.ForceReconnect(); err != nil {
				t.Error(err)
			}
			select {
			case <-connected:
			case <-time.After(10 * time.Second):
				t.Error("the connection was not renewed in time")
			}
		}
		if err := ask(); core.KindOf(err) != core.KindUnavailable {
			t.Errorf("%s: %v, want it unavailable", what, err)
		} else if next := core.AsError(err).Next; what == "an act" && next != "whether it took effect is not known: look before you try again: `unibusd audit`" {
			t.Errorf("it may have been done, and the error says %q", next)
		}
	}
}

// answerAs is a service that answers one operator: it proves the cluster's key,
// and says yes to everything else.
func answerAs(t *testing.T, srv *server.Server, caller string) {
	t.Helper()
	_, key, err := keys.GenerateCluster()
	if err != nil {
		t.Fatal(err)
	}
	cluster := auth.Prover{Key: func() (auth.Signer, bool) { return key, true }, IsClusterChannel: func(auth.Channel) bool { return true }}
	service, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	_, err = service.Subscribe(auth.AdminPrefix+caller+".>", func(msg *nats.Msg) {
		if msg.Subject != Subject(caller, TargetAny, verbIdentify) && msg.Subject != Subject(caller, TargetNode("n1"), verbIdentify) {
			_ = msg.Respond([]byte("{}"))
			return
		}
		var req binding.Request
		if err := json.Unmarshal(msg.Data, &req); err != nil {
			t.Error(err)
		}
		key, signature, err := cluster.Prove(req.Channel, caller, req.Nonce)
		if err != nil {
			t.Error(err)
		}
		body, _ := json.Marshal(binding.Proof{Cluster: key, Signature: signature})
		_ = msg.Respond(body)
	})
	if err == nil {
		err = service.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}
