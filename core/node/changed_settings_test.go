package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/node"
	"unibus/core/nodetest"
)

// TestChangedSettings: a setting that the configuration file has and the running node does
// not is reported, and so is a log that goes to a deleted file. A list of removed operators
// that was deleted is written again, because a start without it would admit them.
func TestChangedSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "n1.toml")
	listen := fmt.Sprintf("127.0.0.1:%d", nodetest.Ports(t, 1)[0])
	ana, bob := nodetest.Identity(t), nodetest.Identity(t)
	operators := []core.Operator{operator(ana, core.OperatorAdmin, "ana"), operator(bob, core.OperatorAdmin, "bob")}
	settings(t, file, listen, "", operators...)
	log, err := os.Create(filepath.Join(dir, "n1.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	source := &config.Source{File: file}
	cfg, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	n := node.New(node.Config{Node: cfg, Version: "test", Log: nodetest.Log(t), Source: source, LogFile: log})
	if err := n.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	cl := admin.NewClient(admin.ClientConfig{Servers: []string{"nats://" + listen}, Identity: ana, Name: t.Name()})
	if err := cl.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)

	settings(t, file, listen, "max-connections = 500\nquota-rooms = 7", operators...)
	found(t, cl, cluster.Note, "node.n1", "--max-connections", "--quota-rooms", "not in force", "restart unibusd on n1")
	settings(t, file, listen, "", operators...)
	notFound(t, cl, "not in force")

	if err := os.Remove(log.Name()); err != nil {
		t.Fatal(err)
	}
	found(t, cl, cluster.Degraded, "node.n1", "the log", log.Name(), "was removed")

	if _, err := cl.OperatorRemove(t.Context(), bob.Public()); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(cfg.Data, "removed-operators.json")
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 20*time.Second, func() error {
		data, err := os.ReadFile(list)
		if err == nil && len(data) < 20 {
			err = errors.New(string(data))
		}
		return err
	})
}
