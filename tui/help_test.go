package tui_test

import (
	"strings"
	"testing"

	"unibus/tui/tuitest"
)

func TestHelpIsNotTruncated(t *testing.T) {
	t.Parallel()
	for _, size := range sizes[1:] { // the smallest shows no help
		cfg, _ := newConfig(tuitest.Healthy())
		h := tuitest.NewHarness(cfg, size[0], size[1])
		h.Press("?")
		all := h.Screen()
		for range 10 {
			h.Press("pgdown")
			all += h.Screen()
		}
		if strings.Contains(all, "…") {
			t.Errorf("at %v the help is truncated:\n%s", size, all)
		}
		if !strings.Contains(strings.Join(strings.Fields(all), " "), "The audit records every change. This is unibus test.") {
			t.Errorf("at %v the last lines of the help are missing:\n%s", size, all)
		}
	}
}
