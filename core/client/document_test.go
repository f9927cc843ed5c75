package client_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocumentShowsTheExample: the program in docs/go-client.md is what Example runs.
// Only the bus and the users differ.
func TestDocumentShowsTheExample(t *testing.T) {
	t.Parallel()
	shown := between(t, filepath.Join("..", "..", "docs", "go-client.md"), "```go\n", "```\n")
	run := between(t, "example_test.go", "func Example() {\n", "\t// Output:")
	if d := cmp.Diff(statements(run), statements(shown)); d != "" {
		t.Errorf("docs/go-client.md differs from Example (- Example, + docs/go-client.md):\n%s", d)
	}
}

func between(t *testing.T, path, begin, end string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(text), begin)
	part, _, ended := strings.Cut(rest, end)
	if !begun || !ended {
		t.Fatalf("%s has nothing between %q and %q", path, begin, end)
	}
	return part
}

// statements are the lines of a program without indentation, blank lines, what
// starts a bus for it, and what a client is configured with.
func statements(code string) []string {
	config := regexp.MustCompile(`client\.Config\{.*\}`)
	var out []string
	for line := range strings.Lines(code) {
		line = config.ReplaceAllString(strings.TrimSpace(line), "client.Config{}")
		if line != "" && line != "defer stop()" && !strings.HasSuffix(line, ":= startBus()") {
			out = append(out, line)
		}
	}
	return out
}
