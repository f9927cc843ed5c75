package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/config"
	"unibus/core/logtest"
	"unibus/core/node"
	"unibus/core/nodetest"
)

// writeAllTheTime writes the halves of a file by turns, every 100 ms, until stop is called.
// Each half is a configuration that can be used, and the first one lacks an operator.
func writeAllTheTime(t *testing.T, file, whole string) (stop func()) {
	t.Helper()
	half := whole[:strings.LastIndex(whole, "[[operator]]")]
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			text := half
			if i%10 == 9 {
				text = whole
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return sync.OnceFunc(func() { close(done); writer.Wait() })
}

// TestConfigurationThatNeverRests is not read, whatever half of it is there, and status says
// so, once. A hangup does not read it either. Once it rests, it is read by itself.
func TestConfigurationThatNeverRests(t *testing.T) {
	file := filepath.Join(t.TempDir(), "n1.toml")
	listen := fmt.Sprintf("127.0.0.1:%d", nodetest.Ports(t, 1)[0])
	ana, bob, eve := nodetest.Identity(t), nodetest.Identity(t), nodetest.Identity(t)
	settings(t, file, listen, "", operator(ana, core.OperatorAdmin, "ana"), operator(bob, core.OperatorAdmin, "bob"))
	source := &config.Source{File: file}
	cfg, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	log, hangup := &logtest.Buffer{}, make(chan os.Signal)
	n := node.New(node.Config{Node: cfg, Version: "test", Log: slog.New(slog.NewTextHandler(log, nil)), Source: source, Hangup: hangup})
	ctx, end := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	defer func() {
		end()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}()

	settings(t, file, listen, "", operator(ana, core.OperatorAdmin, "ana"), operator(eve, core.OperatorAdmin, "eve"), operator(bob, core.OperatorAdmin, "bob"))
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stop := writeAllTheTime(t, file, string(whole))
	defer stop()
	hangup <- os.Interrupt
	fault := ""
	nodetest.Wait(t, time.Minute, func() error {
		if names := n.OperatorNames(); names != "ana bob" {
			t.Fatalf("a half of the file was read: %s", names)
		}
		if fault = n.ConfigFault(); !strings.Contains(fault, "changes all the time") {
			return fmt.Errorf("the fault is %q", fault)
		}
		return nil
	})
	nodetest.Wait(t, 5*time.Second, func() error { // it is told once, right after the fault is known
		if lines := strings.Count(log.String(), "is not read until it rests"); lines != 1 {
			return fmt.Errorf("%d lines about it:\n%s", lines, log)
		}
		return nil
	})
	stop()
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 30*time.Second, func() error {
		if names := n.OperatorNames(); names != "ana bob eve" || n.ConfigFault() != "" {
			return fmt.Errorf("the operators are %s, the fault %q", names, n.ConfigFault())
		}
		return nil
	})
}
