package tui_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"unibus/tui"
	"unibus/tui/action"
	"unibus/tui/keymap"
	"unibus/tui/tuitest"
)

// TestKeysOfTheFooterCanBeChanged: a key that a page names is in the table of keys, or fixed. Without
// that an operator's own key may hide it.
func TestKeysOfTheFooterCanBeChanged(t *testing.T) {
	t.Parallel()
	known := keymap.Fixed()
	for _, b := range keymap.Default(action.Table()).Bindings() {
		known = append(known, b.Key)
	}
	hint := regexp.MustCompile(`^([^ ]+(?: [^ ])?) [a-z]`)
	seen := 0
	for page := range tui.PageNames() {
		for _, open := range []bool{false, true} {
			cfg, _ := newConfig(tuitest.Degraded())
			h := tuitest.NewHarness(cfg, 200, 60)
			h.Press(string(rune('1' + page)))
			if open {
				h.Press("enter")
			}
			lines := strings.Split(strings.TrimSpace(h.Screen()), "\n")
			for _, part := range strings.Split(strings.TrimSpace(lines[len(lines)-1]), "   ") {
				match := hint.FindStringSubmatch(part)
				if match == nil {
					continue
				}
				for _, key := range strings.Fields(match[1]) {
					seen++
					if !slices.Contains(known, key) {
						t.Errorf("page %d: the key %q of %q is in no table of tui/keymap", page+1, key, part)
					}
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d keys were found in the footers", seen)
	}
}
