package nodetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// isolatedEnv marks the process that RunIsolated has started.
const isolatedEnv = "NODETEST_APART"

// RunIsolated runs the tests of a package in a second process with network
// interfaces and mounts of its own, and returns their exit code. A package that
// uses StartNet calls it from TestMain: os.Exit(nodetest.RunIsolated(m.Run)). The
// kernel removes both with the last process, so that nothing is visible outside or
// left behind.
//
// It needs root and the program ip (Debian's iproute2). Without them it says which
// is missing and returns 1: tests without their faults prove nothing.
func RunIsolated(tests func() int) int {
	if os.Getenv(isolatedEnv) != "" {
		// Otherwise a goroutine that changes the network of its thread could get the
		// first thread, which represents the process and never ends.
		runtime.LockOSThread()
		if err := run("", "ip", "link", "set", "dev", "lo", "up"); err != nil {
			return failed(err)
		}
		return tests()
	}
	if err := checkRequirements(); err != nil {
		return failed(err)
	}
	runtime.LockOSThread() // the child ends with the thread that started it
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), isolatedEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	}
	return failed(fmt.Errorf("the tests could not be run in a network of their own: %w", err))
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "nodetest:", err)
	return 1
}

// checkRequirements says what is missing for clusters in networks of their own.
func checkRequirements() error {
	if os.Geteuid() != 0 {
		return errors.New("cutting networks needs root: run it as root, or in a container or virtual machine where you are")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("the program ip is missing: install iproute2 (Debian: apt-get install iproute2)")
	}
	return nil
}

// requireIsolated is an error if RunIsolated has not started the test's process.
func requireIsolated() error {
	if os.Getenv(isolatedEnv) == "" {
		return errors.New("this test cuts networks and may only do so in one of its own: its package's TestMain must call nodetest.RunIsolated")
	}
	return nil
}

// run runs a program with a text as its input.
func run(input, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, input, out.String())
	}
	return nil
}

// namespace is a network of its own. One thread lives in it and runs functions
// there. It ends with that thread, once no process is left in it.
type namespace struct {
	thread int // its id, by which the kernel finds the namespace
	work   chan func()
}

func newNamespace(t testing.TB) *namespace {
	t.Helper()
	ns := &namespace{work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		ns.thread = syscall.Gettid()
		ready <- err
		for do := range ns.work {
			do()
		}
	}()
	t.Cleanup(func() { close(ns.work) })
	if err := <-ready; err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
	return ns
}

// do runs f in the namespace; programs that f starts are in it too.
func (ns *namespace) do(f func() error) error {
	done := make(chan error)
	ns.work <- func() { done <- f() }
	return <-done
}

// ip runs commands of the program ip in the namespace, until one fails.
func (ns *namespace) ip(commands ...string) error {
	return ns.do(func() error { return ip(commands...) })
}

func ip(commands ...string) error { return run(strings.Join(commands, "\n")+"\n", "ip", "-batch", "-") }
