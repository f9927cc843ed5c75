package main

import (
	"slices"
	"testing"
)

// TestDiscardIsAnAliasOfIgnoreNode: scripts that use the old name of the flag go on working.
func TestDiscardIsAnAliasOfIgnoreNode(t *testing.T) {
	t.Parallel()
	c := migrateCommand()
	if err := c.ParseFlags([]string{"--discard", "n2", "--ignore-node", "n3", "--nats-url", "nats://h"}); err != nil {
		t.Fatal(err)
	}
	nodes, err := c.Flags().GetStringSlice("ignore-node")
	if err != nil || !slices.Equal(nodes, []string{"n2", "n3"}) {
		t.Errorf("%v, %v", nodes, err)
	}
	if servers, err := c.Flags().GetStringSlice("server"); err != nil || len(servers) != 1 {
		t.Errorf("the other aliases: %v, %v", servers, err)
	}
}
