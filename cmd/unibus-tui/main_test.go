package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"unibus/core"
	"unibus/core/demo"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/tui"
	"unibus/tui/tuitest"
)

// screenTimeout bounds the wait for a text; elections take seconds.
const screenTimeout = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(keys.KnownClustersEnv) == "" { // testscript runs this binary again with the script's environment
		_ = os.Setenv(keys.KnownClustersEnv, os.DevNull) // ports are used again by other tests' clusters
	}
	testscript.Main(programDir{m}, map[string]func(){"unibus-tui": main})
}

// programDir gives the tests a directory for the programs that they build.
type programDir struct{ m *testing.M }

// Run runs the tests and removes the directory.
func (w programDir) Run() int {
	dir, err := os.MkdirTemp("", "unibus-tui-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs.Dir = dir
	return w.m.Run()
}

// TestScripts drives the real console without a terminal, beside a real cluster.
func TestScripts(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	unibusd := programs.Program(t, "unibusd")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                nodetest.ScriptCommands(),
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(unibusd)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv(keys.KnownClustersEnv, os.DevNull)
			return nil
		},
	})
}

// programs are built once for all tests of this package.
var programs nodetest.ProgramBuild

// openDemo starts the demo's cluster of real processes.
func openDemo(t *testing.T) *demo.Demo {
	t.Helper()
	nodetest.SkipShort(t)
	cfg := demo.DefaultConfig()
	cfg.Dir, cfg.Binary, cfg.Environ = t.TempDir()+"/demo", programs.Program(t, "unibusd"), os.Environ()
	d := demo.New(cfg)
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("the demo ended with %v", err)
		}
	})
	return d
}

// openConsole runs the real console in an emulator, as an operator of the demo.
func openConsole(t *testing.T, d *demo.Demo, w, h int) *tuitest.Terminal {
	t.Helper()
	desc := d.Description()
	cl, err := demo.NewClient(desc, desc.Identities.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	term := tuitest.StartTerminal(tui.Config{Client: cl, Version: "test", Flags: "--server …"}, w, h)
	t.Cleanup(func() {
		if err := term.Close(); err != nil {
			t.Errorf("the console ended with %v", err)
		}
		cl.Close()
	})
	return term
}

func waitFor(t *testing.T, term *tuitest.Terminal, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := term.WaitFor(text, screenTimeout); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConsoleMigratesTheDemo(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			t.Parallel()
			d := openDemo(t)
			operateDemo(t, d, openConsole(t, d, size[0], size[1]))
		})
	}
}

// operateDemo runs a whole migration as an operator does, seen only from the
// screen.
func operateDemo(t *testing.T, d *demo.Demo, term *tuitest.Terminal) {
	t.Helper()
	waitFor(t, term, "healthy", "3 of 3 online, 2 needed", "200 users", "50 rooms")
	term.Press("2")
	waitFor(t, term, "3 of 3 nodes answer", "n1", "n2", "n3")
	term.Press("4")
	waitFor(t, term, "200 users")
	term.Press("6")
	waitFor(t, term, "The control plane is in SQLite on n1 alone")
	migrateByHand(t, term)
	term.Press("U") // roll back, then migrate again
	waitFor(t, term, "Return the control plane of demo to SQLite?", "enter choose")
	term.Press("demo", "tab", "tab", "enter")
	waitFor(t, term, "Rolled back", "● rolledback", "b start")
	migrateByHand(t, term)
	term.Press("3")
	waitFor(t, term, "UNIBUS_users", "3 of 3 current")
	term.Press("1")
	waitFor(t, term, "kv, generation 4", "three current replicas")

	if err := d.Stop(t.Context(), "n3"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, term, "degraded", "n3 does not answer", "2 of 3 nodes answer and 2 suffice", "200 users")
	term.Press("4")
	waitFor(t, term, "200 users")
	term.Press("5")
	waitFor(t, term, "50 rooms")
	if err := d.Start(t.Context(), "n3"); err != nil {
		t.Fatal(err)
	}
	term.Press("1")
	waitFor(t, term, "● healthy", "three current replicas")
}

// migrateByHand starts a migration with the dialog's defaults, and cuts over.
func migrateByHand(t *testing.T, term *tuitest.Terminal) {
	t.Helper()
	term.Press("b")
	waitFor(t, term, "enter choose")
	term.Press("tab", "tab", "tab", "tab", "enter")
	waitFor(t, term, "UNIBUS_rooms_by_member", "= equal", "X cutover")
	term.Press("X")
	waitFor(t, term, "Type the cluster's name", "enter choose")
	term.Press("demo", "tab", "tab", "enter")
	waitFor(t, term, "The control plane has been on KV", "U rollback")
}

// TestConsoleStaysLiveWhileANodeHangs stops the connected node: keys are drawn at
// once, figures show their age, and soon another node answers.
func TestConsoleStaysLiveWhileANodeHangs(t *testing.T) {
	t.Parallel()
	d := openDemo(t)
	term := openConsole(t, d, 100, 30)
	waitFor(t, term, "live from n1")
	pid := d.Description().Nodes[0].PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	for range 5 {
		for key, text := range map[string]string{"2": "The meta group needs", "3": "REPLICAS", "7": "WHAT", "6": "SQLite"} {
			began := time.Now()
			term.Press(key)
			waitFor(t, term, text)
			if took := time.Since(began); took > 200*time.Millisecond {
				t.Errorf("key %s took %s to reach the screen", key, took)
			}
		}
	}
	term.Press("1")
	waitFor(t, term, "n1 does not answer", "live from n")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	waitFor(t, term, "● healthy")
}

func TestConsoleReconnectsToAnotherNode(t *testing.T) {
	t.Parallel()
	d := openDemo(t)
	term := openConsole(t, d, 100, 30)
	waitFor(t, term, "live from n1")
	if err := syscall.Kill(d.Description().Nodes[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := term.Wait("another node", screenTimeout, func(screen string) bool {
		return strings.Contains(screen, "live from n2") || strings.Contains(screen, "live from n3")
	})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, term, "n1 does not answer")
	if err := restartNode(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	waitFor(t, term, "● healthy")
}

func restartNode(ctx context.Context, d *demo.Demo) error {
	for {
		err := d.Start(ctx, "n1")
		if core.KindOf(err) != core.KindExists { // the killed process still holds its lock
			return err
		}
	}
}
