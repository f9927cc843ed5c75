package demo

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"unibus/core/config"
)

// The test binary is also the node that the demos of these tests start, and the
// process that holds such a demo; roleVar says which.
const (
	roleVar = "DEMO_TEST_ROLE"
	dirVar  = "DEMO_TEST_DIR"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "node":
		os.Exit(fakeNode(os.Args))
	case "broken":
		fmt.Println("a reason in the log")
		os.Exit(1)
	case "holder":
		os.Exit(holdDemo(os.Getenv(dirVar)))
	}
	os.Exit(m.Run())
}

// fakeNode does what a demo relies on in a node: it reads its configuration,
// holds the lock with its process id in it, and ends on SIGTERM.
func fakeNode(args []string) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if len(args) != 4 || args[1] != "serve" || args[2] != "--config" {
		fmt.Println("wrong arguments", args)
		return 2
	}
	n, err := config.Load(args[3], os.Environ(), nil)
	if err != nil {
		fmt.Println(err)
		return 2
	}
	if err := os.MkdirAll(n.Data, 0o700); err != nil {
		fmt.Println(err)
		return 1
	}
	f, err := os.OpenFile(filepath.Join(n.Data, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := f.Truncate(0); err != nil {
		return 1
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return 1
	}
	select {
	case <-stop:
	case <-time.After(time.Minute): // never outlives a test run by much
	}
	return 0
}

// lockedReady says that a fake node serves once it holds its lock.
func lockedReady(_ context.Context, d Description, node string) error {
	n, err := d.Node(node)
	if err != nil {
		return err
	}
	if pid, err := lockHolder(n.DataDir); err != nil || pid == 0 {
		return fmt.Errorf("not yet: %w", err)
	}
	return nil
}

// fakeConfig is a small demo of fake nodes.
func fakeConfig(dir string) Config {
	cfg := DefaultConfig()
	cfg.Dir, cfg.Users, cfg.Rooms = dir, 8, 3
	cfg.Binary, cfg.CheckReady, cfg.StartTimeout = os.Args[0], lockedReady, 20*time.Second
	cfg.Environ = append(os.Environ(), roleVar+"=node", "UNIBUS_NAME=not-this-one")
	return cfg
}

// holdDemo holds a demo until it is killed.
func holdDemo(dir string) int {
	d := New(fakeConfig(dir))
	if err := d.Open(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	<-time.After(time.Minute)
	return 0
}
