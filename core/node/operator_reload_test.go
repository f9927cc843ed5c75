package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/config"
	"unibus/core/keys"
	"unibus/core/node"
	"unibus/core/nodetest"
)

// settings writes a node's file with these operators.
func settings(t *testing.T, file, listen, extra string, operators ...core.Operator) {
	t.Helper()
	text := fmt.Sprintf("name = \"n1\"\ndata = %q\nlisten = %q\nbus-auth = \"enforce\"\n%s\n", filepath.Dir(file)+"/data", listen, extra)
	for _, op := range operators {
		text += fmt.Sprintf("[[operator]]\nkey = %q\nrole = %q\nname = %q\n", op.Key, op.Role, op.Name)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func operator(id keys.Identity, role core.OperatorRole, name string) core.Operator {
	return core.Operator{Key: id.Public(), Role: role, Name: name}
}

// TestOperatorsChangeWithoutRestart: the file alone decides, after a change of it and after a
// hangup. A removed operator loses its sessions at once. A broken file changes nothing.
func TestOperatorsChangeWithoutRestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "n1.toml")
	listen := fmt.Sprintf("127.0.0.1:%d", nodetest.Ports(t, 1)[0])
	ana, bob, eve := nodetest.Identity(t), nodetest.Identity(t), nodetest.Identity(t)
	settings(t, file, listen, "", operator(ana, core.OperatorAdmin, "ana"), operator(eve, core.OperatorAdmin, "eve"))
	source := &config.Source{File: file}
	cfg, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	n := node.New(node.Config{Node: cfg, Version: "test", Log: nodetest.Log(t), Source: source})
	if err := n.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	admit := func(id keys.Identity) (*nats.Conn, error) {
		return nats.Connect("nats://"+listen, nats.Nkey(id.Public(), id.Sign), nats.NoReconnect(), nats.CustomInboxPrefix("_INBOX."+id.Public()))
	}
	evil, err := admit(eve)
	if err != nil {
		t.Fatal(err)
	}
	defer evil.Close()
	kept, err := admit(ana)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()

	// The file changes, without a hangup.
	settings(t, file, listen, "", operator(ana, core.OperatorAdmin, "ana"), operator(bob, core.OperatorViewer, "bob"))
	nodetest.Wait(t, 15*time.Second, func() error {
		if !evil.IsClosed() {
			return errors.New("eve's session did not end")
		}
		return nil
	})
	if _, err := admit(eve); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("eve is let in again: %v", err)
	}
	viewer, err := admit(bob)
	if err != nil {
		t.Fatalf("bob is not let in: %v", err)
	}
	defer viewer.Close()
	if !kept.IsConnected() {
		t.Error("ana stayed an operator and lost her session")
	}

	// A broken file keeps the old set.
	settings(t, file, listen, "lisen = 1", operator(eve, core.OperatorAdmin, "eve"))
	if err := n.Reload(); core.KindOf(err) != core.KindInvalid {
		t.Errorf("a broken file: %v", err)
	}
	if _, err := admit(eve); !errors.Is(err, nats.ErrAuthorization) || !kept.IsConnected() {
		t.Errorf("a broken file was half used: %v", err)
	}

	// Another role, at once by a hangup.
	settings(t, file, listen, "", operator(ana, core.OperatorAdmin, "ana"), operator(bob, core.OperatorAdmin, "bob"))
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 5*time.Second, func() error {
		if !viewer.IsClosed() {
			return errors.New("bob keeps the rights of his old role")
		}
		return nil
	})
	if !kept.IsConnected() {
		t.Error("ana stayed an operator and lost her session")
	}
}
