package tui_test

import (
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/tuitest"
)

func TestRolloutSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	off := tuitest.SoftMode()
	n := off.Rollout.Nodes["n2"]
	n.Active = map[string]string{"bus-auth": "off", "bus-tls": "true", "decentralized": "true"}
	off.Rollout.Nodes["n2"] = n
	off.Rollout.Safe, off.Rollout.Verdict = false, "not known: with bus-auth off nothing is recorded on n2; run soft there first"
	differ := tuitest.SoftMode()
	n.Active = map[string]string{"bus-auth": "soft", "bus-tls": "false", "decentralized": "true"}
	differ.Rollout.Nodes["n2"] = n
	differ.Rollout.Safe, differ.Rollout.Verdict = false, "not safe: the nodes differ in bus-tls"
	fresh := tuitest.SoftMode()
	fresh.Rollout.Nodes["n3"] = admin.RolloutNode{Active: fresh.Rollout.Nodes["n1"].Active, Since: core.MillisOf(tuitest.Now.Add(-40 * 1e9))}
	longSoft := tuitest.SoftMode()
	for name, n := range longSoft.Rollout.Nodes {
		n.Since -= 24 * 3600 * 1000
		longSoft.Rollout.Nodes[name] = n
	}
	silent := tuitest.SoftMode()
	for _, n := range []string{"n1", "n2", "n3"} {
		silent.Rollout.Nodes[n] = admin.RolloutNode{Unknown: true}
	}
	silent.Rollout.Safe, silent.Rollout.Verdict = false, "not known: no answer from n1, n2, n3"
	for name, c := range map[string]struct {
		world tuitest.ClusterState
		texts []string
	}{
		"enforced":   {tuitest.Healthy(), []string{"● Enforce is active on every node", "Nodes in enforce mode record nothing"}},
		"safe":       {longSoft, []string{"● Safe to enforce:", "for a day or longer", "one after the other with --bus-auth enforce", "· soft", "None so far."}},
		"some hours": {tuitest.SoftMode(), []string{"? Nothing speaks against enforce so far", "covers only 3 h", "wait until the records cover a day", "· soft", "None so far."}},
		"fresh":      {fresh, []string{"? Nothing speaks against enforce so far", "covers only 40 s"}},
		"unsafe":     {tuitest.UnsafeToEnforce(), []string{"▲ Not safe to enforce: 46 clients would be denied on n1, n2.", "45 and more", "≠ enforce", "n1 lists the latest 5 of 45, and had no space to record 3 admissions."}},
		"silent":     {tuitest.Degraded(), []string{"? Not known whether enforce is safe: no answer from n3.", "? unknown: no answer", "n3 did not report"}},
		"all silent": {silent, []string{"Do: bring n1, n2 and n3 back: page 1 says how."}},
		"off":        {off, []string{"? Not known", "start n2 with --bus-auth soft", "not recorded", "n2 did not report"}},
		"differ":     {differ, []string{"▲ Not safe to enforce: the nodes differ in bus-tls.", "≠ false", "≠ true", "the same settings"}},
	} {
		h, _ := newHarness(t, c.world)
		h.Press("8")
		for _, x := range c.texts {
			if !strings.Contains(strings.Join(strings.Fields(h.Screen()), " "), x) {
				t.Errorf("%s: the screen does not show %q:\n%s", name, x, h.Screen())
			}
		}
	}
}

func TestRolloutCopiesTheKey(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.UnsafeToEnforce())
	key := tuitest.UnsafeToEnforce().Rollout.Nodes["n1"].WouldDeny[1].Key
	h.Press("8", "down", "y")
	assertShows(t, h, "Copied the key", key)
	h.Press("esc", "down", "down", "down", "enter")
	assertShows(t, h, "none was presented", "2001:db8::17")
}

func TestRolloutPageFollowsTheCluster(t *testing.T) {
	t.Parallel()
	term, f := startTerminal(t, tuitest.UnsafeToEnforce(), 80, 24)
	waitFor(t, term, "live from n1")
	term.Press("8")
	waitFor(t, term, "46 clients would be denied on n1, n2", "203.0.113.12")
	f.Set(tuitest.SoftMode())
	waitFor(t, term, "Nothing speaks against enforce", "None so far.")
	f.Set(tuitest.Degraded())
	term.Press("1", "8") // opening a page polls at once
	waitFor(t, term, "no answer from n3", "unknown: no answer")
	f.Set(tuitest.Healthy())
	term.Press("1", "8")
	waitFor(t, term, "Enforce is active on every node")
}
