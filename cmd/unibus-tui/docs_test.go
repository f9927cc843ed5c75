package main

import (
	"path/filepath"
	"testing"

	"unibus/cmd/cli/clitest"
)

// TestReadersNameWhatThereIs: every command and flag of the console that the documents name exists.
func TestReadersNameWhatThereIs(t *testing.T) {
	t.Parallel()
	clitest.Named(t, filepath.Join("..", ".."), root())
	flags := clitest.Flags(root())
	for _, name := range clitest.ConsoleFlags() {
		if !flags[name] {
			t.Errorf("the console has no flag --%s", name)
		}
	}
}
