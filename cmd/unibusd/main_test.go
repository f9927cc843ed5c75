package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"unibus/core/keys"
)

// TestMain lets the test binary be the programs: scripts and clusters of child
// processes run the real main functions without a build of their own.
func TestMain(m *testing.M) {
	if os.Getenv(keys.KnownClustersEnv) == "" { // the programs of scripts come by here too, with what the script sets
		_ = os.Setenv(keys.KnownClustersEnv, os.DevNull) // ports are used again by other tests' clusters
	}
	testscript.Main(m, map[string]func(){
		"unibusd":          main,
		"bare-nats-server": bareServer,
	})
}

// program is the path of a program of TestMain.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
