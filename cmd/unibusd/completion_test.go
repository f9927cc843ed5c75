package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"unibus/core/nodetest"
)

// offered is what a shell offers for the last word of a command line, and its directive.
func offered(t *testing.T, words ...string) (values []string, directive string) {
	t.Helper()
	var out bytes.Buffer
	c := root()
	c.SetOut(&out)
	c.SetErr(&bytes.Buffer{})
	c.SetArgs(append([]string{cobra.ShellCompRequestCmd}, words...))
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(out.String()) {
		l, _, _ = strings.Cut(strings.TrimSpace(l), "\t")
		if d, ok := strings.CutPrefix(l, ":"); ok {
			return values, d
		}
		values = append(values, l)
	}
	t.Fatalf("%q: %s", words, out.String())
	return nil, ""
}

// The directives of cobra's protocol, as it prints them.
const (
	anyFile, noFile, someFiles, directories = "0", "4", "8", "16"
)

// TestNamesOfAClusterAreCompleted: its rooms, with names that cannot change the terminal, and its nodes.
func TestNamesOfAClusterAreCompleted(t *testing.T) {
	t.Parallel()
	seed, evil := talkRoom(nodetest.Identity(t)), "Talk\x1b[2J\u202E"
	seed.Rooms[0].Name = &evil
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Nodes: 1, Seed: seed})
	p.Client()
	key, err := exec.Command(program(t, "unibusd"), "cluster-key", "show", "--data", p.Configs[0].Data).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"room get": "talk\tTalk\uFFFD[2J\uFFFD\n:4\n", "room rekey": "talk\tTalk\uFFFD[2J\uFFFD\n:4\n",
		"node plan stop": "n1\n:4\n", "node remove": "n1\n:4\n", "node replace": "n1\n:4\n", "node drain": "n1\n:4\n", "node resume": "n1\n:4\n",
		"node add": ":4\n", "guide disk-wiped": "n1\n:4\n",
	} {
		words := append(strings.Fields(line), "--server", p.URLs()[0], "--identity", p.AdminSeedFile, "--cluster-key", strings.TrimSpace(string(key)), "")
		out, err := exec.Command(program(t, "unibusd"), append([]string{cobra.ShellCompRequestCmd}, words...)...).Output()
		if err != nil || string(out) != want {
			t.Errorf("%s: %q, want %q (%v)", line, out, want, err)
		}
	}
}

// TestValuesAreCompleted: words of a setting, files where a file is named, directories
// where a directory is, and the names that this machine knows.
func TestValuesAreCompleted(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	if err := os.MkdirAll(filepath.Join(dir, "nats", "context"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nats", "context", "ops.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line      string
		want      []string
		directive string
	}{
		{"serve --store", []string{"sqlite", "kv"}, noFile},
		{"serve --log-level", []string{"debug", "info", "warn", "error"}, noFile},
		{"serve --log-format", []string{"text", "json"}, noFile},
		{"serve --bus-auth", []string{"off", "soft", "enforce"}, noFile},
		{"serve --tls-cert", nil, anyFile},
		{"serve --config", nil, anyFile},
		{"serve --data", nil, directories},
		{"serve --listen", nil, noFile},
		{"user add U --role", []string{"member", "admin"}, noFile},
		{"user list --sort", []string{"id", "name", "status", "role", "created", "changed"}, noFile},
		{"user list --status", []string{"active", "revoked", "expired"}, noFile},
		{"user list --role", []string{"member", "admin"}, noFile},
		{"user list --limit", nil, noFile},
		{"user list --context", []string{"ops"}, noFile},
		{"user list --identity", nil, anyFile},
		{"user list --db", nil, anyFile},
		{"cert node --ca", nil, directories},
		{"cert revoke --ca x", []string{"crt", "pem"}, someFiles},
		{"audit --format", []string{"csv", "jsonl"}, noFile},
		{"bucket scale --replicas", []string{"1", "2", "3", "4", "5"}, noFile},
		{"user get", nil, noFile}, // no cluster is named
		{"backup --out", nil, anyFile},
		{"guide", []string{"restart", "quorum-lost", "rescue", "disk-wiped", "disk-full", "node-lost", "operator-key-lost", "certificates", "user-key-lost"}, noFile},
	} {
		got, directive := offered(t, append(strings.Fields(c.line), "")...)
		if !slices.Equal(got, c.want) || directive != c.directive {
			t.Errorf("%s: %q, directive %s; want %q, %s", c.line, got, directive, c.want, c.directive)
		}
	}
	if got, _ := offered(t, "audit", "--verb", ""); !slices.Contains(got, "user-revoke") {
		t.Errorf("--verb: %q", got)
	}
}
