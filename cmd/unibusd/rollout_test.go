package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

// printed is what print writes as the output of a command.
func printed(print func(c *cobra.Command)) string {
	var out bytes.Buffer
	c := &cobra.Command{}
	c.SetOut(&out)
	print(c)
	return out.String()
}

// TestRolloutSaysWhatIsRecorded: only a node in soft records. A 0 of another one would read as "nobody would be
// denied there".
func TestRolloutSaysWhatIsRecorded(t *testing.T) {
	t.Parallel()
	node := func(mode core.BusAuth, overflow int, denied ...admin.Denied) admin.RolloutNode {
		return admin.RolloutNode{Active: map[string]string{admin.FlagBusAuth: string(mode)}, Since: 1_700_000_000_000, WouldDeny: denied, Overflow: overflow}
	}
	text := printed(func(c *cobra.Command) {
		rolloutText(c, admin.Rollout{Verdict: "v", Nodes: map[string]admin.RolloutNode{
			"n1": node(core.BusAuthOff, 0), "n2": node(core.BusAuthSoft, 0), "n3": node(core.BusAuthEnforce, 0),
			"n4": node(core.BusAuthSoft, 0, admin.Denied{Key: "U1"}), "n5": node(core.BusAuthSoft, 3, admin.Denied{Key: "U1"}), "n6": {Unknown: true},
		}})
	})
	for _, want := range []string{
		"n1 off – not recorded", "n2 soft 2023-11-14 22:13:20 0", "n3 enforce – –", "n4 soft 2023-11-14 22:13:20 1", "n5 soft 2023-11-14 22:13:20 1 and more",
		"n6 no answer – –",
	} {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.Join(strings.Fields(line), " ") == want
		}
		if !found {
			t.Errorf("no line %q in:\n%s", want, text)
		}
	}
}

// TestSingleNodeHasNoMetaGroup: a node alone has none that could have members.
func TestSingleNodeHasNoMetaGroup(t *testing.T) {
	t.Parallel()
	st := admin.Status{View: cluster.View{Nodes: []cluster.Node{{Name: "n1", Online: true}}}}
	if got := printed(func(c *cobra.Command) { nodesText(c, st) }); strings.Contains(got, "The meta group") {
		t.Errorf("a single node:\n%s", got)
	}
	st.Clustered, st.Meta.Size, st.Meta.Needed = true, 3, 2
	if got := printed(func(c *cobra.Command) { nodesText(c, st) }); !strings.Contains(got, "The meta group has 3 members, and needs 2 of them.") {
		t.Errorf("a cluster:\n%s", got)
	}
}

// TestVerdictSaysSinceWhen: nodes that have recorded for some seconds have seen few
// clients, so the verdict says from when on it holds, by the shortest record.
func TestVerdictSaysSinceWhen(t *testing.T) {
	t.Parallel()
	at := func(hour int) core.Millis { return core.MillisOf(time.Date(2026, 11, 28, hour, 1, 11, 0, time.UTC)) }
	mode := func(m core.BusAuth) map[string]string { return map[string]string{admin.FlagBusAuth: string(m)} }
	r := admin.Rollout{Safe: true, Verdict: admin.SafeToEnforce, Nodes: map[string]admin.RolloutNode{
		"n1": {Active: mode(core.BusAuthSoft), Since: at(11)}, "n2": {Active: mode(core.BusAuthSoft), Since: at(9)}, "n3": {Active: mode(core.BusAuthEnforce), Since: at(12)},
	}}
	text := func() string { return printed(func(c *cobra.Command) { rolloutText(c, r) }) }
	if got := text(); !strings.HasPrefix(got, "safe to enforce for the clients that connected since 2026-11-28 11:01:11 UTC; ") {
		t.Error(got)
	}
	r.Safe, r.Verdict = false, "not safe: 1 client would be denied on n1"
	if got := text(); !strings.HasPrefix(got, "not safe: 1 client would be denied on n1\n") {
		t.Error(got)
	}
}
