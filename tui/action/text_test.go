package action_test

import (
	"strings"
	"testing"

	"unibus/tui/action"
)

// TestCommandLinesHoldNoSeed: what was typed in the wrong place is not offered to be copied.
func TestCommandLinesHoldNoSeed(t *testing.T) {
	t.Parallel()
	const seed = "SUAFZQDX7PCWGLJJWV7HJO5YK4SHCY6OMVKM6OYESIGJDZSJRFB2VK62LI"
	if got := action.ShellQuote(seed); strings.Contains(got, seed[:10]) {
		t.Errorf("the line is %s", got)
	}
}
