package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// sshServer is `unibus-tui serve` beside a node, and an operator with an SSH key.
type sshServer struct {
	node   *nodetest.Processes
	config string // of the ssh client
	nkey   string // of the operator's key
}

func startSSH(t *testing.T) *sshServer {
	t.Helper()
	for _, program := range []string{"ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	unibusd, dir := programs.Program(t, "unibusd"), t.TempDir()
	key := filepath.Join(dir, "id_ed25519")
	output(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	s := &sshServer{nkey: strings.Fields(output(t, unibusd, "keygen", "operator", "--from-ssh", key+".pub"))[0], config: filepath.Join(dir, "config")}
	seed, console := nodetest.SeedFile(t, "console")
	s.node = nodetest.PrepareProcesses(t, unibusd, nodetest.Config{Nodes: 1})
	s.node.Configs[0].Operators = append(s.node.Configs[0].Operators,
		core.Operator{Key: s.nkey, Name: "ana", Role: core.OperatorAdmin}, core.Operator{Key: console.Public(), Name: "console", Role: core.OperatorViewer})
	nodetest.WriteConfig(t, s.node.Configs[0].Data+".toml", s.node.Configs[0], "")
	s.node.StartAll()
	s.node.Client()

	cmd := exec.Command(programs.Program(t, "unibus-tui"), "serve", "--server", s.node.URLs()[0], "--identity", seed, "--listen", "127.0.0.1:0", "--state", filepath.Join(dir, "state"))
	cmd.Env = append(os.Environ(), keys.KnownClustersEnv+"="+os.DevNull)
	known := startServing(t, cmd)
	address := strings.Trim(strings.Fields(known)[0], "[]")
	_, port, _ := strings.Cut(address, "]:")
	write(t, filepath.Join(dir, "known"), strings.Replace(known, "[HOST]", "[127.0.0.1]", 1)+"\n")
	write(t, s.config, "Host console\n HostName 127.0.0.1\n Port "+port+"\n IdentityFile "+key+"\n IdentitiesOnly yes\n BatchMode yes\n StrictHostKeyChecking yes\n UserKnownHostsFile "+filepath.Join(dir, "known")+"\n")
	return s
}

// startServing starts the server and returns its line for known_hosts.
func startServing(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the SSH server ended with %v", err)
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "[HOST]") {
			return lines.Text()
		}
	}
	t.Fatal("the SSH server does not say its host key")
	return ""
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return string(out)
}

// TestServeOverSSH: an operator whose key is an SSH key logs in to a real node's console without another line
// of configuration, and is sent away when the key is removed.
func TestServeOverSSH(t *testing.T) {
	t.Parallel()
	s := startSSH(t)
	if out := output(t, "ssh", "-F", s.config, "console", "status", "--json"); !strings.Contains(out, `"verdict": "healthy"`) || !strings.Contains(out, `"name": "ana"`) {
		t.Errorf("status is\n%s", out)
	}
	cmd := exec.Command("ssh", "-F", s.config, "-t", "console")
	cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	pty := startPTY(t, cmd, 100, 30)
	waitForPTY(t, pty, "ana (admin, read-only)", "live from")
	output(t, programs.Program(t, "unibusd"), "operator", "remove", s.nkey, "--server", s.node.URLs()[0], "--identity", s.node.AdminSeedFile)
	removed := time.Now()
	waitForPTY(t, pty, "the nodes do not admit the key of ana any more")
	if took := time.Since(removed); took > 5*time.Second {
		t.Errorf("the session ended after %s", took)
	}
	if !pty.Ended(ptyTimeout) {
		t.Error("ssh goes on")
	}
	if out, err := exec.Command("ssh", "-F", s.config, "console", "status").CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied") {
		t.Errorf("the removed operator came in again: %v\n%s", err, out)
	}
}

// TestServeOverSSHWithoutANode: those who were known last get in, and see why there is nothing.
func TestServeOverSSHWithoutANode(t *testing.T) {
	t.Parallel()
	s := startSSH(t)
	output(t, "ssh", "-F", s.config, "console", "status")
	s.node.Kill(0)
	cmd := exec.Command("ssh", "-F", s.config, "-t", "console")
	cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	pty := startPTY(t, cmd, 100, 30)
	waitForPTY(t, pty, "The connection is lost", "connection refused, since", "Do: start unibusd there")
	s.node.Start(0)
	if err := pty.WaitFor("live from", screenTimeout); err != nil {
		t.Error(err)
	}
}

// TestServeRefuses what would give more than the console may.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	node := startNode(t)
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"an admin's key": {nil, "whose role is admin"},
		"no session":     {[]string{"--max-sessions", "0"}, "is not between"},
		"no time":        {[]string{"--idle", "1s"}, "is less than"},
	} {
		cmd := consoleCommand(t, node)
		cmd.Args = append([]string{cmd.Args[0], "serve", "--server", node.URLs()[0], "--identity", node.AdminSeedFile, "--state", t.TempDir()}, c.args...)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
