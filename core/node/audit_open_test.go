package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"unibus/core/config"
)

// TestAuditThatCannotOpenLeavesNothingRunning: a part whose open fails is not closed, so it stops what it started.
func TestAuditThatCannotOpenLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, auditFile), 0o700); err != nil {
		t.Fatal(err)
	}
	n := New(Config{Node: config.Node{Name: "n1", Data: dir, ClusterName: "c", Routes: []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}}})
	if err := n.openAudit(t.Context()); err == nil {
		t.Fatal("a directory was opened as the audit's file")
	}
	ended := make(chan struct{})
	go func() {
		n.nonces.opening.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(3 * time.Second):
		n.nonces.opening.stop()
		t.Error("the bucket of used requests is still being opened")
	}
}
