package request

import (
	"slices"
	"strings"
	"testing"

	"unibus/core"
)

// TestPages: fetched page by page, every entry comes once and in order, however
// large the entries are.
func TestPages(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 1, "large": 100 << 10, "too large for a page": 600 << 10} {
		var keys []string
		for i := range 20 {
			keys = append(keys, string(rune('a'+i)))
		}
		calls := 0
		got, err := All(func(after string) ([]string, string, error) {
			calls++
			entries, next := Cut(keys, Page{After: after, Limit: 7}, func(k string) string { return k },
				func(k string) string { return k + strings.Repeat("x", size) })
			for i := range entries {
				entries[i] = entries[i][:1]
			}
			return entries, next, nil
		})
		if err != nil || !slices.Equal(got, keys) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if want := map[string]int{"small": 3, "large": 4, "too large for a page": 20}[name]; calls != want {
			t.Errorf("%s: %d pages, want %d", name, calls, want)
		}
	}
	if _, err := All(func(string) ([]int, string, error) { return nil, "again", nil }); core.KindOf(err) != core.KindFailed {
		t.Errorf("pages without an end: %v", err)
	}
}

// TestDecodeIsStrict: one document of UTF-8, of known fields, and nothing behind it.
func TestDecodeIsStrict(t *testing.T) {
	t.Parallel()
	for body, fits := range map[string]bool{
		`{"limit":1}`: true, ` {"limit":1} `: true, `{"limit":1}{}`: false, `{"limit":1} x`: false,
		`{"other":1}`: false, "{\"after\":\"\xff\"}": false, ``: false, `[]`: false,
	} {
		err := Decode([]byte(body), &Page{})
		if fits != (err == nil) || err != nil && core.KindOf(err) != core.KindInvalid {
			t.Errorf("%q: %v", body, err)
		}
	}
}
