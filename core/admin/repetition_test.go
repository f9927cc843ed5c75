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
	user     *core.User             // what it says of every user; such questions are not counted either
	notYet   atomic.Int32           // it says so many times first that it cannot say
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
		if a.user != nil && strings.HasSuffix(msg.Subject, "."+string(verbUserGet)) {
			a.answerUser(msg)
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
		respondProblem(msg, a.replies[n-1])
	}
}

func (a *answers) answerUser(msg *nats.Msg) {
	if a.notYet.Add(-1) >= 0 {
		respondProblem(msg, core.Errorf(core.KindUnavailable, "the buckets elect a leader"))
		return
	}
	body, _ := json.Marshal(a.user)
	_ = msg.Respond(body)
}

func respondProblem(msg *nats.Msg, e *core.Error) {
	body, _ := json.Marshal(Problem{e})
	_ = msg.RespondMsg(&nats.Msg{Data: body, Header: nats.Header{micro.ErrorCodeHeader: {string(e.Kind)}}})
}

// TestUnknownOutcomeIsReadBack: an operator is told what became of an act whose answer was
// lost, as soon as a node can say.
func TestUnknownOutcomeIsReadBack(t *testing.T) {
	t.Parallel()
	unknown := core.Errorf(core.KindUnavailable, "no answer came in time").WithOutcome(core.OutcomeUnknown)
	none := core.Errorf(core.KindUnavailable, "nothing was done").WithOutcome(core.OutcomeNone)
	exists := core.Errorf(core.KindExists, "the user exists")
	ana, ben := "ana", "ben"
	wanted := core.User{ID: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", Name: &ana, Role: core.RoleMember, Status: core.UserActive}
	other, revoked, ending := wanted, wanted, wanted
	other.Name, revoked.Status, ending.Expires = &ben, core.UserRevoked, 77
	add := func(cl *Client) (core.User, error) { return cl.UserAdd(t.Context(), wanted) }
	activate := func(cl *Client) (core.User, error) { return cl.UserActivate(t.Context(), string(wanted.ID)) }
	extend := func(cl *Client) (core.User, error) { return cl.UserExtend(t.Context(), string(wanted.ID), 77) }
	for name, c := range map[string]struct {
		act     func(*Client) (core.User, error)
		replies []*core.Error
		there   core.User
		asked   int32
		kind    core.Kind
		outcome core.Outcome
	}{
		"added by the lost request":       {add, []*core.Error{unknown, exists}, wanted, 2, "", ""},
		"added by it, after an election":  {add, []*core.Error{unknown, none, none, exists}, wanted, 4, "", ""},
		"added by it, and revoked":        {add, []*core.Error{unknown, exists}, revoked, 2, "", ""},
		"there before, by another name":   {add, []*core.Error{unknown, exists}, other, 2, core.KindExists, ""},
		"there before, with another end":  {add, []*core.Error{unknown, exists}, ending, 2, core.KindExists, ""},
		"there before, and nothing lost":  {add, []*core.Error{exists}, wanted, 1, core.KindExists, ""},
		"lost, and then nothing was done": {add, []*core.Error{unknown, none, none, none}, wanted, 4, core.KindUnavailable, core.OutcomeUnknown},
		"activated by the lost request":   {activate, []*core.Error{unknown}, wanted, 1, "", ""},
		"not activated":                   {activate, []*core.Error{unknown}, revoked, 1, core.KindUnavailable, core.OutcomeNone},
		"extended by the lost request":    {extend, []*core.Error{nil}, ending, 1, "", ""},
		"not extended":                    {extend, []*core.Error{nil}, wanted, 1, core.KindUnavailable, core.OutcomeNone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := &answers{replies: c.replies, user: &c.there, electing: func(int32) bool { return false }}
			node.notYet.Store(3)
			u, err := c.act(node.open(t))
			if core.KindOf(err) != c.kind || core.OutcomeOf(err) != c.outcome || node.asked.Load() != c.asked {
				t.Errorf("%v (%s) after %d requests, want the kind %q and the outcome %q after %d", err, core.OutcomeOf(err), node.asked.Load(), c.kind, c.outcome, c.asked)
			}
			if err == nil && u.Status != c.there.Status {
				t.Errorf("the user is %+v, want the one that is there", u)
			}
		})
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

// TestActsAreRepeated: a request that was not carried out is sent again, and so is one
// that may be carried out twice. Of anything else the error says that the outcome is
// unknown, and how to find out.
func TestActsAreRepeated(t *testing.T) {
	t.Parallel()
	none := core.Errorf(core.KindUnavailable, "nothing was done").WithOutcome(core.OutcomeNone)
	unknown := core.Errorf(core.KindUnavailable, "no answer came in time").WithOutcome(core.OutcomeUnknown)
	mute := core.Errorf(core.KindUnavailable, "it does not say what became of it")
	refused := core.Errorf(core.KindRefused, "not allowed")
	user := core.UserID("UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4")
	add := func(cl *Client) error { _, err := cl.UserAdd(t.Context(), core.User{ID: user}); return err }
	revoke := func(cl *Client) error { _, err := cl.Revoke(t.Context(), string(user)); return err }
	backup := func(cl *Client) error {
		_, err := call[core.Backup](t.Context(), cl, TargetAny, verbBackup, nil)
		return err
	}
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
		"unknown every time":           {add, slices.Repeat([]*core.Error{unknown}, 9), 4, core.KindUnavailable, "`unibusd user get " + string(user) + "`"},
		"unknown":                      {backup, []*core.Error{unknown}, 1, core.KindUnavailable, "`unibusd audit`"},
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
