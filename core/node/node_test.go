package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/binding"
	"unibus/core/nodetest"
)

func TestKVStoreBootstrapUnderEnforce(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	user, outsider := nodetest.Identity(t), nodetest.Identity(t)
	if _, err := c.Client(0, c.Admin).UserAdd(t.Context(), core.User{ID: core.UserID(user.Public()), Role: core.RoleMember}); err != nil {
		t.Fatal(err)
	}
	for i := range c.Configs {
		nc, err := c.Connect(i, user)
		if err != nil {
			t.Errorf("the user is not admitted at %s: %v", c.Configs[i].Name, err)
			continue
		}
		nc.Close()
		if _, err := c.Connect(i, outsider); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("an outsider at %s: got %v, want a refusal", c.Configs[i].Name, err)
		}
	}
}

func TestKVStoreDecentralizedConsistency(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	clients := []*admin.Client{c.Client(0, c.Admin), c.Client(1, c.Admin), c.Client(2, c.Admin)}
	for i, writer := range clients {
		name := fmt.Sprintf("written at n%d", i+1)
		u, err := writer.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public()), Name: &name, Role: core.RoleAdmin})
		if err != nil {
			t.Fatal(err)
		}
		if u, err = writer.UserRevoke(t.Context(), string(u.ID)); err != nil {
			t.Fatal(err)
		}
		for j, reader := range clients {
			got, err := reader.UserGet(t.Context(), string(u.ID))
			if err != nil {
				t.Fatalf("reading at n%d what n%d wrote: %v", j+1, i+1, err)
			}
			if diff := cmp.Diff(u, got); diff != "" {
				t.Errorf("n%d reads something else than n%d wrote (-wrote +read):\n%s", j+1, i+1, diff)
			}
		}
	}
}

// TestRepliesOutsideTheCallersInboxAreDropped: the service publishes a reply with its own
// rights, so it must answer only in the caller's own inbox.
func TestRepliesOutsideTheCallersInboxAreDropped(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1})
	victim, err := c.Connect(0, c.Viewer)
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Close()
	got := make(chan *nats.Msg, 8)
	if _, err := victim.ChanSubscribe("_INBOX."+c.Viewer.Public()+".>", got); err != nil {
		t.Fatal(err)
	}
	if err := victim.Flush(); err != nil {
		t.Fatal(err)
	}
	caller, err := c.Connect(0, c.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	subject := admin.Subject(c.Admin.Public(), admin.TargetAny, "status")
	for _, reply := range []string{"_INBOX." + c.Viewer.Public() + ".x", "_INBOX." + c.Admin.Public() + "x.y", "unibus.events.v1", "$KV.UNIBUS_users.u1"} {
		if err := caller.PublishMsg(signedRead(t, caller, c, subject, reply)); err != nil {
			t.Fatal(err)
		}
	}
	// The same connection's next request is handled after those: its answer says that they were.
	msg, err := caller.RequestMsg(signedRead(t, caller, c, subject, ""), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var st admin.Status
	if err := json.Unmarshal(msg.Data, &st); err != nil || st.From != "n1" {
		t.Fatalf("the proper request was answered with %q, %v", msg.Data, err)
	}
	if err := victim.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-got:
		t.Errorf("an answer reached another's inbox: %s", m.Subject)
	default:
	}
}

func TestViewerMayNotAct(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1})
	viewer := c.Client(0, c.Viewer)
	if _, err := viewer.UserPage(t.Context(), core.UserPageRequest{}); err != nil {
		t.Errorf("a viewer may look: %v", err)
	}
	_, err := viewer.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())})
	if core.KindOf(err) != core.KindRefused {
		t.Errorf("a viewer who adds a user: got %v, want a refusal", err)
	}
}

func TestOneNodeServesSQLiteAtOnce(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1})
	st, err := c.Client(0, c.Admin).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Serving.Backend != core.BackendSQLite || st.Serving.File != c.Configs[0].DB {
		t.Errorf("serving %+v, want SQLite from %s", st.Serving, c.Configs[0].DB)
	}
	if st.Operator.Name != "ana" {
		t.Errorf("the node takes us for %+v", st.Operator)
	}
}

func TestSecondDaemonOnADirectoryIsRefused(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1})
	c.Configs[0].Listen = "127.0.0.1:0"
	if err := c.Open(0); core.KindOf(err) != core.KindRefused {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestCloseTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1})
	for range 2 {
		if err := c.Nodes[0].Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// signedRead is a request of the admin, signed as its client signs it.
func signedRead(t *testing.T, nc *nats.Conn, c *nodetest.Cluster, subject, reply string) *nats.Msg {
	t.Helper()
	msg := nats.NewMsg(subject)
	if err := binding.New(nc, c.Admin, c.Client(0, c.Admin).ClusterKey()).Sign(msg, time.Now()); err != nil {
		t.Fatal(err)
	}
	msg.Reply = reply
	return msg
}
