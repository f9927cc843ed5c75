package main

import (
	"path/filepath"
	"slices"
	"testing"

	"unibus/cmd/cli/clitest"
)

// TestReadersNameWhatThereIs: every command and flag of the console that the documents name exists.
func TestReadersNameWhatThereIs(t *testing.T) {
	t.Parallel()
	clitest.Named(t, filepath.Join("..", ".."), root())
	var variables []string
	for _, name := range settingNames() {
		variables = append(variables, envName(name))
	}
	if want := clitest.ConsoleVariables(); !slices.Equal(variables, want) {
		t.Errorf("the console reads %v, and tests of documents know %v", variables, want)
	}
	flags := clitest.Flags(root())
	for _, name := range clitest.ConsoleFlags() {
		if !flags[name] {
			t.Errorf("the console has no flag --%s", name)
		}
	}
}
