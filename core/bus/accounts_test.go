package bus_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
)

// TestSystemOperatorHearsEveryServer: the official tool's requests reach all servers
// from the operator's own account. The answers include connections of all accounts.
func TestSystemOperatorHearsEveryServer(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	nodes := r.cluster(t)
	r.mustDial(t, nodes[1], r.a)
	nc := r.mustDial(t, nodes[0], r.sysOperator)
	for _, subject := range auth.MonitoredServices() {
		if strings.Contains(subject, "*") {
			continue
		}
		replies := gather(t, nc, subject, 3)
		var names []string
		for _, m := range replies {
			names = append(names, serverOf(t, m))
		}
		if slices.Sort(names); !slices.Equal(names, []string{"n1", "n2", "n3"}) {
			t.Errorf("%s: %v answered", subject, names)
		}
		if all := texts(replies); strings.HasSuffix(subject, ".CONNZ") && (!strings.Contains(all, r.a.Public()) || !strings.Contains(all, `"num_connections":`)) {
			t.Errorf("%s shows no connection of users: %.500s", subject, all)
		}
	}
	if m := gather(t, nc, "$SYS.REQ.ACCOUNT.BUS.CONNZ", 3); len(m) != 3 {
		t.Errorf("%d servers answered for BUS", len(m))
	}
}

// gather sends a request and returns at most want answers.
func gather(t *testing.T, nc *nats.Conn, subject string, want int) (replies []*nats.Msg) {
	t.Helper()
	inbox := nc.NewRespInbox()
	sub, err := nc.SubscribeSync(inbox)
	must(t, err)
	payload := []byte("{}")
	if strings.HasSuffix(subject, ".CONNZ") {
		payload = []byte(`{"auth":true}`)
	}
	must(t, nc.PublishRequest(subject, inbox, payload))
	for len(replies) < want {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Errorf("%s: %v after %d answers", subject, err, len(replies))
			break
		}
		replies = append(replies, m)
	}
	must(t, sub.Unsubscribe())
	return replies
}

func texts(ms []*nats.Msg) string {
	var all strings.Builder
	for _, m := range ms {
		all.Write(m.Data)
	}
	return all.String()
}

func serverOf(t *testing.T, m *nats.Msg) string {
	t.Helper()
	var got struct {
		Server struct{ Name string }
		Name   string
	}
	if err := json.Unmarshal(m.Data, &got); err != nil {
		t.Fatalf("%s: %v", m.Data, err)
	}
	return got.Server.Name + got.Name // IDZ has it at the top
}

// TestServersGiveNothingAway: no operator may ask a server to take profiles, to read
// the whole process or to change itself, in any account.
func TestServersGiveNothingAway(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := r.open(t, r.config(t, "n1"))
	for name, id := range map[string]keys.Identity{"system": r.sysOperator, "auditor": r.auditor, "admin": r.admin, "viewer": r.viewer, "user": r.a} {
		nc := r.mustDial(t, s, id)
		for _, verb := range []string{"PROFILEZ", "EXPVARZ", "IPQUEUESZ", "KICK", "LDM", "RELOAD"} {
			for _, target := range []string{"PING", s.ID()} {
				if mayPublish(t, nc, "$SYS.REQ.SERVER."+target+"."+verb) {
					t.Errorf("%s may ask for %s", name, verb)
				}
			}
		}
	}
}

// TestOperatorsDoNotHearEachOther: each operator has an account of its own, on every node.
func TestOperatorsDoNotHearEachOther(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	for role, name := range map[core.OperatorRole]string{core.OperatorSystem: "$SYS.REQ.SERVER.PING.STATSZ", core.OperatorAuditor: "CTL.API.STREAM.LIST"} {
		first, err := keys.GenerateIdentity()
		must(t, err)
		second, err := keys.GenerateIdentity()
		must(t, err)
		r.auth.SetOperators([]core.Operator{{Key: first.Public(), Role: role, Name: "first"}, {Key: second.Public(), Role: role, Name: "second"}})
		cfg := r.config(t, "n1")
		cfg.JetStream, cfg.MaxStore = true, 64<<20
		s := r.open(t, cfg)
		requester, other := r.mustDial(t, s, first), r.mustDial(t, s, second)
		all, err := other.SubscribeSync("_INBOX.>")
		must(t, err)
		must(t, other.Flush())
		if _, err := requester.Request(name, nil, 10*time.Second); err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		must(t, requester.PublishRequest(name, "_INBOX."+second.Public()+".x", nil))
		if _, err := requester.Request(name, nil, 10*time.Second); err != nil { // answered after the one before
			t.Fatalf("%s: %v", role, err)
		}
		must(t, other.Flush())
		if n, _, _ := all.Pending(); n != 0 {
			t.Errorf("%s: another operator received %d answers", role, n)
		}
	}
}
