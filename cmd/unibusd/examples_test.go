package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestExamplesNameTheirCluster: an example that asks a cluster runs as it stands.
func TestExamplesNameTheirCluster(t *testing.T) {
	t.Parallel()
	needsNone := map[string]bool{"unibusd guide": true, "unibusd flags": true} // their first forms list what this program has
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			visit(sub)
		}
		if c.Flag("server") == nil {
			return
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(c.Example, "\\\n", ""), "\n") {
			offline := strings.Contains(line, "--file ") || c.Flag("db") != nil && c.Parent().Name() == "user" && strings.Contains(line, "--db ")
			if !offline && !needsNone[line] && !strings.Contains(line, "--context ") && !strings.Contains(line, "--server ") {
				t.Errorf("%s: %s", c.CommandPath(), line)
			}
		}
	}
	visit(root())
}
