package main

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/cmd/cli/clitest"
)

// programs are the trees of commands that a next step may name. The console's is in a
// main package of its own, whose tests compare it with this.
func programs() map[string]func() *cobra.Command {
	return map[string]func() *cobra.Command{"unibusd": root, "unibus-tui": clitest.Console}
}

// TestNextStepsCanBeFollowed: every command of ours in a next step of an error or of a
// finding is one that runs: the command, its flags and what it requires exist.
func TestNextStepsCanBeFollowed(t *testing.T) {
	t.Parallel()
	top := filepath.Join("..", "..")
	steps := clitest.NextSteps(t, top)
	golden := filepath.Join(top, "core", "cluster", "testdata")
	for line := range strings.Lines(read(t, filepath.Join(golden, "judge.txt")) + read(t, filepath.Join(golden, "judge_routes.txt"))) {
		if next, ok := strings.CutPrefix(strings.TrimSpace(line), "next: "); ok {
			steps["judge.txt: "+next] = next
		}
	}
	flags := clitest.Flags(root())
	for _, name := range append(clitest.ConsoleFlags(), clitest.ForeignFlags()...) {
		flags[name] = true
	}
	named := regexp.MustCompile(`--([a-z][a-z0-9-]*)`)
	for _, at := range slices.Sorted(maps.Keys(steps)) {
		for _, m := range named.FindAllStringSubmatch(steps[at], -1) {
			if !flags[m[1]] {
				t.Errorf("%s names --%s, which no command has: %s", at, m[1], steps[at])
			}
		}
		for _, fault := range clitest.AdviceFaults(steps[at], programs()) {
			t.Errorf("%s: %s", at, fault)
		}
	}
	if len(steps) < 300 {
		t.Errorf("there are %d next steps: the search is wrong", len(steps))
	}
}

// TestAdviceCanBeWrong shows that the search sees what it is for.
func TestAdviceCanBeWrong(t *testing.T) {
	t.Parallel()
	for text, faults := range map[string]int{
		"start unibusd on n1":                                             0,
		"run `unibusd bucket scale --replicas 5`":                         0,
		"unibusd bucket scale --replicas 5":                               0,
		"unibusd bucket scale --replicas many":                            1,
		"`unibusd node rename n2`":                                        1,
		"move it with `unibusd migrate-to-kv`, or wait":                   1,
		"move it with unibusd migrate-to-kv, or wait":                     1,
		"`unibusd migrate-to-kv --db FILE`":                               0,
		"with unibusd cert revoke":                                        1,
		"as `unibusd backup` printed":                                     0,
		"an administrator can activate it again: unibusd user activate U": 0,
		"`unibusd user activate`":                                         1,
		"`unibus-tui status` says why":                                    0,
		"`unibus-tui frobnicate`":                                         1,
	} {
		if got := clitest.AdviceFaults(text, programs()); len(got) != faults {
			t.Errorf("%q: %q, want %d", text, got, faults)
		}
	}
}

// TestHelpIsAsItIsWritten, with examples for every command that the program runs.
func TestHelpIsAsItIsWritten(t *testing.T) {
	t.Parallel()
	for _, fault := range clitest.HelpFaults(t, root, cli.PrintHelp) {
		t.Error(fault)
	}
}
