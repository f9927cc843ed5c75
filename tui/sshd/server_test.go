package sshd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/tui/tuitest"
)

// patience bounds every wait; it is no promise.
const patience = 30 * time.Second

// nodes is a cluster whose operators a test chooses.
type nodes struct {
	*tuitest.FakeClient

	mu        sync.Mutex
	operators []core.Operator
	removed   []core.RemovedOperator
	self      core.OperatorRole
	statuses  int
}

func (n *nodes) Status(ctx context.Context) (admin.Status, error) {
	st, err := n.FakeClient.Status(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.statuses++
	st.Operator = core.Operator{Key: "U0", Name: "console", Role: n.self}
	st.Nodes = append([]cluster.Node(nil), st.Nodes...)
	for i := range st.Nodes {
		info := cluster.Info{}
		if st.Nodes[i].Info != nil {
			info = *st.Nodes[i].Info
		}
		info.Operators = &cluster.Operators{List: n.operators, Removed: n.removed}
		st.Nodes[i].Info = &info
	}
	return st, err
}

func (n *nodes) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// fixture is a server, its nodes and the operator ana.
type fixture struct {
	*Server
	nodes   *nodes
	address string
	ana     ed25519.PrivateKey
	op      core.Operator
	failed  chan error
	stop    func()
}

func start(t testing.TB, edit func(*Config)) *fixture {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	op := core.Operator{Key: nkeyFor(t, key), Name: "ana", Role: core.OperatorAdmin}
	n := &nodes{FakeClient: tuitest.NewFakeClient(tuitest.Healthy()), operators: []core.Operator{op}, self: core.OperatorViewer}
	cfg := Config{Client: n, Dir: t.TempDir(), Version: "test", CheckInterval: 50 * time.Millisecond}
	if edit != nil {
		edit(&cfg)
	}
	s := New(cfg)
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f := &fixture{Server: s, nodes: n, address: l.Addr().String(), ana: key, op: op, failed: make(chan error, 1), stop: cancel}
	done := make(chan struct{})
	go func() { defer close(done); f.failed <- s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func nkeyFor(t testing.TB, key ed25519.PrivateKey) string {
	t.Helper()
	public, err := gossh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	nkey, ok := nkeyOf(public)
	if !ok {
		t.Fatal("an Ed25519 key is no nkey")
	}
	return nkey
}

// dial logs in with the library's client.
func (f *fixture) dial(t testing.TB, keys ...any) (*gossh.Client, error) {
	t.Helper()
	var signers []gossh.Signer
	for _, key := range keys {
		signer, err := gossh.NewSignerFromKey(key)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, signer)
	}
	c, err := gossh.Dial("tcp", f.address, &gossh.ClientConfig{
		User: "whoever", Auth: []gossh.AuthMethod{gossh.PublicKeys(signers...)}, HostKeyCallback: gossh.FixedHostKey(f.hostKey.PublicKey()), Timeout: patience,
	})
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

// ssh is the real client, with the key of ana unless another is given.
func (f *fixture) ssh(t *testing.T, program string, key ed25519.PrivateKey, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	dir := t.TempDir()
	block, err := gossh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(f.address)
	write := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	config := "Host door\n HostName " + host + "\n Port " + port + "\n User ana\n IdentitiesOnly yes\n BatchMode yes\n LogLevel INFO\n StrictHostKeyChecking yes\n" +
		" IdentityFile " + write("key", pem.EncodeToMemory(block)) + "\n UserKnownHostsFile " + write("known", []byte(f.KnownHost("["+host+"]:"+port)+"\n")) + "\n"
	cmd := exec.Command(path, append([]string{"-F", write("config", []byte(config))}, args...)...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "SSH_AUTH_SOCK=")
	return cmd
}

func (f *fixture) console(t *testing.T, w, h int) *tuitest.PTY {
	t.Helper()
	pty, err := tuitest.StartPTY(f.ssh(t, "ssh", f.ana, "-t", "door"), w, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pty.Close)
	return pty
}

func shows(t *testing.T, pty *tuitest.PTY, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := pty.WaitFor(text, patience); err != nil {
			t.Fatal(err)
		}
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestConsoleOverSSH: the real client shows the console, follows its size, and ends with q.
func TestConsoleOverSSH(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	pty := f.console(t, 100, 30)
	shows(t, pty, "ana (admin, read-only)", "live", "1 ")
	pty.Press("2")
	shows(t, pty, "LISTENS")
	if err := pty.Resize(140, 40); err != nil {
		t.Fatal(err)
	}
	if err := pty.Wait("the new size", patience, func(screen string) bool {
		return strings.Contains(screen, strings.Repeat("─", 140)) && strings.Count(screen, "\n") >= 39
	}); err != nil {
		t.Fatal(err)
	}
	pty.Press("q")
	if !pty.Ended(patience) || pty.ExitError() != nil {
		t.Errorf("ssh ended with %v", pty.ExitError())
	}
	eventually(t, "the connection to be closed", func() bool { return len(f.connections.list()) == 0 })
}

// TestNoActOverSSH: neither a key nor a client of the session can act.
func TestNoActOverSSH(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	pty := f.console(t, 120, 35)
	shows(t, pty, "live")
	pty.Press("4", "a")
	shows(t, pty, "the console over SSH only reads")
	c := &personClient{sharedClient: newSharedClient(f.nodes)}
	if _, err := c.Revoke(t.Context(), "U"); core.KindOf(err) != core.KindRefused || core.OutcomeOf(err) != core.OutcomeNone {
		t.Errorf("an act: %v", err)
	}
	for _, call := range f.nodes.Calls() {
		t.Errorf("the nodes were asked for an act: %s", call)
	}
}

// TestCommandsOverSSH without a terminal.
func TestCommandsOverSSH(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"status"}, 0, "healthy"},
		{[]string{"status", "--json"}, 0, `"verdict": "healthy"`},
		{nil, 0, "not a terminal"},
		{[]string{"events"}, 0, `"entries"`},
		{[]string{"audit", "--json"}, 0, `"records"`},
		{[]string{"users"}, 0, `"users"`},
		{[]string{"rooms"}, 0, `"rooms"`},
		{[]string{"migration"}, 0, `"state"`},
		{[]string{"rollout"}, 0, "{"},
		{[]string{"help"}, 0, "It only reads"},
		{[]string{"sh"}, exitUsage, "there is no command"},
		{[]string{"user", "revoke", "bob"}, exitUsage, "there is no command"},
		{[]string{"status", "--server", "x"}, exitUsage, "does not take"},
		{[]string{"scp", "-t", "/tmp"}, exitUsage, "copies no files"},
	} {
		out, err := f.ssh(t, "ssh", f.ana, append([]string{"-T", "door"}, c.args...)...).CombinedOutput()
		code := 0
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		if code != c.code || !strings.Contains(string(out), c.says) {
			t.Errorf("%v: exit %d, want %d with %q:\n%s", c.args, code, c.code, c.says, out)
		}
	}
}

// TestWhatIsRefusedOverSSH: files, forwarding, agents and other keys.
func TestWhatIsRefusedOverSSH(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	if out, err := f.ssh(t, "ssh", stranger, "door", "status").CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied (publickey)") {
		t.Errorf("another key: %v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "file")
	for name, cmd := range map[string]*exec.Cmd{
		"scp":           f.ssh(t, "scp", f.ana, "door:/etc/hostname", file),
		"scp, old":      f.ssh(t, "scp", f.ana, "-O", "door:/etc/hostname", file),
		"sftp":          f.ssh(t, "sftp", f.ana, "door"),
		"remote port":   f.ssh(t, "ssh", f.ana, "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "door", "status"),
		"to an address": f.ssh(t, "ssh", f.ana, "-W", f.address, "door"),
	} {
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("%s succeeded:\n%s", name, out)
		}
	}
	c, err := f.dial(t, f.ana)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Dial("tcp", f.address); err == nil {
		t.Error("a local port was forwarded")
	}
	sess, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"auth-agent-req@openssh.com", "x11-req", "subsystem", "signal", "break", "eow@openssh.com", "anything"} {
		if ok, err := sess.SendRequest(request, true, gossh.Marshal(struct{ Name string }{"sftp"})); ok || err != nil {
			t.Errorf("%s: %t, %v", request, ok, err)
		}
	}
	if err := sess.Setenv("LD_PRELOAD", "x"); err == nil {
		t.Error("a variable was taken")
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("a second session was opened")
	}
	if out, err := sess.Output("status --json"); err != nil || !strings.Contains(string(out), `"name": "ana"`) {
		t.Errorf("the session after all that: %v\n%s", err, out)
	}
}
