package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"unibus/cmd/cli/clitest"
	"unibus/core"
	"unibus/core/config"
	"unibus/core/nodetest"
)

// TestSampleConfigurationIsRight but for its operator's key, which is refused by
// name: with a key of one's own it is a configuration.
func TestSampleConfigurationIsRight(t *testing.T) {
	t.Parallel()
	sample := filepath.Join("..", "..", "docs", "unibusd.toml")
	text := read(t, sample)
	given := regexp.MustCompile(`(?m)^key += "(U[A-Z2-7]{55})"`).FindStringSubmatch(text)
	if given == nil {
		t.Fatal("the sample names no operator")
	}
	own := filepath.Join(t.TempDir(), "unibusd.toml")
	for key, want := range map[string]string{given[1]: "sample", nodetest.Identity(t).Public(): ""} {
		if err := os.WriteFile(own, []byte(strings.ReplaceAll(text, given[1], key)), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := config.Load(own, nil, nil)
		switch {
		case want != "":
			if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), want) {
				t.Errorf("the sample's own key: %v", err)
			}
		case err != nil || n.Size() != 3 || !n.TLS() || len(n.Operators) != 1:
			t.Errorf("the sample is %d nodes, TLS %v, %d operators, %v", n.Size(), n.TLS(), len(n.Operators), err)
		}
	}
}

// TestReadersNameWhatThereIs: every command and flag of the daemon that the
// documents name exists, and so does every environment variable.
func TestReadersNameWhatThereIs(t *testing.T) {
	t.Parallel()
	top := filepath.Join("..", "..")
	clitest.Named(t, top, root())
	flags, variables := clitest.Flags(root()), map[string]bool{"UNIBUS_NATS_DEBUG": true, "UNIBUS_CONFIG": true, "UNIBUS_KNOWN_CLUSTERS": true}
	for _, name := range append(clitest.ConsoleFlags(), clitest.ForeignFlags()...) {
		flags[name] = true
	}
	for _, s := range config.Settings() {
		variables[s.Env()] = true
	}
	for _, name := range clitest.ConsoleVariables() {
		variables[name] = true
	}
	variable := regexp.MustCompile(`\bUNIBUS_[A-Z_]+\b`)
	for _, file := range clitest.Documents(t, top) {
		text := read(t, filepath.Join(top, file))
		for _, flag := range clitest.SingleFlags(text) {
			if !flags[flag] {
				t.Errorf("%s names --%s, which no command has", file, flag)
			}
		}
		for _, line := range clitest.Lines(text) {
			for _, name := range variable.FindAllString(line, -1) {
				if !variables[name] {
					t.Errorf("%s names the variable %s, which nothing reads", file, name)
				}
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
