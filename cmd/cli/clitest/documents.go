// Package clitest checks for tests that documents name commands and flags as they are.
package clitest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Documents returns the path of every Markdown file of the module, from its top.
func Documents(t *testing.T, top string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != top && skipped(d.Name()):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		rel, err := filepath.Rel(top, path)
		out = append(out, filepath.ToSlash(rel))
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%s holds %d documents: %v", top, len(out), err)
	}
	return out
}

// skipped is true of directories without documents of the project.
func skipped(dir string) bool {
	return dir == "testdata" || dir == "bin" || dir == "dist" || strings.HasPrefix(dir, ".") && dir != ".github"
}

// Named fails the test for every command line of the documents that the program of root
// would refuse: an unknown command or flag.
func Named(t *testing.T, top string, root *cobra.Command) {
	t.Helper()
	for _, file := range Documents(t, top) {
		text, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range Faults(string(text), root) {
			t.Errorf("%s names %s", file, fault)
		}
	}
}

// Faults lists what a document says of a program and is not so.
func Faults(text string, root *cobra.Command) []string {
	var out []string
	for _, line := range Lines(text) {
		words := strings.Fields(line)
		for len(words) > 0 {
			end := slices.IndexFunc(words, ends)
			call := words
			if words = nil; end >= 0 {
				call, words = call[:end], call[end+1:]
			}
			if at := slices.IndexFunc(call, func(w string) bool { return strings.TrimPrefix(w, "bin/") == root.Name() }); at >= 0 && !within(call[:at]) {
				out = append(out, faults(call[at:], root)...)
			}
		}
	}
	return out
}

// ends says whether a word ends a command of a shell.
func ends(word string) bool { return slices.Contains([]string{"|", "&", "&&", "||", ";"}, word) }

// within says whether a program's name behind these words is only an argument. It is
// one in `systemctl enable unibusd` and `install …`, but not in `runuser -u unibus --
// unibusd` or behind a variable assignment.
func within(before []string) bool {
	if len(before) == 0 {
		return false
	}
	last := before[len(before)-1]
	return last != "--" && !strings.Contains(last, "=")
}

// name is what a command may be called; all else are arguments and what stands for them.
var name = regexp.MustCompile(`^[a-z][a-z-]*$`)

func faults(call []string, root *cobra.Command) []string {
	c, rest := root, call[1:]
	for len(rest) > 0 && name.MatchString(rest[0]) && c.HasSubCommands() {
		i := slices.IndexFunc(c.Commands(), func(sub *cobra.Command) bool { return sub.Name() == rest[0] || sub.HasAlias(rest[0]) })
		if i < 0 {
			return []string{fmt.Sprintf("`%s %s`, which is no command", c.CommandPath(), rest[0])}
		}
		c, rest = c.Commands()[i], rest[1:]
	}
	var out []string
	for _, word := range rest {
		flag, ok := strings.CutPrefix(word, "--")
		flag, _, _ = strings.Cut(flag, "=")
		if ok && flag != "" && flag != "help" && c.Flag(flag) == nil {
			out = append(out, fmt.Sprintf("`%s --%s`, which is no flag of it", c.CommandPath(), flag))
		}
	}
	return out
}

// Flags returns the names of all flags of a program's commands.
func Flags(root *cobra.Command) map[string]bool {
	out := map[string]bool{"help": true, "version": true}
	every(root, func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { out[f.Name] = true })
	})
	return out
}

// ConsoleFlags are the flags that only unibus-tui has and documents name alone.
func ConsoleFlags() []string {
	return []string{"read-only", "theme", "ascii", "mouse", "plain", "max-sessions", "idle", "state"}
}

// ConsoleVariables are the variables that give a setting of the console.
func ConsoleVariables() []string {
	return []string{"UNIBUS_TUI_CONTEXT", "UNIBUS_TUI_THEME", "UNIBUS_TUI_ASCII", "UNIBUS_TUI_BELL", "UNIBUS_TUI_MOUSE", "UNIBUS_TUI_READ_ONLY"}
}

// ForeignFlags are flags of the nats CLI, which documents name alone, and aliases
// that commands take without listing them.
func ForeignFlags() []string {
	return []string{"nkey", "js-api-prefix", "tlsca", "tlsfirst", "nats-url", "discard"}
}

// SingleFlags returns the flags that a document names without a command: `--data`.
func SingleFlags(text string) []string {
	var out []string
	for _, line := range Lines(text) {
		if m := flag.FindStringSubmatch(line); m != nil {
			out = append(out, m[1])
		}
	}
	return out
}

var (
	flag   = regexp.MustCompile(`^--([a-z][a-z0-9-]*)`)
	fence  = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```")
	inline = regexp.MustCompile("`([^`]+)`")
)

// Lines are the lines of a document's code, inline and fenced. A line that ends with a backslash is
// joined with the next one, a shell comment is dropped, and a semicolon gets a blank before it.
func Lines(text string) []string {
	var out []string
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(strings.ReplaceAll(m[1], "\\\n", " ")) {
			out = append(out, line)
		}
	}
	for _, m := range inline.FindAllStringSubmatch(Prose(text), -1) {
		out = append(out, strings.ReplaceAll(m[1], "\n", " "))
	}
	for i, line := range out {
		line, _, _ = strings.Cut(line, " #")
		out[i] = strings.TrimSpace(strings.ReplaceAll(line, ";", " ;"))
	}
	return out
}

// Prose is a document without its fenced code.
func Prose(text string) string { return fence.ReplaceAllString(text, "") }
