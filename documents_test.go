package unibus

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"unibus/cmd/cli/clitest"
)

// TestDocumentsNameWhatExists: every link, anchor, test, script and target of make
// that a document names exists. cmd/unibusd and cmd/unibus-tui check commands and flags.
func TestDocumentsNameWhatExists(t *testing.T) {
	t.Parallel()
	names := declaredTests(t)
	targets := makeTargets(t)
	for _, file := range clitest.Documents(t, ".") {
		text := readFile(t, file)
		for _, m := range testName.FindAllStringSubmatch(text, -1) {
			if names[m[1]] == 0 {
				t.Errorf("%s names the test %s, which does not exist", file, m[1])
			}
		}
		for _, line := range clitest.Lines(text) {
			if m := makeCommand.FindStringSubmatch(line); m != nil && !slices.Contains(targets, m[1]) {
				t.Errorf("%s names `make %s`, which is no target", file, m[1])
			}
		}
		for _, m := range documentLink.FindAllStringSubmatch(clitest.Prose(text), -1) {
			if err := deadLink(t, file, m[1]); err != nil {
				t.Errorf("%s links %s: %v", file, m[1], err)
			}
		}
	}
}

// TestCodeNamesDocumentsThatExist: a message or a comment that sends a reader to a
// document sends the reader to one that is there.
func TestCodeNamesDocumentsThatExist(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`\bdocs/[A-Za-z0-9/_-]+\.(?:md|toml|service)\b`)
	found := 0
	walk(t, func(path string) {
		switch filepath.Ext(path) {
		case ".go", ".txtar", ".txt", ".toml":
		default:
			return
		}
		for _, name := range named.FindAllString(readFile(t, path), -1) {
			found++
			if _, err := os.Stat(filepath.FromSlash(name)); err != nil {
				t.Errorf("%s names %s, which does not exist", path, name)
			}
		}
	})
	if found == 0 {
		t.Error("no code names a document: the search is wrong")
	}
}

// TestEveryPictureIsShown: each picture is in a document, and has a description.
func TestEveryPictureIsShown(t *testing.T) {
	t.Parallel()
	shown := map[string]bool{}
	for _, file := range clitest.Documents(t, ".") {
		for _, m := range regexp.MustCompile(`!?\[([^\]]*)\]\(([^)\s]+\.png)\)`).FindAllStringSubmatch(readFile(t, file), -1) {
			if m[1] == "" {
				t.Errorf("%s shows %s without a description", file, m[2])
			}
			shown[filepath.Base(m[2])] = true
		}
	}
	pictures, err := filepath.Glob("screenshots/*.png")
	if err != nil || len(pictures) == 0 {
		t.Fatalf("%d pictures: %v", len(pictures), err)
	}
	for _, p := range pictures {
		if !shown[filepath.Base(p)] {
			t.Errorf("no document shows %s", p)
		}
	}
}

// TestDependenciesHaveReasons: the table of ARCHITECTURE.md has one row for each
// module that go.mod requires directly, with a reason.
func TestDependenciesHaveReasons(t *testing.T) {
	t.Parallel()
	table := section(readFile(t, "ARCHITECTURE.md"), "Dependencies")
	reasons := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|([^|]*)\\|").FindAllStringSubmatch(table, -1) {
		reasons[m[1]] = strings.TrimSpace(m[2])
	}
	required := directModules(readFile(t, "go.mod"))
	for _, module := range required {
		if reasons[module] == "" {
			t.Errorf("ARCHITECTURE.md gives no reason for %s", module)
		}
		delete(reasons, module)
	}
	for module := range reasons {
		t.Errorf("ARCHITECTURE.md gives a reason for %s, which go.mod does not require", module)
	}
	if len(required) < 10 {
		t.Errorf("go.mod requires %d modules: the search is wrong", len(required))
	}
}

// directModules returns the modules that go.mod requires and does not mark as indirect.
func directModules(mod string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require )?\t?([^\s()]+\.[^\s()]+/?[^\s()]*) v[^\s]+(.*)$`).FindAllStringSubmatch(mod, -1) {
		if !strings.Contains(m[2], "// indirect") {
			out = append(out, m[1])
		}
	}
	return out
}

// TestDecisionsAreWhole: each record of a decision has its number, a title and the
// three parts, and the index lists it.
func TestDecisionsAreWhole(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("docs/decisions/[0-9]*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d decisions: %v", len(files), err)
	}
	index := readFile(t, "docs/decisions/README.md")
	for i, file := range files {
		name, text := filepath.Base(file), readFile(t, file)
		if want := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(name, want) || !strings.HasPrefix(text, fmt.Sprintf("# %d. ", i+1)) {
			t.Errorf("%s: the number in the name and in the title is %d", file, i+1)
		}
		for _, part := range []string{"Context", "Decision", "Consequence"} {
			if strings.TrimSpace(section(text, part)) == "" {
				t.Errorf("%s has no section %q", file, part)
			}
		}
		if !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/decisions/README.md does not list %s", name)
		}
	}
}

// TestLinksCanBeDead shows that the helpers of this file see what they are for.
func TestLinksCanBeDead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.md")
	if err := os.WriteFile(file, []byte("# A title: `x`\n\n## Twice\n\n## Twice\n\n```\n# No title\n```\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for to, dead := range map[string]bool{
		"a.md": false, "b.md": true, "#a-title-x": false, "a.md#twice": false, "#twice-1": false, "#twice-2": true, "#no-title": true,
		"https://example.org/none": false,
	} {
		if err := deadLink(t, file, to); (err != nil) != dead {
			t.Errorf("%s: %v", to, err)
		}
	}
	if got := section("# A\n## B\nb\n### C\nc\n## D\nd\n", "B"); got != "b\n### C\nc\n" {
		t.Errorf("the section is %q", got)
	}
	mod := "require (\n\tcharm.land/fang/v2 v2.0.1\n\tgithub.com/x/y v1.0.0 // indirect\n)\nrequire a.b/c v1.2.3\n"
	if got := strings.Join(directModules(mod), " "); got != "charm.land/fang/v2 a.b/c" {
		t.Errorf("the modules are %q", got)
	}
}

var (
	testName     = regexp.MustCompile("`((?:[a-z][a-z0-9/_-]*:)?(?:Test|Fuzz)[A-Z][A-Za-z0-9]+)`")
	makeCommand  = regexp.MustCompile(`^make ([a-z-]+)`)
	documentLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading      = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	notInAnchor  = regexp.MustCompile("[^a-z0-9 _-]")
)

// deadLink says why a document's link leads nowhere: to no file, or to no heading
// of it. Addresses elsewhere are not tried.
func deadLink(t *testing.T, from, to string) error {
	t.Helper()
	if strings.Contains(to, "://") {
		return nil
	}
	file, anchor, hasAnchor := strings.Cut(to, "#")
	path := from
	if file != "" {
		path = filepath.Join(filepath.Dir(from), filepath.FromSlash(file))
	}
	if _, err := os.Stat(path); err != nil || !hasAnchor {
		return err
	}
	if !anchors(readFile(t, path))[anchor] {
		return fmt.Errorf("%s has no heading that makes #%s", path, anchor)
	}
	return nil
}

// anchors returns what the headings of a document can be linked by, as GitHub makes it.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(clitest.Prose(text), -1) {
		base := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		anchor := base
		for i := 1; out[anchor]; i++ {
			anchor = fmt.Sprintf("%s-%d", base, i)
		}
		out[anchor] = true
	}
	return out
}

// section returns the text below a heading, up to the next heading of its level or above.
func section(text, title string) string {
	m := regexp.MustCompile(`(?m)^(#+) ` + regexp.QuoteMeta(title) + `$\n?`).FindStringSubmatchIndex(text)
	if m == nil {
		return ""
	}
	rest := text[m[1]:]
	next := regexp.MustCompile(fmt.Sprintf(`(?m)^#{1,%d} `, m[3]-m[2])).FindStringIndex(rest)
	if next == nil {
		return rest
	}
	return rest[:next[0]]
}

// TestStories: `make test` leaves out by name what `make stories` runs in some packages,
// so that every name must be of one test, and in the package that is named.
func TestStories(t *testing.T) {
	t.Parallel()
	declared := declaredTests(t)
	for line := range strings.Lines(readFile(t, ".ci/stories")) {
		story := strings.TrimSuffix(line, "\n")
		place, name, _ := strings.Cut(story, ":")
		places := 0
		for full := range declared {
			if strings.HasSuffix(full, ":"+name) && !strings.HasPrefix(full, "core/nodetest/nemesis:") { // nobody leaves those out
				places++
			}
		}
		if declared[story] == 0 || places != 1 {
			t.Errorf(".ci/stories: %s declares no %s, or %d packages declare it", place, name, places)
		}
	}
}

// makeTargets are the targets of the Makefile.
func makeTargets(t *testing.T) []string {
	t.Helper()
	_, line, _ := strings.Cut(readFile(t, "Makefile"), "\n.PHONY:")
	line, _, _ = strings.Cut(line, "\n")
	return strings.Fields(line)
}

// declaredTests counts the packages that declare a test or fuzz target: by its name,
// and by its package and name, as in core/seal:TestVectors.
func declaredTests(t *testing.T) map[string]int {
	t.Helper()
	found := map[string]int{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	walk(t, func(path string) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, m := range declared.FindAllStringSubmatch(readFile(t, path), -1) {
			full := filepath.ToSlash(filepath.Dir(path)) + ":" + m[1]
			if found[full] == 0 {
				found[full] = 1
				found[m[1]]++
			}
		}
	})
	return found
}

// scripts are the testscripts of the module, by the name of their file.
func scripts(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	walk(t, func(path string) {
		if filepath.Ext(path) == ".txtar" {
			found[filepath.Base(path)] = true
		}
	})
	return found
}

// walk calls f with every file of the module that git would keep.
func walk(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == ".git" || path == "bin" || path == "dist"):
			return filepath.SkipDir
		case !d.IsDir():
			f(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPromisesHaveTests keeps docs/promises.md in step with the promises of SECURITY.md:
// each promise has one row there and at least one test or script, and each of those
// exists once. The threats cite promises that are made.
func TestPromisesHaveTests(t *testing.T) {
	t.Parallel()
	text := readFile(t, "SECURITY.md")
	faults := promiseFaults(text, readFile(t, "docs/promises.md"), declaredTests(t), scripts(t))
	for _, fault := range append(faults, threatFaults(text)...) {
		t.Error(fault)
	}
}

// promises counts how often SECURITY.md makes each promise.
func promises(text string) map[string]int {
	made := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^- \*\*([A-Z][0-9]+)\*\* \S`).FindAllStringSubmatch(text, -1) {
		made[m[1]]++
	}
	return made
}

// promiseFaults lists the differences between the promises and the page of their tests.
func promiseFaults(text, page string, tests map[string]int, scripts map[string]bool) []string {
	var out []string
	made, kept := promises(text), map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z][0-9]+) \|(.*)\|$`).FindAllStringSubmatch(page, -1) {
		id, cited := m[1], 0
		kept[id]++
		for _, c := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[2], -1) {
			cited++
			switch {
			case tests[c[1]] == 0 && !scripts[c[1]]:
				out = append(out, fmt.Sprintf("%s cites %s, which does not exist", id, c[1]))
			case tests[c[1]] > 1:
				out = append(out, fmt.Sprintf("%s cites %s without its package, and several have it", id, c[1]))
			}
		}
		if cited == 0 {
			out = append(out, id+" cites no test")
		}
		if made[id] == 0 {
			out = append(out, id+" has tests and is no promise")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(made)) {
		if made[id] > 1 || kept[id] > 1 {
			out = append(out, id+" stands twice")
		}
		if kept[id] == 0 {
			out = append(out, id+" has no test")
		}
	}
	if len(made) == 0 {
		out = append(out, "SECURITY.md makes no promise")
	}
	return out
}

// threatFaults lists the threats that cite no promise, or one that is not made.
func threatFaults(text string) []string {
	var out []string
	made := promises(text)
	rows := regexp.MustCompile(`(?m)^\| ([^|]+) \|[^|]*\|([^|]*)\|$`).FindAllStringSubmatch(section(text, "Threats and defenses"), -1)
	for _, m := range rows[min(1, len(rows)):] { // the first is the head
		cited := regexp.MustCompile(`\b[A-Z][0-9]+\b`).FindAllString(m[2], -1)
		if strings.HasPrefix(m[1], "---") {
			continue
		}
		if len(cited) == 0 {
			out = append(out, m[1]+": cites no promise")
		}
		for _, id := range cited {
			if made[id] == 0 {
				out = append(out, m[1]+": "+id+" is no promise")
			}
		}
	}
	if len(rows) < 2 {
		out = append(out, "SECURITY.md names no threat")
	}
	return out
}

func TestPromisesCanBeBroken(t *testing.T) {
	t.Parallel()
	tests, scripts := map[string]int{"TestA": 1, "FuzzB": 1, "TestTwice": 2, "core:TestTwice": 1}, map[string]bool{"a.txtar": true}
	for _, c := range []struct{ text, page, want string }{
		{"- **A1** One.\n- **A2** Two.\n", "| A1 | `TestA`, `FuzzB` |\n| A2 | `a.txtar` |\n", ""},
		{"nothing\n", "", "SECURITY.md makes no promise"},
		{"- **A1** One.\n", "", "A1 has no test"},
		{"- **A1** One.\n", "| A1 | later |\n", "A1 cites no test"},
		{"- **A1** One.\n", "| A1 | `TestC` |\n", "A1 cites TestC, which does not exist"},
		{"- **A1** One.\n", "| A1 | `TestTwice` |\n", "A1 cites TestTwice without its package, and several have it"},
		{"- **A1** One.\n", "| A1 | `core:TestTwice` |\n", ""},
		{"- **A1** One.\n", "| A1 | `TestA` |\n| A2 | `TestA` |\n", "A2 has tests and is no promise"},
		{"- **A1** One.\n- **A1** Two.\n", "| A1 | `TestA` |\n", "A1 stands twice"},
		{"- **A1** One.\n| A1 | `TestA` |\n", "", "A1 has no test"},
	} {
		if got := strings.Join(promiseFaults(c.text, c.page, tests, scripts), "\n"); got != c.want {
			t.Errorf("%q, %q: got %q, want %q", c.text, c.page, got, c.want)
		}
	}
	const head = "- **A1** One.\n\n## Threats and defenses\n\n| threat | what you do | promises |\n|---|---|---|\n"
	for text, want := range map[string]string{
		head + "| rain | wait | A1 |\n":     "",
		head + "| rain | wait | A1, A2 |\n": "rain: A2 is no promise",
		head + "| rain | wait | |\n":        "rain: cites no promise",
		"- **A1** One.\n":                   "SECURITY.md names no threat",
	} {
		if got := strings.Join(threatFaults(text), "\n"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
