package main

import (
	"testing"

	"unibus/cmd/cli"
	"unibus/cmd/cli/clitest"
)

// TestHelpIsAsItIsWritten, with examples that the program runs.
func TestHelpIsAsItIsWritten(t *testing.T) {
	t.Parallel()
	for _, fault := range clitest.HelpFaults(t, root, cli.PrintHelp) {
		t.Error(fault)
	}
	for _, c := range clitest.Console().Commands() {
		if _, _, err := root().Find([]string{c.Name()}); err != nil {
			t.Errorf("tests of advice know a command that is none: %v", err)
		}
	}
}
