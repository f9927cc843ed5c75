package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/tui/tuitest"
)

// endWithin is the longest time that the console may take to end, whatever happens.
const endWithin = time.Second

// ptyTimeout bounds the wait for a text; there is no election.
const ptyTimeout = 10 * time.Second

// endings is how often each way to end the console is tried; "make nemesis" tries more.
var endings = flag.Int("endings", 4, "how often each way to end the console is tried")

// startNode starts a node that keeps its control plane in SQLite.
func startNode(t testing.TB) *nodetest.Processes {
	t.Helper()
	p := nodetest.StartProcesses(t, programs.Program(t, "unibusd"), nodetest.Config{Nodes: 1})
	p.Client()
	return p
}

func consoleCommand(t testing.TB, p *nodetest.Processes, args ...string) *exec.Cmd {
	t.Helper()
	args = append([]string{"--server", p.URLs()[0], "--identity", p.AdminSeedFile}, args...)
	cmd := exec.Command(programs.Program(t, "unibus-tui"), args...)
	cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), keys.KnownClustersEnv + "=" + os.DevNull}
	return cmd
}

func startPTY(t testing.TB, cmd *exec.Cmd, w, h int) *tuitest.PTY {
	t.Helper()
	pty, err := tuitest.StartPTY(cmd, w, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pty.Close)
	return pty
}

func waitForPTY(t *testing.T, pty *tuitest.PTY, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := pty.WaitFor(text, ptyTimeout); err != nil {
			t.Fatal(err)
		}
	}
}

// place is something that an operator may have open, and what it shows.
type place struct {
	keys []string
	text string
}

func places() []place {
	return []place{
		{nil, "live from"},
		{[]string{"2"}, "LISTENS"},
		{[]string{"3"}, "it has no buckets"},
		{[]string{"4"}, "CREATED"},
		{[]string{"5"}, "There are no rooms yet"},
		{[]string{"6"}, "SQLite"},
		{[]string{"7"}, "WHAT"},
		{[]string{"8"}, "NODE"},
		{[]string{"9"}, "OPERATOR"},
		{[]string{"?"}, "Everywhere"},
		{[]string{":"}, "bucket scale"},
		{[]string{"4", "/"}, "enter apply"},
		{[]string{"4", "a"}, "Add a user"},
		{[]string{"space"}, "paused"},
	}
}

// TestConsoleAlwaysEnds: the console ends within a second and gives the terminal back, whatever it shows,
// whoever ends it, and also if nobody reads its output or its node hangs.
func TestConsoleAlwaysEnds(t *testing.T) {
	t.Parallel()
	node, hung := startNode(t), startNode(t)
	signal := func(s syscall.Signal) func(*testing.T, *tuitest.PTY) {
		return func(t *testing.T, pty *tuitest.PTY) {
			t.Helper()
			if err := pty.Process.Signal(s); err != nil {
				t.Error(err)
			}
		}
	}
	for way, c := range []struct {
		name  string
		node  *nodetest.Processes
		stall bool // nobody reads the output
		end   func(*testing.T, *tuitest.PTY)
	}{
		{"SIGTERM", node, false, signal(syscall.SIGTERM)},
		{"SIGINT", node, false, signal(syscall.SIGINT)},
		{"SIGHUP", node, false, signal(syscall.SIGHUP)},
		{"SIGQUIT", node, false, signal(syscall.SIGQUIT)},
		{"key", node, false, func(_ *testing.T, pty *tuitest.PTY) { pty.Press("ctrl+c", "ctrl+c") }},
		{"SIGTERM stalled", node, true, signal(syscall.SIGTERM)},
		{"SIGHUP stalled", node, true, signal(syscall.SIGHUP)},
		{"SIGTERM node hangs", hung, false, signal(syscall.SIGTERM)},
		{"SIGTERM node hangs, stalled", hung, true, signal(syscall.SIGTERM)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range *endings {
				at := places()[(way**endings+i)%len(places())] // all of them, over all ways
				t.Run(fmt.Sprintf("%d %s", i, at.text), func(t *testing.T) {
					pty := openPlace(t, c.node, at)
					if c.node == hung {
						c.node.Signal(0, syscall.SIGSTOP)
						defer c.node.Signal(0, syscall.SIGCONT)
					}
					resume := func() {}
					if c.stall {
						resume = stall(t, pty)
					}
					c.end(t, pty)
					ended := pty.Ended(endWithin)
					resume()
					if !ended {
						t.Fatalf("the console has not ended after %s", endWithin)
					}
					if err := pty.ExitError(); err != nil {
						t.Errorf("the console ended with %v", err)
					}
					if err := pty.WaitRestored(ptyTimeout); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

func openPlace(t *testing.T, node *nodetest.Processes, at place) *tuitest.PTY {
	t.Helper()
	pty := startPTY(t, consoleCommand(t, node), 100, 30)
	waitForPTY(t, pty, "live from")
	pty.Press(at.keys...)
	waitForPTY(t, pty, at.text)
	return pty
}

// stall fills the terminal, so that the next byte of the console waits for a reader.
func stall(t *testing.T, pty *tuitest.PTY) (resume func()) {
	t.Helper()
	resume = pty.Stall()
	if err := pty.Fill(); err != nil {
		resume()
		t.Fatal(err)
	}
	return resume
}

// TestConsoleEndsWithItsTerminal: nobody ends it, the terminal goes; with SIGHUP ignored too.
func TestConsoleEndsWithItsTerminal(t *testing.T) {
	t.Parallel()
	node := startNode(t)
	for _, trap := range []string{"", "trap '' HUP; "} {
		for i := range *endings {
			at := places()[i%len(places())]
			t.Run(fmt.Sprintf("%s%d %s", trap, i, at.text), func(t *testing.T) {
				cmd := consoleCommand(t, node)
				cmd.Args = append([]string{"sh", "-c", trap + `exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
				cmd.Path = "/bin/sh"
				pty := startPTY(t, cmd, 100, 30)
				waitForPTY(t, pty, "live from")
				pty.Press(at.keys...)
				waitForPTY(t, pty, at.text)
				if err := pty.Hangup(); err != nil {
					t.Fatal(err)
				}
				if !pty.Ended(endWithin) {
					t.Errorf("the console lives on without its terminal after %s", endWithin)
				}
			})
		}
	}
}

// TestCtrlZWithoutAShell: the console leads its session, as in `tmux new 'exec unibus-tui'`.
func TestCtrlZWithoutAShell(t *testing.T) {
	t.Parallel()
	node := startNode(t)
	for _, at := range places() {
		t.Run(at.text, func(t *testing.T) {
			pty := openPlace(t, node, at)
			pty.Press("ctrl+z")
			waitForPTY(t, pty, "Ctrl-Z does nothing here")
			if err := pty.Process.Signal(syscall.SIGTSTP); err != nil { // from outside: the same
				t.Fatal(err)
			}
			before := pty.Written()
			if err := pty.Wait("the clock to go on", ptyTimeout, func(string) bool { return pty.Written() > before }); err != nil {
				t.Error(err)
			}
			if s := pty.State(); s == "T" {
				t.Errorf("the process is stopped, and nobody continues it")
			}
		})
	}
}

// TestCtrlZInAShell: Ctrl-Z gives the terminal to the shell, and fg draws the console again.
func TestCtrlZInAShell(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash, whose job control this test needs")
	}
	node := startNode(t)
	for name, stop := range map[string]func(*tuitest.PTY, int){
		"key":     func(pty *tuitest.PTY, _ int) { pty.Press("ctrl+z") },
		"SIGTSTP": func(_ *tuitest.PTY, pid int) { _ = syscall.Kill(pid, syscall.SIGTSTP) },
		"SIGSTOP": func(_ *tuitest.PTY, pid int) { _ = syscall.Kill(pid, syscall.SIGSTOP) },
	} {
		t.Run(name, func(t *testing.T) {
			console := consoleCommand(t, node)
			shell := exec.Command(bash, "--norc", "--noprofile", "-i")
			shell.Env = append(console.Env, "PS1=ready> ", "HISTFILE=/dev/null")
			pty := startPTY(t, shell, 100, 30)
			waitForPTY(t, pty, "ready>")
			pty.Press(strings.Join(console.Args, " "), "enter")
			waitForPTY(t, pty, "live from")
			pid := childOf(t, pty.Process.Pid)
			for range 3 {
				pty.Press("2")
				waitForPTY(t, pty, "LISTENS")
				stop(pty, pid)
				waitForPTY(t, pty, "Stopped")
				pty.Press("clear; fg", "enter")
				waitForPTY(t, pty, "LISTENS", "live from")
				pty.Press("1")
				waitForPTY(t, pty, "FINDINGS")
			}
			pty.Press("ctrl+c")
			waitForPTY(t, pty, "ready>")
		})
	}
}

func childOf(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Sscan(string(data), &child); err != nil {
		t.Fatalf("children %q: %v", data, err)
	}
	return child
}

// TestTerminalThatCannotDraw: the status is printed as text, and a sentence says what shows the console.
func TestTerminalThatCannotDraw(t *testing.T) {
	t.Parallel()
	node := startNode(t)
	for _, c := range []struct{ env, says string }{
		{"TERM=dumb", "TERM is dumb"}, {"TERM=", "TERM is not set"}, {"TERM=unknown", "TERM is unknown"},
	} {
		cmd := consoleCommand(t, node)
		cmd.Env = append(cmd.Env, c.env)
		pty := startPTY(t, cmd, 160, 40)
		waitForPTY(t, pty, c.says, "printing the status as text", "n1: healthy")
		if !pty.Ended(ptyTimeout) || pty.ExitError() != nil {
			t.Errorf("%s: the command ended with %v", c.env, pty.ExitError())
		}
	}
}

// TestWindowWithoutASize: some serial lines and containers report 0 x 0.
func TestWindowWithoutASize(t *testing.T) {
	t.Parallel()
	pty := startPTY(t, consoleCommand(t, startNode(t)), 0, 0)
	waitForPTY(t, pty, "live from", "? help")
	if err := pty.Resize(120, 40); err != nil {
		t.Fatal(err)
	}
	waitForPTY(t, pty, "ana (admin)")
}

// TestConsoleInTheCLocale: the console writes only ASCII to the terminal.
func TestConsoleInTheCLocale(t *testing.T) {
	t.Parallel()
	node := startNode(t)
	for _, locale := range []string{"LANG=C", "LANG=", "LC_ALL=POSIX"} {
		cmd := consoleCommand(t, node)
		cmd.Env = append(cmd.Env, locale)
		pty := startPTY(t, cmd, 100, 30)
		waitForPTY(t, pty, "+ healthy", "live from")
		pty.Press("4", "a")
		waitForPTY(t, pty, "+ Add a user")
		if err := pty.Wait("ASCII", ptyTimeout, isASCII); err != nil {
			t.Error(err)
		}
	}
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// TestCtrlCAtThePassphrase: the prompt ends, and the terminal shows again what is typed.
func TestCtrlCAtThePassphrase(t *testing.T) {
	t.Parallel()
	node := startNode(t)
	file := filepath.Join(t.TempDir(), "protected.nk")
	keygen := exec.Command("sh", "-c", `echo correct-horse | "$1" keygen operator --out "$2" --passphrase-fd 3 3<&0`, "sh", programs.Program(t, "unibusd"), file)
	if out, err := keygen.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, end := range []func(*tuitest.PTY){
		func(pty *tuitest.PTY) { pty.Press("ctrl+c") },
		func(pty *tuitest.PTY) { _ = pty.Process.Signal(syscall.SIGTERM) },
		func(pty *tuitest.PTY) { _ = pty.Process.Signal(syscall.SIGHUP) },
	} {
		cmd := consoleCommand(t, node)
		cmd.Args = []string{cmd.Args[0], "--server", node.URLs()[0], "--identity", file}
		pty := startPTY(t, cmd, 100, 30)
		waitForPTY(t, pty, "Passphrase of")
		end(pty)
		if !pty.Ended(endWithin) {
			t.Fatal("the prompt has not ended")
		}
		if err := pty.WaitRestored(ptyTimeout); err != nil {
			t.Error(err)
		}
	}
}
