package clitest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// plainWord is what the help may begin with: it is shown with a capital, which would spoil
// cluster-listen and a value to be typed.
var plainWord = regexp.MustCompile(`^[A-Za-z][a-z']*[:,;]?$`)

// HelpFaults lists texts that a program's help would not show as they are written, and commands
// without an example or with one that the program would refuse. print is cli.PrintHelp.
func HelpFaults(t *testing.T, new func() *cobra.Command, print func(w io.Writer, c *cobra.Command, width int)) []string {
	t.Helper()
	var out []string
	every(new(), func(c *cobra.Command) {
		shown := helpOf(t, new(), c.CommandPath(), print)
		fault := func(format string, args ...any) {
			out = append(out, c.CommandPath()+": "+fmt.Sprintf(format, args...))
		}
		check := func(what, text string) {
			first, _, _ := strings.Cut(text, " ")
			switch {
			case strings.Contains(text, "`"):
				fault("%s has backticks: %s", what, text)
			case !plainWord.MatchString(first):
				fault("%s begins with %q, which the help changes: %s", what, first, text)
			case !strings.Contains(shown, text[1:]):
				fault("%s is not in the help as it is: %s", what, text)
			}
		}
		if c.Long == "" {
			first, _, _ := strings.Cut(c.Short, ";")
			check("the description", first)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) { check("--"+f.Name, f.Usage) })
		if c.Example == "" {
			fault("there is no example")
		}
		for _, line := range strings.Split(strings.ReplaceAll(c.Example, "\\\n", ""), "\n") {
			if err := Parse(new(), line); err != nil {
				fault("the example %q: %v", line, err)
			}
		}
		for _, line := range strings.Split(c.Example, "\n") {
			if len(line) > 72 || !strings.Contains(shown, strings.TrimSpace(line)) {
				fault("the example %q is cut in the help, or is not there", line)
			}
		}
	})
	return out
}

// helpOf is the help of a command as a person sees it.
func helpOf(t *testing.T, root *cobra.Command, path string, print func(w io.Writer, c *cobra.Command, width int)) string {
	t.Helper()
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetErr(&b)
	root.SetArgs(append(strings.Fields(path)[1:], "--help"))
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { print(&b, c, 400) })
	if err := root.ExecuteContext(context.Background()); err != nil {
		t.Fatalf("%s --help: %v", path, err)
	}
	return b.String()
}

// Console is the tree of the console's commands, for tests of another program. A test of
// the console compares it with the real one.
func Console() *cobra.Command {
	run := func(*cobra.Command, []string) error { return nil }
	root := &cobra.Command{Use: "unibus-tui", Args: cobra.NoArgs, RunE: run}
	root.Flags().String("context", "", "")
	status := &cobra.Command{Use: "status", Args: cobra.NoArgs, RunE: run}
	status.Flags().Bool("json", false, "")
	config := &cobra.Command{Use: "config", Args: cobra.NoArgs, RunE: run}
	config.Flags().Bool("json", false, "")
	root.AddCommand(status, config, &cobra.Command{Use: "serve", Args: cobra.NoArgs, RunE: run})
	return root
}
