package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"unibus/core/nodetest"
)

// TestCtrlCEndsEveryCommand: a command that talks to a cluster ends within a second of Ctrl-C, also if
// the node accepts connections and says nothing, or stops in the middle.
func TestCtrlCEndsEveryCommand(t *testing.T) {
	t.Parallel()
	node := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Nodes: 1, Seed: nodetest.SampleRows(t, 5)})
	node.Client()
	args := map[string]string{"NKEY": node.Viewer.Public(), "OLD": node.Viewer.Public(), "NODE": "n1", "GROUP": "meta", "ROOM": "r1", "ID": "r1"}
	flags := map[string][]string{
		"unibusd migrate-to-kv": {"--db", "/nowhere.db"}, "unibusd bucket scale": {"--replicas", "1"},
		"unibusd migration limit": {"--rate", "1"}, "unibusd user extend": {"--expires", "90d"},
	}
	tried := 0
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			visit(sub)
		}
		if c.Flag("server") == nil {
			return
		}
		words := strings.Fields(c.CommandPath())[1:]
		for _, w := range strings.Fields(c.Use)[1:] {
			if given, ok := args[w]; ok {
				w = given
			}
			words = append(words, w)
		}
		words = append(words, flags[c.CommandPath()]...)
		if c.Flag("out") != nil {
			words = append(words, "--out", t.TempDir()+"/out")
		}
		for requests := range 3 {
			tried++
			t.Run(fmt.Sprintf("%s after %d requests", c.CommandPath(), requests), func(t *testing.T) {
				t.Parallel()
				interruptAfter(t, node, words, requests)
			})
		}
	}
	visit(root())
	if tried < 30 {
		t.Errorf("only %d commands were found", tried)
	}
}

// interruptAfter runs a command through a node that hangs before it gets another request, and interrupts it then.
func interruptAfter(t *testing.T, node *nodetest.Processes, args []string, requests int) {
	t.Helper()
	hung := startHungNode(t, strings.TrimPrefix(node.URLs()[0], "nats://"), requests)
	cmd := exec.Command(program(t, "unibusd"), append(args, "--server", "nats://"+hung.address, "--identity", node.AdminSeedFile)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // an interrupted command fails
	}()
	select {
	case <-hung.hangs:
	case <-ended:
		return // it needs fewer requests
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			t.Errorf("it died of the signal: %s", cmd.ProcessState)
		}
	case <-time.After(time.Second):
		_ = cmd.Process.Kill()
		<-ended
		t.Errorf("%s has not ended a second after Ctrl-C", strings.Join(args, " "))
	}
}

// hungNode is a relay to a node that stops after some requests.
type hungNode struct {
	address string
	hangs   chan struct{} // closed once it has stopped
	once    sync.Once
}

func startHungNode(t *testing.T, to string, requests int) *hungNode {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	h := &hungNode{address: l.Addr().String(), hangs: make(chan struct{})}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = client.Close() })
			if requests == 0 {
				h.once.Do(func() { close(h.hangs) })
				continue
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = server.Close() })
			go func() { _, _ = io.Copy(client, server) }()
			go h.relay(server, client, requests-1)
		}
	}()
	return h
}

// relay passes the client's protocol on until it publishes more often than allowed.
func (h *hungNode) relay(server io.Writer, client io.Reader, requests int) {
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if requests -= bytes.Count(buf[:n], []byte("PUB ")); requests < 0 {
			h.once.Do(func() { close(h.hangs) })
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}
