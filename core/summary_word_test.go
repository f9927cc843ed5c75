package core_test

import (
	"strconv"
	"strings"
	"testing"

	"unibus/core"
)

func TestSummaryWordIsWhatWasGiven(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain": "plain", "two words": `"two words"`, "a=b": `"a=b"`, "👨\u200d👩\u200d👧 می\u200cخواهم": "\"👨\u200d👩\u200d👧 می\u200cخواهم\"",
		"ad\u200dmin":                       `"ad\u200dmin"`,
		strings.Repeat("é", core.MaxName/2): `"` + strings.Repeat("é", core.MaxName/2) + `"`,
		"x" + strings.Repeat("é", 400):      `"x` + strings.Repeat("é", 147) + `…"`,
		strings.Repeat("👨\u200d👩", 60):      `"` + strings.Repeat("👨\u200d👩", 26) + `…"`,
		strings.Repeat("x", 500):            strings.Repeat("x", 300) + "…",
	} {
		if got := core.SummaryWord(text); got != want {
			t.Errorf("%+q became %s, want %s", text, got, want)
		}
	}
}

// TestCutSummaryWordKeepsItsQuotes: a value that is too long for the audit is a beginning of what was given,
// can be read back, and hides no secret that the cut would split.
func TestCutSummaryWordKeepsItsQuotes(t *testing.T) {
	t.Parallel()
	seed := "SU" + strings.Repeat("A", 56)
	for _, name := range []string{
		strings.Repeat("\"\x1b ", 200), strings.Repeat("می\u200cخواهم ", 40), strings.Repeat("é ", 80) + seed + strings.Repeat(" é", 200),
		strings.Repeat("é ", 70) + `nats://u:p"w` + strings.Repeat("é", 100) + "@host " + strings.Repeat("é", 100), strings.Repeat("🇩🇪", 60), "a" + strings.Repeat("\u0301", 300), strings.Repeat("\\", 400) + " ",
	} {
		shown := core.SummaryWord(name)
		value, err := strconv.Unquote(shown)
		begin, cut := strings.CutSuffix(value, "…")
		if err != nil || !cut || len(shown) > 300 {
			t.Errorf("%s: %v", shown, err)
		}
		if hasSecret := strings.Contains(name, seed) || strings.Contains(name, "nats:"); !hasSecret && !strings.HasPrefix(name, begin) {
			t.Errorf("%q became %q", name, begin)
		}
		if strings.Contains(shown, "SUA") || strings.Contains(shown, `p\"w`) {
			t.Errorf("a secret is in %s", shown)
		}
		if strings.HasSuffix(begin, "\u200c") || strings.Contains(name, "🇩🇪") && len(begin)%8 != 0 {
			t.Errorf("%q is cut inside a character", begin)
		}
	}
}
