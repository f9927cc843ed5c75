package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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

// TestCtrlCEndsTheOpeningOfAnIdentity: neither a descriptor that never ends, nor an agent that says nothing, nor the
// work on a passphrase keeps a command from ending within a second of Ctrl-C.
func TestCtrlCEndsTheOpeningOfAnIdentity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	protected := filepath.Join(dir, "protected.nk")
	keygen := exec.Command("sh", "-c", `echo correct-horse | "$1" keygen operator --out "$2" --passphrase-fd 3 3<&0`, "sh", program(t, "unibusd"), protected)
	if out, err := keygen.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	socket := filepath.Join(dir, "agent")
	agent, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Close() }()
	connected := make(chan struct{}, 1)
	go func() {
		for {
			conn, err := agent.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			connected <- struct{}{}
		}
	}()
	var pipe [2]int // never written to
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	reader, writer := os.NewFile(uintptr(pipe[0]), "reader"), os.NewFile(uintptr(pipe[1]), "writer")
	defer func() { _, _ = reader.Close(), writer.Close() }()
	for name, c := range map[string]struct {
		args  []string
		ready func(pid int) error // the command is where it waits
	}{
		"agent": {[]string{"user", "list", "--server", "nats://127.0.0.1:1", "--identity", "agent:" + nodetest.Identity(t).Public()}, func(int) error {
			<-connected
			return nil
		}},
		"descriptor": {[]string{"user", "list", "--server", "nats://127.0.0.1:1", "--identity", protected, "--passphrase-fd", "3"}, readsDescriptor},
		"new key":    {[]string{"keygen", "operator", "--out", filepath.Join(dir, "new.nk"), "--passphrase-fd", "3"}, readsDescriptor},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(program(t, "unibusd"), c.args...)
			cmd.Env = append(os.Environ(), "HOME="+dir, "SSH_AUTH_SOCK="+socket)
			cmd.ExtraFiles = []*os.File{reader}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			nodetest.Wait(t, bootBudget, func() error { return c.ready(cmd.Process.Pid) })
			interrupt(t, cmd, endOf(cmd))
		})
	}
}

// readsDescriptor is nil once a process waits for its descriptor 3.
func readsDescriptor(pid int) error {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	for _, task := range tasks {
		if call, _ := os.ReadFile(task); strings.HasPrefix(string(call), fmt.Sprintf("%d 0x3 ", syscall.SYS_READ)) {
			return nil
		}
	}
	return errors.Join(err, errors.New("it does not read the descriptor yet"))
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
	ended := endOf(cmd)
	select {
	case <-hung.hangs:
	case <-ended:
		return // it needs fewer requests
	}
	interrupt(t, cmd, ended)
}

// endOf is closed when a command has ended.
func endOf(cmd *exec.Cmd) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // an interrupted command fails
	}()
	return ended
}

// interrupt sends a command what Ctrl-C does; it must end within a second, by itself.
func interrupt(t *testing.T, cmd *exec.Cmd, ended <-chan struct{}) {
	t.Helper()
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
		t.Errorf("%s has not ended a second after Ctrl-C", strings.Join(cmd.Args, " "))
	}
}

// hungNode is a relay to a node that stops after some requests.
type hungNode struct {
	address string
	hangs   chan struct{} // closed once it has stopped
	once    sync.Once

	connections atomic.Int32
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
			h.connections.Add(1)
			if requests == 0 {
				h.once.Do(func() { close(h.hangs) })
				continue
			}
			server, err := net.DialTimeout("tcp", to, 5*time.Second)
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
