package tui_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/core/cluster"
	"unibus/tui/tuitest"
)

// judgedFaults are all views that core/cluster judges in its tests, by their names.
func judgedFaults(t *testing.T) map[string]cluster.Judgment {
	t.Helper()
	out := map[string]cluster.Judgment{}
	for _, file := range []string{"judge.txt", "judge_routes.txt"} {
		text, err := os.ReadFile("../core/cluster/testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(text), "== ")[1:] {
			lines := strings.Split(block, "\n")
			at := strings.LastIndex(lines[0], ": ")
			j := cluster.Judgment{Verdict: cluster.Level(lines[0][at+2:]), Sentence: lines[1], Do: strings.TrimPrefix(lines[2], "Do: ")}
			if j.Do == lines[2] {
				j.Do = ""
			}
			j.Findings = findingsOf(lines[2:])
			out[lines[0][:at]] = j
		}
	}
	if len(out) < 120 {
		t.Fatalf("only %d views were read", len(out))
	}
	return out
}

func findingsOf(lines []string) (out []cluster.Finding) {
	for _, l := range lines {
		level, rest, _ := strings.Cut(strings.TrimPrefix(l, "  "), " ")
		about, text, ok := strings.Cut(rest, ": ")
		switch {
		case strings.HasPrefix(l, "    next: ") && len(out) > 0:
			out[len(out)-1].Next = strings.TrimPrefix(l, "    next: ")
		case ok && (level == string(cluster.Note) || level == string(cluster.Degraded) || level == string(cluster.Critical)):
			out = append(out, cluster.Finding{Level: cluster.Level(level), About: about, Text: text})
		}
	}
	return out
}

// showsText is true if a screen has a text, in one line or wrapped, in the page or in what is beside it.
func showsText(screen, text string) bool {
	flat := func(s string) string { return strings.Join(strings.Fields(s), "") }
	left, right := "", ""
	for _, l := range strings.Split(screen, "\n") {
		own, beside, _ := strings.Cut(l, "│")
		left, right = left+own+" ", right+beside+" "
	}
	return strings.Contains(flat(left), flat(text)) || strings.Contains(flat(right), flat(text))
}

func judgedState(j cluster.Judgment) tuitest.ClusterState {
	state := tuitest.Healthy()
	state.Status.Judgment = j
	return state
}

// TestEveryFaultIsSaidOnTheFirstScreen: of each finding that there is, verdict, consequence and next step
// are whole at 60x20 and on the overview at 80x24.
func TestEveryFaultIsSaidOnTheFirstScreen(t *testing.T) {
	t.Parallel()
	for name, j := range judgedFaults(t) {
		for _, size := range [][2]int{{60, 20}, {80, 24}} {
			cfg, _ := newConfig(judgedState(j))
			h := tuitest.NewHarness(cfg, size[0], size[1])
			for _, want := range []string{string(j.Verdict), j.Sentence, j.Do} {
				if !showsText(h.Screen(), want) {
					t.Errorf("%s: %dx%d does not say %q:\n%s", name, size[0], size[1], want, h.Screen())
				}
			}
		}
	}
}

// faultsThatMatter are faults that an operator must understand from the first screen: the words that it
// must have for the cause, for the consequence, and for the next step.
var faultsThatMatter = []struct{ fault, view, cause, consequence, step string }{
	{"leader killed", "electing", "The meta group is electing a leader", "2 are needed: this takes seconds", "Do: wait; an election takes up to ten seconds"},
	{"majority down", "majority lost", "n2 and n3 do not answer", "writes fail, and new connections are refused", "Do: start unibusd on n2 or n3"},
	{"route cut between two", "one path of three cut", "n1 and n3 do not hear each other", "Messages of users on one do not reach users on the other", "Do: check route and firewall between n1 and n3"},
	{"certificate expired", "certificate ended", "The certificate that n2 shows to clients ended", "clients that check it do not connect there", "Do: put a new one and its key in place on n2"},
	{"disk filling", "disk filling", "n2 has used 85 % of the disk", "when it is full, every write fails", "Do: free space on n2"},
	{"replica wiped", "a node began empty just now", "n2 is up to 1 204 operations behind", "until it has caught up it replaces no other replica", "Do: wait"},
	{"file removed", "files away in a cluster", "the data directory /var/lib/unibus was removed", "what n2 writes is lost when unibusd stops there", "Do: put it back"},
	{"node hung", "n3 hangs", "n3 does not answer: its process hangs", "If n1 or n2 stops as well, the meta group has 1 of 3 and needs 2", "Do: restart unibusd on n3"},
	{"soft among enforce", "enforce on two of three", "n1 listens to other machines without --bus-auth enforce", "every client that reaches the port may use the bus", "Do: start every node with --bus-auth enforce"},
	{"unknown server", "an unknown server", "ghostnode is connected as a node", "can read and write everything", "Do: stop that server, and revoke the certificate"},
}

func TestFirstScreenNamesCauseConsequenceAndStep(t *testing.T) {
	t.Parallel()
	judged := judgedFaults(t)
	for _, f := range faultsThatMatter {
		j, ok := judged[f.view]
		if !ok {
			t.Fatalf("%s: there is no view %q", f.fault, f.view)
		}
		for _, size := range [][2]int{{60, 20}, {80, 24}} {
			t.Run(fmt.Sprintf("%s %dx%d", f.fault, size[0], size[1]), func(t *testing.T) {
				t.Parallel()
				cfg, _ := newConfig(judgedState(j))
				h := tuitest.NewHarness(cfg, size[0], size[1])
				for _, want := range []string{string(j.Verdict), f.cause, f.consequence, f.step} {
					if !showsText(h.Screen(), want) {
						t.Errorf("the screen does not say %q:\n%s", want, h.Screen())
					}
				}
			})
		}
	}
}

// TestEveryScreenSaysWhatIsWrong: on every page, in every window and every state, the head has the verdict;
// the page names the fault and the next step; and the foot has a key.
func TestEveryScreenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	judged := judgedFaults(t)
	for _, name := range longestFaults(judged, 20) {
		j := judged[name]
		cfg, _ := newConfig(judgedState(j))
		h := tuitest.NewHarness(cfg, 80, 24)
		for _, keys := range [][]string{{"2"}, {"3"}, {"3", "enter"}, {"4"}, {"4", "enter"}, {"5"}, {"6"}, {"7"}, {"8"}, {"9"}, {"9", "?"}} {
			h.Press("esc", "esc")
			h.Press(keys...)
			lintScreen(t, fmt.Sprint(name, keys), h.Screen(), j)
		}
	}
	for _, size := range sizes[1:] {
		for _, p := range goldenScreens {
			state := p.world()
			cfg, _ := newConfig(state)
			h := tuitest.NewHarness(cfg, size[0], size[1])
			h.Press(p.keys...)
			if len(state.Attempts) > 0 || strings.Contains(h.Screen(), "┌─") { // nothing is known yet, or a dialog is above the page
				continue
			}
			lintScreen(t, fmt.Sprintf("%s at %dx%d", p.name, size[0], size[1]), h.Screen(), state.Status.Judgment)
		}
	}
}

// longestFaults are the names of the n views that have the most to say: those that could be cut.
func longestFaults(judged map[string]cluster.Judgment, n int) []string {
	length := func(name string) int {
		j := judged[name]
		if j.Verdict == cluster.Healthy {
			return 0
		}
		return len(j.Sentence) + len(j.Do)
	}
	names := slices.SortedFunc(maps.Keys(judged), func(a, b string) int { return cmp.Or(length(b)-length(a), strings.Compare(a, b)) })
	return names[:n]
}

func lintScreen(t *testing.T, name, screen string, j cluster.Judgment) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(screen, "\n"), "\n")
	if !strings.Contains(lines[0], string(j.Verdict)) {
		t.Errorf("%s: the head does not say %s:\n%s", name, j.Verdict, screen)
	}
	foot := lines[len(lines)-1]
	if !strings.Contains(foot, "esc ") && !strings.Contains(foot, "? help") && !strings.Contains(screen, "\n :") { // : is the prompt

		t.Errorf("%s: the foot has no key:\n%s", name, screen)
	}
	if j.Verdict == cluster.Healthy {
		return
	}
	cause, _, _ := strings.Cut(j.Sentence, ". ")
	if !showsText(screen, cause) || j.Do != "" && !showsText(screen, "Do: "+j.Do) {
		t.Errorf("%s: the screen does not say %q and %q:\n%s", name, cause, j.Do, screen)
	}
}

// TestSmallWindowSaysTheVerdictEverywhere: also where a page, a guide or a dialog is open behind it.
func TestSmallWindowSaysTheVerdictEverywhere(t *testing.T) {
	t.Parallel()
	for _, p := range goldenScreens {
		state := p.world()
		cfg, _ := newConfig(state)
		h := tuitest.NewHarness(cfg, 80, 24)
		h.Press(p.keys...)
		h.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
		if len(state.Attempts) > 0 {
			assertShows(t, h, "No node has answered yet", "connection refused", "Do: check the address")
			continue
		}
		for _, want := range []string{string(state.Status.Verdict), state.Status.Sentence, state.Status.Do} {
			if !showsText(h.Screen(), want) {
				t.Errorf("%s does not say %q:\n%s", p.name, want, h.Screen())
			}
		}
	}
}
