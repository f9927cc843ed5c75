package cluster

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

// step is a View that holds from a second on.
type step struct {
	at   int
	view View
}

// play has a tracker observe each second of a story, and returns the Incidents as they were last.
func play(steps []step, seconds int) []Incident {
	t, byID, old := &IncidentTracker{}, map[string]Incident{}, View{}
	for s := range seconds + 1 {
		now := core.MillisOf(noon.Add(time.Duration(s) * time.Second))
		next := old
		for _, st := range steps {
			if st.at == s {
				next = st.view
			}
		}
		next.At = now
		changed, _ := t.Observe(Observation{At: now, View: next, Judgment: Judge(next, now.Time()), Events: Diff(old, next)})
		for _, i := range changed {
			byID[i.ID] = i.Incident
		}
		old = next
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b Incident) int { return strings.Compare(a.ID, b.ID) })
}

// fine is a healthy cluster of three with its internal buckets.
func fine() View { return withInternal(healthy(3, 3), 3) }

// silent is lose, and the nodes were heard three seconds ago.
func silent(v View, names ...string) View {
	lost := lose(v, names...)
	for i := range lost.Nodes {
		if !lost.Nodes[i].Online {
			lost.Nodes[i].HeardMS = 3000
		}
	}
	return lost
}

// leads has a node lead every group that has no leader.
func leads(v View, name string) View {
	for _, buckets := range [][]Bucket{v.Buckets, v.InternalBuckets} {
		for i := range buckets {
			if buckets[i].Leader == "" {
				buckets[i].Leader = name
			}
		}
	}
	if v.Meta.Leader == "" {
		v.Meta.Leader, v.Meta.Leaders = name, []string{name}
	}
	return v
}

func lagging(v View, node string) View {
	for _, buckets := range [][]Bucket{v.Buckets, v.InternalBuckets} {
		for i := range buckets {
			for j := range buckets[i].Replicas {
				if buckets[i].Replicas[j].Node == node {
					buckets[i].Replicas[j] = Replica{node, ReplicaBehind, 5000}
				}
			}
		}
	}
	return v
}

// flapping loses n3 for a few seconds each half a minute.
func flapping(minutes int) []step {
	steps := []step{{0, fine()}}
	for m := range 2 * minutes {
		steps = append(steps, step{10 + 30*m, silent(fine(), "n3")}, step{14 + 30*m, fine()})
	}
	return steps
}

func TestJudgedIncidents(t *testing.T) {
	t.Parallel()
	filling := func() View { return with(fine(), func(v *View) { v.Nodes[1].Disk = 36 << 30 }) }
	electing := func() View {
		return with(fine(), func(v *View) { v.Buckets[0].Leader, v.Buckets[0].Since = "", ago(-10*time.Second) })
	}
	var got strings.Builder
	for _, c := range []struct {
		name    string
		steps   []step
		seconds int
	}{
		{"nothing happens", []step{{0, fine()}}, 60},
		{"a node is lost, and comes back: its replicas and the elections are part of it", []step{{0, fine()}, {10, silent(fine(), "n3")}, {14, leads(silent(fine(), "n3"), "n2")}, {20, leads(lagging(fine(), "n3"), "n2")}, {23, fine()}}, 60},
		{"a node is lost for good", []step{{0, fine()}, {10, leads(silent(fine(), "n3"), "n2")}}, 60},
		{"the groups notice before the node counts as lost", []step{{0, fine()}, {10, electing()}, {13, silent(fine(), "n1")}, {18, leads(silent(fine(), "n1"), "n2")}, {30, fine()}}, 60},
		{"two nodes are lost at once: no majority", []step{{0, fine()}, {10, silent(fine(), "n2", "n3")}, {40, fine()}}, 60},
		{"a second node is lost a minute later", []step{{0, fine()}, {10, leads(silent(fine(), "n3"), "n2")}, {70, silent(fine(), "n2", "n3")}, {90, leads(silent(fine(), "n3"), "n2")}}, 120},
		{"a disk fills while a node is lost: two causes", []step{{0, fine()}, {10, leads(silent(fine(), "n3"), "n1")}, {20, leads(silent(filling(), "n3"), "n1")}, {40, filling()}}, 90},
		{"a bucket elects a leader", []step{{0, fine()}, {10, electing()}, {12, fine()}}, 60},
		{"a node is stopped in maintenance", []step{{0, drained(fine(), "n3")}, {10, leads(drained(silent(fine(), "n3"), "n3"), "n2")}}, 60},
		{"the start of a cluster that becomes healthy", []step{{0, silent(fine(), "n2", "n3")}, {8, fine()}}, 60},
		{"the start of a node while another is lost", []step{{0, leads(silent(fine(), "n3"), "n2")}, {40, fine()}}, 60},
		{"a node flaps for an hour", flapping(60), 3600},
	} {
		fmt.Fprintf(&got, "%s\n", c.name)
		for _, i := range play(c.steps, c.seconds) {
			fmt.Fprintf(&got, "  %s %s\n    %s %v, begins %s", i.Level, i.Sentence(), i.Cause, i.Subjects, i.Begin.Time().Format(time.TimeOnly))
			if i.End != 0 {
				fmt.Fprintf(&got, ", ends %s", i.End.Time().Format(time.TimeOnly))
			}
			fmt.Fprintf(&got, "\n    %d lines", len(i.Lines))
			if i.LeftOut > 0 {
				fmt.Fprintf(&got, ", %d left out", i.LeftOut)
			}
			fmt.Fprintln(&got)
			for n, e := range i.Lines {
				if n < 30 && i.LeftOut == 0 {
					fmt.Fprintf(&got, "      %s %s %s %s\n", e.At.Time().Format(time.TimeOnly), e.Level, e.About, e.Text)
				}
			}
		}
	}
	golden := filepath.Join("testdata", "incidents.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestIncidentIsTakenUp: the tracker of another node goes on with an Incident that was recorded, and ends it.
func TestIncidentIsTakenUp(t *testing.T) {
	t.Parallel()
	lost := leads(silent(fine(), "n3"), "n2")
	recorded := play([]step{{0, fine()}, {10, lost}}, 20)[0]
	at := func(s int) core.Millis { return core.MillisOf(noon.Add(time.Duration(s) * time.Second)) }
	for _, c := range []struct {
		name   string
		before View // what the second node sees before it takes over
	}{{"it saw the same", lost}, {"it was started after the end", fine()}} {
		tracker, old := &IncidentTracker{}, View{}
		var last []IncidentChange
		observe := func(s int, v View) {
			v.At = at(s)
			if changed, _ := tracker.Observe(Observation{At: at(s), View: v, Judgment: Judge(v, at(s).Time()), Events: Diff(old, v)}); len(changed) > 0 {
				last = changed
			}
			old = v
		}
		observe(9, fine())
		for s := 11; s < 20; s++ {
			observe(s, with(c.before, func(v *View) { v.From = "n2" }))
		}
		tracker.Adopt(recorded, at(20))
		for s := 21; s < 40; s++ {
			observe(s, fine())
		}
		if len(last) != 1 || last[0].ID != recorded.ID || last[0].Begin != recorded.Begin || last[0].End == 0 || len(tracker.Open()) != 0 {
			t.Errorf("%s: %+v, not the end of %s", c.name, last, recorded.ID)
		}
		for i, e := range last[0].Lines {
			if slices.ContainsFunc(last[0].Lines[i+1:], e.IsSameAs) {
				t.Errorf("%s: twice: %+v", c.name, e)
			}
		}
	}
}

// TestVerdictTracker: a worse verdict counts at once, a better one once it has held; one that
// flaps changes a few times alone.
func TestVerdictTracker(t *testing.T) {
	t.Parallel()
	story := func(seconds int, verdict func(s int) Level) (out []string) {
		tracker := &VerdictTracker{}
		for s := range seconds {
			at := core.MillisOf(noon.Add(time.Duration(s) * time.Second))
			c, changed := tracker.Observe(Observation{At: at, View: View{At: at}, Judgment: Judgment{Verdict: verdict(s)}})
			if changed {
				out = append(out, fmt.Sprintf("%d %s→%s", s, c.From, c.To))
			}
		}
		return out
	}
	between := func(from, to int) func(int) Level {
		return func(s int) Level {
			if s >= from && s < to {
				return Degraded
			}
			return Healthy
		}
	}
	for _, c := range []struct {
		name string
		got  []string
		want []string
	}{
		{"a fault", story(60, between(10, 20)), []string{"0 →healthy", "10 healthy→degraded", "25 degraded→healthy"}},
		{"degraded while it starts", story(60, between(0, 10)), []string{"10 →healthy"}},
		{"degraded from the start", story(60, between(0, 30)), []string{"15 →degraded", "35 degraded→healthy"}},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
	if got := story(3600, func(s int) Level { return between(0, 4)(s % 30) }); len(got) > 12 {
		t.Errorf("a verdict that flaps for an hour changed %d times: %v", len(got), got)
	}
}
