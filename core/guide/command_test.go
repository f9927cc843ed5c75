package guide

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"unibus/core"
)

// TestEveryGuideOfAFindingOpens: the judge cannot import this package, so that the names in
// its next steps are compared here.
func TestEveryGuideOfAFindingOpens(t *testing.T) {
	t.Parallel()
	judged, err := os.ReadFile(filepath.Join("..", "cluster", "testdata", "judge.txt"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(judged)) {
		if !strings.Contains(line, command) {
			continue
		}
		words := NamedIn(line)
		if words == nil {
			t.Errorf("no guide is in %q", line)
			continue
		}
		if _, _, err := Parse(words); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		seen[words[0]] = true
	}
	for _, name := range []string{"quorum-lost", "disk-full", "disk-wiped"} {
		if !seen[name] {
			t.Errorf("no finding names the guide %s", name)
		}
	}
}

// TestNamedIn finds what can be opened, and nothing else.
func TestNamedIn(t *testing.T) {
	t.Parallel()
	for next, want := range map[string][]string{
		"start unibusd on n2; step by step: unibusd guide quorum-lost.": {"quorum-lost"},
		"wait; step by step: unibusd guide disk-wiped n3":               {"disk-wiped", "n3"},
		"`unibusd guide disk-full`, then `unibusd guide disk-wiped n3`": {"disk-wiped", "n3"},
		"unibusd guide disk-wiped":                                      nil,
		"unibusd guide frobnicate":                                      nil,
		"unibusd guide ":                                                nil,
		"start unibusd on n2":                                           nil,
	} {
		if got := NamedIn(next); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", next, got, want)
		}
	}
}

// TestParseRefuses other guides and other numbers of arguments.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for line, kind := range map[string]core.Kind{"x": core.KindNotFound, "restart n1": core.KindInvalid, "node-lost n1": core.KindInvalid, "user-key-lost bob": core.KindInvalid} {
		if _, _, err := Parse(strings.Fields(line)); core.KindOf(err) != kind {
			t.Errorf("%s: %v", line, err)
		}
	}
	const seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
	if _, _, err := Parse([]string{"user-key-lost", seed}); err == nil || strings.Contains(err.Error()+core.AsError(err).Next, seed) {
		t.Errorf("a seed: %v", err)
	}
	const key = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
	if _, args, err := Parse([]string{"user-key-lost", strings.ToLower(key)}); err != nil || args[0] != key {
		t.Errorf("a key in lower case: %q, %v", args, err)
	}
	if g, args, err := Parse([]string{"node-lost", "n1", "n4"}); err != nil || g.Name != "node-lost" || !slices.Equal(args, []string{"n1", "n4"}) {
		t.Errorf("%v %v %v", g.Name, args, err)
	}
}
