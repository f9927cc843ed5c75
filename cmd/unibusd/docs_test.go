package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// TestReadersNameWhatThereIs: every command, flag, target of make, link and test that the documents name exists.
func TestReadersNameWhatThereIs(t *testing.T) {
	t.Parallel()
	top := filepath.Join("..", "..")
	clitest.Named(t, top, root())
	tests, targets := testNames(t, top), phony(t, top)
	test := regexp.MustCompile("`(Test[A-Za-z0-9]+|Fuzz[A-Za-z0-9]+)`")
	for _, file := range clitest.Documents() {
		text := read(t, filepath.Join(top, file))
		for _, m := range test.FindAllStringSubmatch(text, -1) {
			if !tests[m[1]] {
				t.Errorf("%s names the test %s, which does not exist", file, m[1])
			}
		}
		for _, line := range clitest.Lines(text) {
			if m := makes.FindStringSubmatch(line); m != nil && !slices.Contains(targets, m[1]) {
				t.Errorf("%s names `make %s`, which is no target", file, m[1])
			}
		}
		for _, m := range link.FindAllStringSubmatch(clitest.Prose(text), -1) {
			if err := dangling(t, filepath.Join(top, file), m[1]); err != nil {
				t.Errorf("%s links %s: %v", file, m[1], err)
			}
		}
	}
}

var (
	makes = regexp.MustCompile(`^make ([a-z-]+)`)
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	title = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	sign  = regexp.MustCompile("[^a-z0-9 _-]")
)

// phony are the targets of the Makefile.
func phony(t *testing.T, top string) []string {
	t.Helper()
	_, line, _ := strings.Cut(read(t, filepath.Join(top, "Makefile")), "\n.PHONY:")
	line, _, _ = strings.Cut(line, "\n")
	return strings.Fields(line)
}

// dangling says why a document's link leads nowhere: to no file, or to no title of it. Addresses elsewhere are not tried.
func dangling(t *testing.T, from, to string) error {
	t.Helper()
	if strings.Contains(to, "://") {
		return nil
	}
	file, anchor, ok := strings.Cut(to, "#")
	path := from
	if file != "" {
		path = filepath.Join(filepath.Dir(from), filepath.FromSlash(file))
	}
	if _, err := os.Stat(path); err != nil || !ok {
		return err
	}
	for _, m := range title.FindAllStringSubmatch(clitest.Prose(read(t, path)), -1) {
		if strings.ReplaceAll(sign.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == anchor {
			return nil
		}
	}
	return fmt.Errorf("%s has no title that makes #%s", path, anchor)
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
