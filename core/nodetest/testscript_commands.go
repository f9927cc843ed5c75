package nodetest

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"unibus/core/loopback"
)

// ScriptCommands are commands for testscript files, beside the standard ones:
//
//	ports N               sets P1 … PN to free loopback ports
//	exits CODE PROG ARG…  runs a program, which must exit with exactly this code
//	until PROG ARG…       runs a program again and again until it succeeds
func ScriptCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"ports": ports, "exits": exits, "until": until,
	}
}

func ports(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	free, err := loopback.FreePorts(n)
	ts.Check(err)
	for i, port := range free {
		ts.Setenv(fmt.Sprintf("P%d", i+1), strconv.Itoa(port))
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROG ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	default:
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%v exits %d, want %d", args[1:], got, want)
	}
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	limit := time.After(40 * time.Second)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		select {
		case <-limit:
			ts.Fatalf("%v still fails: %v", args, err)
		case <-look.C:
		}
	}
}
