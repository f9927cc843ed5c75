package tui_test

import (
	"strings"
	"testing"

	"unibus/tui/tuitest"
)

func TestFilterFindsByColumnAndPattern(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press("7", "/", "level:note !about:meta", "enter")
	assertShows(t, h, "n3 leads rooms_by_member", "n1 started", "3 match /level:note !about:meta.")
	if s := h.Screen(); strings.Contains(s, "n2 lost") || strings.Contains(s, "leads the meta group") {
		t.Errorf("rows that do not match are listed:\n%s", s)
	}
	h.Press("esc", "4", "/", "role:admin r/^", "enter")
	assertShows(t, h, "match /role:admin r/^.")
	if r := f.UserRequests(); r[len(r)-1].Filter != "role:admin r/^" {
		t.Errorf("the node was asked for %q", r[len(r)-1].Filter)
	}
}

// TestUnreadableFilterIsNotApplied: the rows stay, and the prompt says what is wrong.
func TestUnreadableFilterIsNotApplied(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press("4", "/", "r/ana(")
	assertShows(t, h, "The regular expression ana( cannot be read: missing closing ).")
	h.Press("enter")
	assertShows(t, h, "r/ana(", "cannot be read", "match /r/ana.")
	h.Press("x", ")")
	if strings.Contains(h.Screen(), "cannot be read") {
		t.Errorf("it is one now:\n%s", h.Screen())
	}
	h.Press("enter")
	for _, r := range f.UserRequests() {
		if strings.HasSuffix(r.Filter, "(") {
			t.Errorf("a node was asked for %q", r.Filter)
		}
	}
}
