package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"unibus/core/config"
)

func TestSampleConfigurationIsRight(t *testing.T) {
	t.Parallel()
	n, err := config.Load(filepath.Join("..", "..", "docs", "unibusd.toml"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n.Size() != 3 || !n.TLS() || len(n.Operators) != 1 {
		t.Errorf("the sample is %d nodes, TLS %v, %d operators", n.Size(), n.TLS(), len(n.Operators))
	}
}

// TestReadersNameWhatThereIs: every command, picture and test that the documents name exists.
func TestReadersNameWhatThereIs(t *testing.T) {
	t.Parallel()
	top := filepath.Join("..", "..")
	tests := testNames(t, top)
	command := regexp.MustCompile("`unibusd ([a-z-]+)(?: ([a-z-]+))?")
	picture := regexp.MustCompile(`\((screenshots/[a-z-]+\.png|docs/[a-z.-]+|[A-Z]+\.md)\)`)
	test := regexp.MustCompile("`(Test[A-Za-z0-9]+|Fuzz[A-Za-z0-9]+)`")
	for _, file := range []string{"README.md", "SECURITY.md", "ARCHITECTURE.md", "docs/three-hosts.md", "docs/restore.md"} {
		text := read(t, filepath.Join(top, file))
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			if c, _, err := root().Find(m[1:2]); err != nil || c.Name() != m[1] {
				t.Errorf("%s names `unibusd %s`, which is no command", file, m[1])
			}
		}
		for _, m := range picture.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(top, m[1])); err != nil {
				t.Errorf("%s names %s: %v", file, m[1], err)
			}
		}
		for _, m := range test.FindAllStringSubmatch(text, -1) {
			if !tests[m[1]] {
				t.Errorf("%s names the test %s, which does not exist", file, m[1])
			}
		}
	}
}

// testNames are the tests and fuzz targets of the module.
func testNames(t *testing.T, top string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	err := filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range declared.FindAllStringSubmatch(read(t, path), -1) {
			found[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
