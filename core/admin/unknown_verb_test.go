package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/binding"
	"unibus/core/cluster"
	"unibus/core/keys"
)

// olderNode proves the cluster's key and tells its status, and subscribes to nothing else.
// The server lets the operator ask for allowed verbs alone, as an older node's list does.
// beforeStatus is called before it answers; nil: nothing.
func olderNode(t *testing.T, serves core.Backend, beforeStatus func(caller string, node *nats.Conn), allowed ...Verb) *Client {
	t.Helper()
	id, err := keys.GenerateIdentity()
	must(t, err)
	caller := id.Public()
	var may []string
	for _, v := range append(allowed, verbIdentify, verbStatus) {
		may = append(may, Subject(caller, TargetAny, v), Subject(caller, TargetNode("n1"), v))
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: "n1", Host: "127.0.0.1", Port: -1, AlwaysEnableNonce: true, NoSigs: true, NoLog: true,
		Nkeys: []*server.NkeyUser{{Nkey: caller, Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: may}}}},
		Users: []*server.User{{Username: "node", Password: "node"}},
	})
	must(t, err)
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the test's server did not start")
	}
	_, key, err := keys.GenerateCluster()
	must(t, err)
	prover := auth.Prover{Key: func() (auth.Signer, bool) { return key, true }, IsClusterChannel: func(auth.Channel) bool { return true }}
	service, err := nats.Connect("", nats.InProcessServer(srv), nats.UserInfo("node", "node"))
	must(t, err)
	t.Cleanup(service.Close)
	answer := func(v Verb, f func(*nats.Msg) any) {
		for _, target := range []Target{TargetAny, TargetNode("n1")} {
			_, err := service.Subscribe(Subject(caller, target, v), func(msg *nats.Msg) {
				body, _ := json.Marshal(f(msg))
				_ = msg.Respond(body)
			})
			must(t, err)
		}
	}
	answer(verbIdentify, func(msg *nats.Msg) any {
		var req binding.Request
		_ = json.Unmarshal(msg.Data, &req)
		key, signature, err := prover.Prove(req.Channel, caller, req.Nonce)
		if err != nil {
			t.Error(err)
		}
		return binding.Proof{Cluster: key, Signature: signature}
	})
	answer(verbStatus, func(*nats.Msg) any {
		if beforeStatus != nil {
			beforeStatus(caller, service)
		}
		return Status{View: cluster.View{Nodes: []cluster.Node{
			{Name: "n1", Online: true, Info: &cluster.Info{Version: "v0.8.0", Serving: cluster.Serving{Backend: serves}}}, {Name: "n2"},
		}}}
	})
	must(t, service.Flush())
	cl := NewClient(ClientConfig{Servers: []string{srv.ClientURL()}, Identity: id, Timeout: 2 * time.Second})
	must(t, cl.Open(t.Context()))
	t.Cleanup(cl.Close)
	return cl
}

// TestVerbThatAnOlderNodeDoesNotKnow: the error says that and names the node. It does so for
// an operator that may ask for anything, and for one whom the older node's list does not let
// ask for it. It does not blame the node where that serves nothing, or the identity where that
// may not ask for it.
func TestVerbThatAnOlderNodeDoesNotKnow(t *testing.T) {
	t.Parallel()
	const unknown = "no node knows the request room-page, so it was not done: n1 (v0.8.0) is of another release"
	for name, c := range map[string]struct {
		serves  core.Backend
		allowed []Verb
		text    string
		kind    core.Kind
	}{
		"an admin":           {core.BackendKV, []Verb{verbRoomPage}, unknown, core.KindUnavailable},
		"a viewer":           {core.BackendKV, nil, unknown, core.KindUnavailable},
		"SQLite":             {core.BackendSQLite, []Verb{verbRoomPage}, unknown, core.KindUnavailable},
		"serving nothing":    {core.BackendNone, []Verb{verbRoomPage}, "no node that can be reached serves the control plane; room-page was not done", core.KindUnavailable},
		"a viewer, who acts": {core.BackendKV, nil, "this identity may not ask for user-revoke", core.KindRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := olderNode(t, c.serves, nil, c.allowed...)
			began := time.Now()
			_, err := cl.RoomPage(t.Context(), core.RoomPageRequest{})
			if strings.HasSuffix(name, "acts") {
				_, err = cl.UserRevoke(t.Context(), "U")
			}
			e := core.AsError(err)
			if e == nil || !strings.Contains(e.Text, c.text) || e.Kind != c.kind || e.Next == "" {
				t.Errorf("the error is %+v", e)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("it came after %s", took)
			}
		})
	}
}

// TestNodeThatBeginsToServe is asked again: it may have answered the status alone.
func TestNodeThatBeginsToServe(t *testing.T) {
	t.Parallel()
	cl := olderNode(t, core.BackendKV, func(caller string, node *nats.Conn) {
		_, err := node.Subscribe(Subject(caller, TargetAny, verbRoomPage), func(msg *nats.Msg) { _ = msg.Respond([]byte(`{"total":7}`)) })
		if err == nil {
			err = node.Flush()
		}
		if err != nil {
			t.Error(err)
		}
	}, verbRoomPage)
	if p, err := cl.RoomPage(t.Context(), core.RoomPageRequest{}); err != nil || p.Total != 7 {
		t.Errorf("%+v, %v", p, err)
	}
}
