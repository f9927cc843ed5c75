package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core/keys"
	"unibus/core/loopback"
	"unibus/core/nodetest"
)

// TestFirstRunAsksForACluster: without any configuration the console asks, shows each error where it is, and
// saves a context only of what works; the next start needs no flag.
func TestFirstRunAsksForACluster(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	node, home := startNode(t), t.TempDir()
	nobody, _, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(home, "stranger.nk")
	if err := keys.WriteSeed(stranger, nobody); err != nil {
		t.Fatal(err)
	}
	addrs, err := loopback.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	closed := addrs[0] // where nobody listens
	start := func() *exec.Cmd {
		cmd := exec.Command(programs.Program(t, "unibus-tui"))
		cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8", "HOME=" + home, "PATH=" + os.Getenv("PATH"), keys.KnownClustersEnv + "=" + filepath.Join(home, "known")}
		return cmd
	}
	pty := startPTY(t, start(), 100, 30)
	waitForPTY(t, pty, "which cluster?", "Seed file", "CA file", "esc leave")
	pty.Press("enter")
	waitForPTY(t, pty, "No server is named.")
	pty.Press("nats://"+closed, "enter")
	pty.Press("absent.nk", "enter")
	waitForPTY(t, pty, "The file cannot be found.")
	clearField(pty.Press, len("absent.nk"))
	pty.Press(stranger, "enter", "enter", "a/b", "enter")
	waitForPTY(t, pty, "A name has letters, digits")
	clearField(pty.Press, 3)
	pty.Press("ops", "enter")
	waitForPTY(t, pty, "● resolve", "✖ connect", "connection refused: no program listens there", "Do: check the address", "Nothing was saved.", "enter change the answers")

	pty.Press("enter")
	waitForPTY(t, pty, "nats://"+closed, "esc leave") // what was typed is still there
	clearField(pty.Press, len("nats://"+closed))
	pty.Press(node.URLs()[0], "enter", "enter", "enter", "enter")
	waitForPTY(t, pty, "● connect", "✖ identity", "Nothing was saved.")
	context := filepath.Join(home, ".config", "nats", "context", "ops.json")
	if _, err := os.Stat(context); err == nil {
		t.Error("a context was saved of what does not work")
	}

	pty.Press("enter", "enter")
	clearField(pty.Press, len(stranger))
	pty.Press(node.AdminSeedFile, "enter", "enter", "enter")
	waitForPTY(t, pty, "● identity", "● cluster key", "The connection works.", "unibus-tui --context ops")
	info, err := os.Stat(context)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the context: %v, %v", info, err)
	}
	if data, err := os.ReadFile(context); err != nil || strings.Contains(string(data), "\"SU") {
		t.Errorf("the context holds a seed, or cannot be read: %v", err)
	}
	pty.Press("enter")
	waitForPTY(t, pty, "live from")
	pty.Press(":", "context", "enter")
	waitForPTY(t, pty, "> ops", "shown now")
	pty.Close()

	cmd := start()
	cmd.Args = append(cmd.Args, "--context", "ops")
	again := startPTY(t, cmd, 100, 30)
	waitForPTY(t, again, "live from")
}

// clearField removes what was typed.
func clearField(press func(...string), n int) {
	for range n {
		press("backspace")
	}
}
