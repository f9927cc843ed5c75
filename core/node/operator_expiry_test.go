package node_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/config"
	"unibus/core/keys"
	"unibus/core/node"
	"unibus/core/nodetest"
)

// TestOperatorKeyEnds: at its end a key loses its session, and is refused from then on.
func TestOperatorKeyEnds(t *testing.T) {
	t.Parallel()
	ana, bob := nodetest.Identity(t), nodetest.Identity(t)
	cfg := config.Default()
	cfg.Name, cfg.Data, cfg.DB = "n1", filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "unibus.db")
	cfg.Listen, cfg.BusAuth = fmt.Sprintf("127.0.0.1:%d", nodetest.Ports(t, 1)[0]), core.BusAuthEnforce
	end := time.Now().Add(5 * time.Second)
	expiring := operator(ana, core.OperatorAdmin, "ana")
	expiring.NotAfter = core.MillisOf(end)
	cfg.Operators = []core.Operator{expiring, operator(bob, core.OperatorAdmin, "bob")}
	n := node.New(node.Config{Node: cfg, Version: "test", Log: nodetest.Log(t)})
	if err := n.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })

	open := func(id keys.Identity) (*admin.Client, error) {
		cl := admin.NewClient(admin.ClientConfig{Servers: []string{"nats://" + cfg.Listen}, Identity: id, Connect: 5 * time.Second})
		t.Cleanup(cl.Close)
		return cl, cl.Open(t.Context())
	}
	if _, err := open(ana); err != nil {
		t.Fatalf("ana is refused before her key ends: %v", err)
	}
	session, err := nats.Connect("nats://"+cfg.Listen, nats.Nkey(ana.Public(), ana.Sign), nats.NoReconnect(), nats.CustomInboxPrefix("_INBOX."+ana.Public()))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	nodetest.Wait(t, 15*time.Second, func() error {
		if !session.IsClosed() {
			return errors.New("the session goes on")
		}
		return nil
	})
	if time.Now().Before(end) {
		t.Error("the session ended before the key did")
	}
	if _, err := open(ana); err == nil {
		t.Error("a key that has ended is admitted")
	}
	cl, err := open(bob)
	if err != nil {
		t.Fatalf("an operator without an end is refused: %v", err)
	}
	st, err := cl.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	told := false
	for _, f := range st.Judgment.Findings {
		told = told || strings.Contains(f.Text, "The key of the operator ana") && strings.Contains(f.Text, "ended on")
	}
	if !told {
		t.Errorf("no finding names the key that has ended: %+v", st.Judgment.Findings)
	}
}
