package main

import (
	"testing"

	"github.com/spf13/pflag"

	"unibus/cmd/cli"
	"unibus/cmd/cli/clitest"
)

// TestHelpIsAsItIsWritten, with examples that the program runs.
func TestHelpIsAsItIsWritten(t *testing.T) {
	t.Parallel()
	for _, fault := range clitest.HelpFaults(t, root, cli.PrintHelp) {
		t.Error(fault)
	}
	clitest.Console().Flags().VisitAll(func(f *pflag.Flag) {
		if root().Flags().Lookup(f.Name) == nil {
			t.Errorf("tests of advice know a flag that is none: %s", f.Name)
		}
	})
	for _, c := range clitest.Console().Commands() {
		if _, _, err := root().Find([]string{c.Name()}); err != nil {
			t.Errorf("tests of advice know a command that is none: %v", err)
		}
	}
}
