package sshd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/tui/tuitest"
)

// TestRemovedOperatorIsSentAway: a running session ends within seconds, also one whose terminal takes nothing.
func TestRemovedOperatorIsSentAway(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	pty, stalled := f.console(t, 100, 30), f.console(t, 100, 30)
	shows(t, pty, "live")
	shows(t, stalled, "live")
	if err := stalled.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f.nodes.change(func() {
		f.nodes.removed = []core.RemovedOperator{{Operator: f.op}}
	})
	began := time.Now()
	if !pty.Ended(patience) {
		t.Fatal("the session goes on")
	}
	eventually(t, "both connections to be closed", func() bool { return len(f.connections.list()) == 0 })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	shows(t, pty, "the nodes do not admit the key of ana any more")
	if exit := new(exec.ExitError); !errors.As(pty.ExitError(), &exit) || exit.ExitCode() != exitEnded {
		t.Errorf("ssh ended with %v", pty.ExitError())
	}
	_ = stalled.Process.Signal(syscall.SIGCONT)
	if _, err := f.dial(t, f.ana); err == nil {
		t.Error("the removed operator came in again")
	}
}

// TestOnlyAViewerServes: with a key that may act the server stops, and nobody gets in.
func TestOnlyAViewerServes(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	f.nodes.change(func() { f.nodes.self = core.OperatorAdmin })
	if _, err := f.dial(t, f.ana); err == nil {
		t.Error("a server with an admin's key let somebody in")
	}
	select {
	case err := <-f.failed:
		if core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "whose role is admin") {
			t.Errorf("it stopped with %v", err)
		}
	case <-time.After(patience):
		t.Error("it goes on")
	}
}

// TestWithoutAnAnswer: those who were known last get in and are told why there is nothing, also after a start.
func TestWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	if _, err := f.dial(t, f.ana); err != nil {
		t.Fatal(err)
	}
	down := start(t, func(c *Config) {
		c.Dir = f.cfg.Dir
		c.HandshakeTimeout = 3500 * time.Millisecond // more than one question to the nodes takes, and less than two
		c.Client.(*nodes).Fail(core.Errorf(core.KindUnavailable, "no answer from n1"))
	})
	down.ana = f.ana
	shows(t, down.console(t, 100, 30), "no answer from n1")
	out, err := down.ssh(t, "ssh", f.ana, "-T", "door", "status", "--json").CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(string(out), "no answer from n1") {
		t.Errorf("status: %v\n%s", err, out)
	}
	down.nodes.Fail(nil)
	down.nodes.Hang(true)
	eventually(t, "no answer of before to be left", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := down.client.Status(ctx)
		return err != nil && strings.Contains(err.Error(), "in time")
	})
	var agent []any // of somebody with many keys
	for range 6 {
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		agent = append(agent, key)
	}
	if _, err := down.dial(t, append(agent, f.ana)...); err != nil {
		t.Errorf("while the nodes hang: %v", err)
	}
}

// TestTwentyAtOnce share what they ask for, and leave nothing behind.
func TestTwentyAtOnce(t *testing.T) {
	f := start(t, nil)
	goroutines := runtime.NumGoroutine()
	var all []*tuitest.PTY
	for range 20 {
		all = append(all, f.console(t, 80, 24))
	}
	for _, pty := range all {
		shows(t, pty, "live")
	}
	f.nodes.change(func() { f.nodes.statuses = 0 })
	began := time.Now()
	asked := func() int { f.nodes.mu.Lock(); defer f.nodes.mu.Unlock(); return f.nodes.statuses }
	eventually(t, "five rounds", func() bool { return asked() >= 5 })
	if n, most := asked(), 2+int(time.Since(began)/liveAge); n > most {
		t.Errorf("20 sessions asked %d times in %s, want at most %d", n, time.Since(began), most)
	}
	for i, pty := range all {
		if i%2 == 0 {
			_ = pty.Process.Kill() // no goodbye
		} else {
			pty.Press("q")
		}
	}
	eventually(t, "no connection", func() bool { return len(f.connections.list()) == 0 })
	for _, pty := range all {
		pty.Close()
	}
	eventually(t, "their goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
}

// TestStalledTerminalHoldsNobody: a client that reads nothing leaves the others alone, and the keep-alive ends it.
func TestStalledTerminalHoldsNobody(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *Config) { c.KeepAlive = time.Second })
	stalled := f.console(t, 100, 30)
	shows(t, stalled, "live")
	if err := stalled.Process.Signal(syscall.SIGSTOP); err != nil { // as a link that is cut: nothing comes back
		t.Fatal(err)
	}
	defer func() { _ = stalled.Process.Signal(syscall.SIGCONT) }()
	other := f.console(t, 100, 30)
	shows(t, other, "live")
	other.Press("2")
	shows(t, other, "LISTENS")
	eventually(t, "the stalled session to end", func() bool { return len(f.connections.list()) == 1 })
	other.Press("1")
	shows(t, other, "REPLICAS")
}

// TestIdleSessionEnds, although the console draws its clock.
func TestIdleSessionEnds(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *Config) { c.IdleTimeout = 2 * time.Second })
	pty := f.console(t, 100, 30)
	shows(t, pty, "no key was pressed for 2s")
	if !pty.Ended(patience) {
		t.Error("the session goes on")
	}
}

// TestSessionsAreLimited: in total, and for one operator.
func TestSessionsAreLimited(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *Config) { c.MaxSessions = 4 })
	for range 3 {
		c, err := f.dial(t, f.ana)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.NewSession(); err != nil {
			t.Fatal(err)
		}
	}
	out, err := f.ssh(t, "ssh", f.ana, "door", "status").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "ana has 3 sessions open") {
		t.Errorf("a fourth session of one operator: %v\n%s", err, out)
	}
}

// TestFloodOfHandshakesOverSSH: an address whose connections say nothing takes no place of another one.
func TestFloodOfHandshakesOverSSH(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *Config) { c.HandshakeTimeout = 3 * time.Second })
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for range 200 {
		c, err := from.DialContext(t.Context(), "tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	eventually(t, "the flood to have its part alone", func() bool { return len(f.connections.list()) <= maxWaitingPerAddress })
	if out, err := f.ssh(t, "ssh", f.ana, "door", "status").CombinedOutput(); err != nil {
		t.Errorf("nobody gets in: %v\n%s", err, out)
	}
	eventually(t, "the silent ones to end", func() bool { return len(f.connections.list()) == 0 })
}
