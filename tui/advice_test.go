package tui_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"unibus/core/cluster"
	"unibus/tui/tuitest"
)

// judged are the findings of core/cluster's golden files: everything that the judge says.
func judged(t *testing.T) []cluster.Finding {
	t.Helper()
	var text []byte
	for _, name := range []string{"judge.txt", "judge_routes.txt"} {
		golden, err := os.ReadFile(filepath.Join("..", "core", "cluster", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, golden...)
	}
	var out []cluster.Finding
	for line := range strings.Lines(string(text)) {
		if m := regexp.MustCompile(`^  (note|degraded|critical) ([a-z][^ ]*): (.*)`).FindStringSubmatch(line); m != nil {
			out = append(out, cluster.Finding{Level: cluster.Level(m[1]), About: m[2], Text: m[3]})
		}
		if next, ok := strings.CutPrefix(line, "    next: "); ok {
			out[len(out)-1].Next = strings.TrimSpace(next)
		}
	}
	out = slices.Compact(out)
	if len(out) < 100 {
		t.Fatalf("there are %d findings: the search is wrong", len(out))
	}
	return out
}

// words are those of a screen, without frames, breaks of lines and the digits' groups.
func words(screen string) string {
	return strings.Join(strings.Fields(regexp.MustCompile(`[│┃|]`).ReplaceAllString(screen, " ")), "")
}

// TestEveryFindingFits: each finding is shown whole with its next step, in a window too
// small for the pages as the verdict, and in the least window of the pages as the only one of the list.
func TestEveryFindingFits(t *testing.T) {
	t.Parallel()
	for _, f := range judged(t) {
		state := tuitest.Healthy()
		state.Status.Findings = []cluster.Finding{f}
		state.Status.Verdict, state.Status.Sentence, state.Status.Do = f.Level, f.Text, f.Next
		cfg, _ := newConfig(state)
		small := tuitest.NewHarness(cfg, 60, 20).Screen()
		list := tuitest.NewHarness(cfg, 80, 24)
		list.Press("f")
		for name, screen := range map[string]string{"60x20": small, "80x24": list.Screen()} {
			for _, part := range []string{f.Text, f.Next} {
				if !strings.Contains(words(screen), strings.ReplaceAll(part, " ", "")) {
					t.Errorf("%s does not show %q:\n%s", name, part, screen)
				}
			}
		}
	}
}

// TestPagesOfAdviceExist: a next step that names a page names one of the console, by its number.
func TestPagesOfAdviceExist(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`[Pp]age ([0-9]+)`)
	steps := []string{"page 6 of the console"}
	for _, f := range judged(t) {
		steps = append(steps, f.Next)
	}
	for _, step := range steps {
		for _, m := range named.FindAllStringSubmatch(step, -1) {
			h, _ := newHarness(t, tuitest.OnSQLite())
			h.Press(m[1])
			if m[1] != "6" || !strings.Contains(h.Screen(), "b start") {
				t.Errorf("%q names the page %s:\n%s", step, m[1], h.Screen())
			}
		}
	}
}
