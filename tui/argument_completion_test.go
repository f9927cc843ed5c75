package tui_test

import (
	"strings"
	"testing"

	"unibus/tui"
	"unibus/tui/tuitest"
)

// TestArgumentsComeFromTheNode: all users and rooms, from a page that shows none of them.
func TestArgumentsComeFromTheNode(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string][]string{
		"user revoke ana-0":     {"user revoke ana-00", "user revoke hana-09", "active"},
		"user revoke tove-09":   {"user revoke tove-09"}, // the last of 200
		"user activate emeka-0": {"user activate emeka-00", "revoked", "not now: "},
		"room rekey room-4":     {"room rekey room-41", "goran's lab"},
		"user revoke ":          {"180 more: another letter narrows them"},
		"user revoke zzz":       {},
	} {
		h, f := newHarness(t, tuitest.Healthy())
		h.Press(":", typed)
		asked := strings.Join(suggested(h), "\n")
		if !strings.Contains(asked, "the nodes are asked") {
			t.Errorf("%q: before the answer: %q", typed, asked)
		}
		h.Settle()
		got := strings.Join(suggested(h), "\n")
		h.Press("up", "up") // the last of more than fit
		h.Press("down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down")
		got += strings.Join(suggested(h), "\n")
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%q: no %q in %s", typed, w, got)
			}
		}
		if len(want) == 0 && strings.TrimSpace(got) != "" {
			t.Errorf("%q: %s", typed, got)
		}
		assertCalls(t, f)
	}
}

// TestCompletedNameOpensTheQuestion from any page.
func TestCompletedNameOpensTheQuestion(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("2", ":", "user revoke tove-0")
	h.Settle()
	h.Press("9")
	h.Settle()
	h.Press("tab", "enter")
	h.Settle()
	assertShows(t, h, "Revoke tove-09?")
}

// TestNamesThatTwoUsersHaveAreCompletedByTheirIDs, and those that no keyboard can type.
func TestNamesThatTwoUsersHaveAreCompletedByTheirIDs(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Users[0].Name, state.Users[1].Name = new("same"), new("Same")
	h, _ := newHarness(t, state)
	h.Press(":", "user revoke same")
	h.Settle()
	got := strings.Join(suggested(h), "\n")
	if !strings.Contains(got, "user revoke "+string(state.Users[0].ID)[:30]) || !strings.Contains(got, "user revoke "+string(state.Users[1].ID)[:30]) {
		t.Errorf("suggested: %s", got)
	}
}

// TestFastTypingAsksOnce while an answer is on the way, and then for what is typed by then.
func TestFastTypingAsksOnce(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	before := len(f.UserRequests())
	h.Press(":", "user revoke tove-09")
	h.Settle()
	var filters []string
	for _, r := range f.UserRequests()[before:] {
		filters = append(filters, r.Filter)
	}
	if got := strings.Join(filters, "|"); got != "|tove-09" {
		t.Errorf("asked for %q", got)
	}
}

// TestUnreadableArgumentsAreNoEmptyList: the node's reason is where they would be.
func TestUnreadableArgumentsAreNoEmptyList(t *testing.T) {
	t.Parallel()
	c := &partlyFailing{FakeClient: tuitest.NewFakeClient(tuitest.Healthy())}
	c.fails.Store(true)
	h, _ := newHarness(t, tuitest.Healthy(), func(cfg *tui.Config) { cfg.Client = c })
	h.Press(":", "user revoke a")
	h.Settle()
	if got := strings.Join(suggested(h), "\n"); !strings.Contains(got, "could not be read: the bucket users has no leader") {
		t.Errorf("suggested: %q", got)
	}
}

// TestNameThatBeginsAsTypedIsTheFirst: the letters of another may be in an nkey. Tab must not take that one.
func TestNameThatBeginsAsTypedIsTheFirst(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Users[0].Name, state.Users[1].Name = new("Olga A"), new("Olga U")
	h, _ := newHarness(t, state)
	h.Press(":", "user revoke olga u") // there is a U in every nkey
	h.Settle()
	if got := suggested(h); len(got) < 2 || !strings.Contains(got[0], "Olga U") {
		t.Errorf("suggested: %q", got)
	}
	h.Press("tab", "enter")
	h.Settle()
	assertShows(t, h, "Revoke Olga U?")
}
