package main

import (
	"cmp"
	_ "embed" // of the examples
	"strings"

	"github.com/spf13/cobra"
)

// addExamples gives every command its examples, which the help shows and the test parses.
// A command that only holds others shows the first one of each.
func addExamples(root *cobra.Command) {
	var first []string
	for _, c := range root.Commands() {
		addExamples(c)
		line, rest, _ := strings.Cut(c.Example, "\n")
		if strings.HasSuffix(line, `\`) {
			second, _, _ := strings.Cut(rest, "\n")
			line += "\n" + second
		}
		first = append(first, line)
	}
	root.Example = cmp.Or(examples()[root.CommandPath()], strings.Join(first, "\n"))
}

// examplesText holds, after a line "# COMMAND", what an operator would type for it. The
// context of the nats CLI stands for --server, --identity and --tls-ca.
//
//go:embed examples.txt
var examplesText string

// examples are the lines of examplesText by command.
func examples() map[string]string {
	out := map[string]string{}
	for block := range strings.SplitSeq(strings.TrimSpace(examplesText), "\n\n") {
		command, lines, _ := strings.Cut(strings.TrimPrefix(block, "# "), "\n")
		out[command] = lines
	}
	return out
}
