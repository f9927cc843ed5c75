package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestSwitchBetweenTwoLiveClusters of one name: what there is to say of the first contact is in the foot and not
// across the screen, the head names the context, and the way back works.
func TestSwitchBetweenTwoLiveClusters(t *testing.T) {
	t.Parallel()
	one, two := startNode(t), startNode(t)
	home := t.TempDir()
	settings := filepath.Join(home, ".config", "unibus", "console.toml")
	if err := os.MkdirAll(filepath.Dir(settings), 0o700); err != nil {
		t.Fatal(err)
	}
	text := ""
	for name, p := range map[string]*nodetest.Processes{"one": one, "two": two} {
		text += fmt.Sprintf("[contexts.%s]\nserver = [%q]\nidentity = %q\n", name, p.URLs()[0], p.AdminSeedFile)
	}
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(programs.Program(t, "unibus-tui"), "--context", "one")
	cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8", "HOME=" + home, "PATH=" + os.Getenv("PATH"), keys.KnownClustersEnv + "=" + filepath.Join(home, "known")}
	pty := startPTY(t, cmd, 100, 30)
	waitForPTY(t, pty, "(one)", "live from")
	pty.Press(":", "c", "o", "n", "t", "e", "x", "t", "enter")
	waitForPTY(t, pty, "● ", "this would be the first contact")
	pty.Press("down", "enter")
	waitForPTY(t, pty, "(two)", "live from", "First contact with "+two.URLs()[0])
	if err := pty.Wait("the first contact in the foot alone", ptyTimeout, wholeScreen); err != nil {
		t.Error(err)
	}
	pty.Press("esc")
	if err := pty.Wait("nothing of the first contact", ptyTimeout, func(screen string) bool { return !strings.Contains(screen, "First contact") && wholeScreen(screen) }); err != nil {
		t.Fatal(err)
	}
	pty.Press(":", "c", "o", "n", "t", "e", "x", "t", " ", "o", "n", "e", "enter")
	waitForPTY(t, pty, "(one)", "live from")
}

// wholeScreen is true of a screen whose head and rows stand where they belong.
func wholeScreen(screen string) bool {
	lines := strings.Split(screen, "\n")
	return len(lines) > 2 && strings.Contains(lines[0], "live from") && strings.HasPrefix(lines[1], " 1 overview") && strings.Contains(screen, "\n   NODE  ")
}
