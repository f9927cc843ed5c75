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
)

// Documents are what operators and developers read, as paths from the top of the module.
func Documents() []string {
	return []string{"README.md", "SECURITY.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/three-hosts.md", "docs/restore.md"}
}

// Named fails the test for every command line of the documents that root, named as
// the program is, would not take: an unknown command, or a flag that it has not.
func Named(t *testing.T, top string, root *cobra.Command) {
	t.Helper()
	for _, file := range Documents() {
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

// within says whether a program's name behind these words is only an argument: of
// `systemctl enable unibusd`, of `install …`, but not of `runuser -u unibus -- unibusd`
// or behind a variable that is set for it.
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

var (
	fence  = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```")
	inline = regexp.MustCompile("`([^`]+)`")
)

// Lines are the lines of a document's code, inline and fenced: whole where they go
// on behind a backslash, without what a shell takes for a comment, and with a blank before a semicolon.
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
