package tui_test

import (
	"strings"
	"testing"

	"unibus/core"
	"unibus/tui"
	"unibus/tui/tuitest"
)

// TestEveryPageAsText: the text of the page, in one piece, without parts that only a terminal or an
// eye can use.
func TestEveryPageAsText(t *testing.T) {
	t.Parallel()
	says := map[string][]string{
		"overview": {"All three nodes answer", "NODE", "RECENT"},
		"nodes":    {"3 of 3 nodes answer.", "IF A NODE STOPS"},
		"buckets":  {"● users", "3 of 3 current"},
		"users":    {"200 users", "bruno-00"},
		"rooms":    {"50 rooms"},
		"migrate":  {"The control plane is in KV; there is nothing to migrate."},
		"events":   {"1 incident"},
		"rollout":  {"enforce"},
		"audit":    {"ana"},
	}
	for _, name := range tui.PageNames() {
		cfg, _ := newConfig(tuitest.Healthy())
		text, err := tui.PlainPage(t.Context(), cfg, name)
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(text, "\n"); !strings.HasPrefix(first, "demo: ● healthy. Page "+name+" for ana (admin), from n1 at 2") {
			t.Errorf("%s begins with %q", name, first)
		}
		if len(says[name]) == 0 {
			t.Errorf("this test does not know what the page %s says", name)
		}
		for _, want := range says[name] {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %q:\n%s", name, want, text)
			}
		}
		for _, no := range []string{"\x1b", "\n > ", "▂", "Loading", "Waiting", "? help"} {
			if strings.Contains(text, no) {
				t.Errorf("%s has %q:\n%s", name, no, text)
			}
		}
	}
}

func TestPageAsTextThatCannotBe(t *testing.T) {
	t.Parallel()
	cfg, f := newConfig(tuitest.Healthy())
	if _, err := tui.PlainPage(t.Context(), cfg, "usrs"); core.KindOf(err) != core.KindInvalid || !strings.Contains(core.AsError(err).Next, "rollout") {
		t.Errorf("an unknown page: %v", err)
	}
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	if text, err := tui.PlainPage(t.Context(), cfg, "2"); core.KindOf(err) != core.KindUnavailable || text != "" {
		t.Errorf("without a node: %q, %v", text, err)
	}
}
