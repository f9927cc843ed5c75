package admin

import (
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/binding"
	"unibus/core/cluster"
	"unibus/core/keys"
)

// answers is a node that answers each verb by its own list, one after the other, and then
// with success. It proves the cluster's key. An empty answer is silence.
type answers struct {
	asked    atomic.Int32
	replies  []*core.Error
	electing func(asked int32) bool // what it says of an election by then; such questions are not counted
}

func (a *answers) open(t *testing.T) *Client {
	t.Helper()
	srv, err := server.NewServer(&server.Options{ServerName: "n1", Host: "127.0.0.1", Port: -1, AlwaysEnableNonce: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the test's server did not start")
	}
	id, err := keys.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := keys.GenerateCluster()
	if err != nil {
		t.Fatal(err)
	}
	prover := auth.Prover{Key: func() (auth.Signer, bool) { return key, true }, IsClusterChannel: func(auth.Channel) bool { return true }}
	service, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	_, err = service.Subscribe(auth.AdminPrefix+id.Public()+".>", func(msg *nats.Msg) {
		if strings.HasSuffix(msg.Subject, "."+string(verbIdentify)) {
			var req binding.Request
			_ = json.Unmarshal(msg.Data, &req)
			key, signature, err := prover.Prove(req.Channel, id.Public(), req.Nonce)
			if err != nil {
				t.Error(err)
			}
			body, _ := json.Marshal(binding.Proof{Cluster: key, Signature: signature})
			_ = msg.Respond(body)
			return
		}
		if a.electing != nil && strings.HasSuffix(msg.Subject, "."+string(verbStatus)) {
			a.answerStatus(msg)
			return
		}
		a.answer(msg)
	})
	if err == nil {
		err = service.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	cl := NewClient(ClientConfig{Servers: []string{srv.ClientURL()}, Identity: id, Timeout: 2 * time.Second})
	if err := cl.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// answerStatus is of three nodes of which one, the leader, is down.
func (a *answers) answerStatus(msg *nats.Msg) {
	v := cluster.View{Clustered: true, At: core.MillisOf(time.Now()), Meta: cluster.Meta{Online: 2, Needed: 2, Leader: "n2"}, Nodes: []cluster.Node{
		{Name: "n1"}, {Name: "n2", Online: true}, {Name: "n3", Online: true},
	}}
	if a.electing(a.asked.Load()) {
		v.Meta.Leader = "n1"
	}
	body, _ := json.Marshal(Status{View: v})
	_ = msg.Respond(body)
}

func (a *answers) answer(msg *nats.Msg) {
	n := int(a.asked.Add(1))
	switch {
	case n > len(a.replies):
		_ = msg.Respond([]byte("{}"))
	case a.replies[n-1] != nil:
		body, _ := json.Marshal(Problem{a.replies[n-1]})
		_ = msg.RespondMsg(&nats.Msg{Data: body, Header: nats.Header{micro.ErrorCodeHeader: {string(a.replies[n-1].Kind)}}})
	}
}

// TestActsWaitForAnElection: while a majority is up and elects a leader, an act that was not
// done is sent again; once no election is the cause, no longer.
func TestActsWaitForAnElection(t *testing.T) {
	t.Parallel()
	none := core.Errorf(core.KindUnavailable, "nothing was done").WithOutcome(core.OutcomeNone)
	for name, c := range map[string]struct {
		replies  int
		electing func(asked int32) bool
		asked    int32
		kind     core.Kind
	}{
		"until it is over":       {12, func(int32) bool { return true }, 13, ""},
		"it is over in vain":     {99, func(asked int32) bool { return asked < 8 }, 8, core.KindUnavailable},
		"no majority, no leader": {99, func(int32) bool { return false }, 4, core.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := &answers{replies: slices.Repeat([]*core.Error{none}, c.replies), electing: c.electing}
			_, err := node.open(t).UserAdd(t.Context(), core.User{ID: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"})
			if core.KindOf(err) != c.kind || node.asked.Load() != c.asked {
				t.Errorf("%v after %d requests, want the kind %q after %d", err, node.asked.Load(), c.kind, c.asked)
			}
		})
	}
}

// TestActsAreRepeated: what was not done is sent again, and so is what does no harm
// twice. Of anything else the error says that the outcome is unknown, and how to find out.
func TestActsAreRepeated(t *testing.T) {
	t.Parallel()
	none := core.Errorf(core.KindUnavailable, "nothing was done").WithOutcome(core.OutcomeNone)
	unknown := core.Errorf(core.KindUnavailable, "no answer came in time").WithOutcome(core.OutcomeUnknown)
	mute := core.Errorf(core.KindUnavailable, "it does not say what became of it")
	refused := core.Errorf(core.KindRefused, "not allowed")
	user := core.UserID("UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4")
	add := func(cl *Client) error { _, err := cl.UserAdd(t.Context(), core.User{ID: user}); return err }
	revoke := func(cl *Client) error { _, err := cl.Revoke(t.Context(), string(user)); return err }
	status := func(cl *Client) error { _, err := cl.Status(t.Context()); return err }
	for name, c := range map[string]struct {
		act     func(*Client) error
		replies []*core.Error
		asked   int32
		kind    core.Kind
		next    string
	}{
		"nothing was done":             {add, []*core.Error{none, none}, 3, "", ""},
		"nothing is ever done":         {add, slices.Repeat([]*core.Error{none}, 9), 4, core.KindUnavailable, ""},
		"unknown":                      {add, []*core.Error{unknown}, 1, core.KindUnavailable, "`unibusd user get " + string(user) + "`"},
		"silence":                      {add, []*core.Error{nil}, 1, core.KindUnavailable, "`unibusd user get " + string(user) + "`"},
		"unknown and idempotent":       {revoke, []*core.Error{unknown}, 2, "", ""},
		"silence and idempotent":       {revoke, []*core.Error{nil}, 2, "", ""},
		"unavailable without a word":   {revoke, []*core.Error{mute}, 1, core.KindUnavailable, ""},
		"refused":                      {revoke, []*core.Error{refused}, 1, core.KindRefused, ""},
		"a reading where nothing does": {status, []*core.Error{none}, 1, core.KindUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := &answers{replies: c.replies}
			if name != "a reading where nothing does" {
				node.electing = func(int32) bool { return false }
			}
			err := c.act(node.open(t))
			if core.KindOf(err) != c.kind || node.asked.Load() != c.asked {
				t.Errorf("%v after %d requests, want the kind %q after %d", err, node.asked.Load(), c.kind, c.asked)
			}
			if e := core.AsError(err); e != nil && !strings.HasSuffix(e.Next, c.next) {
				t.Errorf("the next step is %q, want it to end with %q", e.Next, c.next)
			}
		})
	}
}
