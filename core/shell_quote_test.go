package core

import (
	"strings"
	"testing"
)

// TestShellQuote: one word each, and no seed in it.
func TestShellQuote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "''", "n1": "n1", "/var/lib/a-b_c.db": "/var/lib/a-b_c.db", "tls://n1:4222,tls://n2:4222": "tls://n1:4222,tls://n2:4222",
		"ana lee": "'ana lee'", "it's": `'it'\''s'`, "$(reboot)": "'$(reboot)'", "~": "'~'", "é": "'é'", "a\nb": "'a\nb'",
	} {
		if got := ShellQuote(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	const seed = "SUAFZQDX7PCWGLJJWV7HJO5YK4SHCY6OMVKM6OYESIGJDZSJRFB2VK62LI"
	if got := ShellQuote(seed); strings.Contains(got, seed[:10]) {
		t.Errorf("a seed became %s", got)
	}
}
