package nodetest

import (
	"os"
	"testing"
	"time"
)

// pollEvery is the interval at which a condition is checked.
const pollEvery = 20 * time.Millisecond

// Convergence is how long a test waits for an effect on other nodes before it calls the cluster
// stuck. It has room for two elections, which nats-server begins after up to 9 s each, on a busy
// machine. A test of a promised time has a limit of its own.
const Convergence = time.Minute

// Wait checks a condition until it holds, and fails the test with its last error
// after limit.
func Wait(t testing.TB, limit time.Duration, condition func() error) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("still not after %s: %v", limit, err)
		case <-tick.C:
		}
	}
}

// MkdirAll creates a directory that only its owner can read.
func MkdirAll(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
