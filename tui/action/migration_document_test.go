package action_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"unibus/tui/action"
	"unibus/tui/tuitest"
)

// TestMigrationDocumentNamesTheKeys: in the first table of docs/migration.md each key does what the
// command beside it does. No key of the page is left out.
func TestMigrationDocumentNamesTheKeys(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "migration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| step | command | page 6 |")
	if !ok {
		t.Fatal("docs/migration.md has no table of steps, commands and keys")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	code := regexp.MustCompile("`([^`]+)`")
	named := map[string]bool{}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 5 {
			continue
		}
		commands, keys := code.FindAllStringSubmatch(cells[2], -1), code.FindAllStringSubmatch(cells[3], -1)
		for i, k := range keys {
			named[k[1]] = true
			beside := commands // one key beside several commands stands for one of them
			if len(keys) == len(commands) {
				beside = commands[i : i+1]
			}
			a, ok := action.ByKey(action.Table(), "migrate", k[1])
			if !ok {
				t.Errorf("docs/migration.md names the key %s, which does nothing on page 6", k[1])
				continue
			}
			same := a.Command(newState(tuitest.OnSQLite()), nil)
			if !slices.ContainsFunc(beside, func(m []string) bool { return commandName(m[1]) == commandName(same) }) {
				t.Errorf("docs/migration.md has the key %s beside %q; it is the same as %q", k[1], beside, same)
			}
		}
	}
	for _, a := range action.Table() {
		if a.Scope == "migrate" && !named[a.Key] {
			t.Errorf("docs/migration.md names no key for %q, which is %s", a.Name, a.Key)
		}
	}
}

// commandName is a command line without its flags, except --dry-run, which is
// another operation.
func commandName(line string) string {
	words, _, _ := strings.Cut(line, " --")
	if strings.Contains(line, " --dry-run") {
		words += " --dry-run"
	}
	return words
}
