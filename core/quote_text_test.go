package core_test

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"unibus/core"
)

func TestQuotedTextKeepsWhatIsVisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"می\u200cخواهم": "\"می\u200cخواهم\"", "👨\u200d👩": "\"👨\u200d👩\"", "❤\ufe0f": "\"❤\ufe0f\"", "plain text": `"plain text"`, "": `""`, `a"b\c`: `"a\"b\\c"`,
		"ad\u200dmin": `"ad\u200dmin"`, "a\ufe0fb": `"a\ufe0fb"`, "a\u115fb": `"a\u115fb"`, "a\u202eb": `"a\u202eb"`, "a\nb\x1b": `"a\nb\x1b"`, "a\u00a0b": `"a\u00a0b"`, "\xff": `"\xff"`, "\ue000": `"\ue000"`, "a\u2800": `"a\u2800"`, "\u0301e\u0301": "\"\\u0301e\u0301\"",
	} {
		if got := core.QuoteText(text); got != want {
			t.Errorf("%+q became %s, want %s", text, got, want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.String().Draw(r, "text")
		if got, err := strconv.Unquote(core.QuoteText(text)); err != nil || got != text {
			t.Fatalf("%+q came back as %+q: %v", text, got, err)
		}
	})
}

func TestCutTextKeepsCharactersWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"abc", 3, "abc"},
		{"abc", 2, "ab"},
		{"aé", 2, "a"},
		{"ae\u0301x", 2, "a"},
		{"a👨\u200d👩", 9, "a"},
		{"a👍🏽", 6, "a"},
		{"🇩🇪🇫🇷", 12, "🇩🇪"},
		{"a🇩🇪🇫🇷", 13, "a🇩🇪"},
		{"خانه\u200cای", 12, "خان"},
		{"1\ufe0f\u20e3", 4, "1\ufe0f"}, // longer than what is kept
	} {
		if got := core.CutText(c.text, c.n); got != c.want {
			t.Errorf("%+q at %d: %+q, want %+q", c.text, c.n, got, c.want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		text, n := rapid.String().Draw(r, "text"), rapid.IntRange(0, 40).Draw(r, "n")
		if got := core.CutText(text, n); len(got) > n || !strings.HasPrefix(text, got) {
			t.Fatalf("%+q at %d: %+q", text, n, got)
		}
	})
}
