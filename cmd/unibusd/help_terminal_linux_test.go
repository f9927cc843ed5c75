package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"unibus/core/nodetest"
	"unibus/tui/tuitest"
)

// TestHelpInATerminal: the help is whole in a terminal of any size, asks the terminal nothing, and
// writes what the environment says that it can show.
func TestHelpInATerminal(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	for _, size := range [][2]int{{0, 0}, {1, 1}, {40, 24}, {60, 20}, {80, 24}, {200, 50}} {
		for _, env := range [][]string{{"TERM=xterm-256color", "LANG=C.UTF-8"}, {"TERM=dumb", "LANG=C.UTF-8"}, {"LANG=C"}, {"TERM=xterm", "LANG=C"}, {"TERM=xterm", "LANG=C.UTF-8", "NO_COLOR=1"}} {
			for _, args := range [][]string{{"help"}, {"--help"}, {"serve", "--help"}, {"user", "list", "--help"}, {"help", "step-down"}} {
				t.Run(strings.Join(append(args, env...), " "), func(t *testing.T) {
					cmd := exec.Command(program(t, "unibusd"), args...)
					cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
					checkHelp(t, cmd, size[0], size[1])
				})
			}
		}
	}
}

func checkHelp(t *testing.T, cmd *exec.Cmd, w, h int) {
	t.Helper()
	pty, err := tuitest.StartPTY(cmd, w, h)
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	if !pty.Ended(10 * time.Second) {
		t.Fatalf("it does not end: %q", pty.Raw())
	}
	if err := pty.Wait("all of its output", 10*time.Second, func(string) bool {
		return strings.Contains(last(ansi.Strip(pty.Raw()), 400), "-h --help") || strings.Contains(pty.Raw(), "--tls-first")
	}); err != nil {
		t.Fatal(err)
	}
	raw := pty.Raw()
	if strings.Contains(raw, "\x1b]") || strings.Contains(raw, "\x1b[c") || strings.Contains(raw, "\x1b[?") {
		t.Errorf("it asks the terminal: %q", raw)
	}
	env := strings.Join(cmd.Env, " ")
	if strings.Contains(raw, "\x1b") && !strings.Contains(env, "TERM=xterm") {
		t.Errorf("escape sequences for a terminal that has none: %q", raw)
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r > '~' }) && strings.HasSuffix(env, "LANG=C") {
		t.Errorf("other characters than ASCII: %q", raw)
	}
	examples := false
	for line := range strings.Lines(ansi.Strip(raw)) {
		line = strings.TrimRight(line, " \r\n")
		examples = line == "EXAMPLES" || examples && line != ""
		if w >= 40 && !examples && ansi.StringWidth(line) > w {
			t.Errorf("%d columns: %q", w, line)
		}
		if strings.Contains(line, "…") {
			t.Errorf("cut: %q", line)
		}
	}
}

// last is the end of a text.
func last(s string, n int) string { return s[max(0, len(s)-n):] }
