package events

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/logtest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// testBus is a server with JetStream.
func testBus(t *testing.T) *natsserver.Server {
	t.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{ServerName: "s", Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s
}

// testNode is a Log whose observations a test makes, without a goroutine.
type testNode struct {
	*Log
	t    *testing.T
	name string
	old  cluster.View
	now  core.Millis
	told []string
	log  *logtest.Buffer
}

func newNode(t *testing.T, s *natsserver.Server, name string) *testNode {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	n := &testNode{t: t, name: name, log: &logtest.Buffer{}}
	n.Log = New(Config{
		Conn: nc, Replicas: 1, Node: name, Now: func() core.Millis { return n.now }, Logger: slog.New(slog.NewTextHandler(n.log, nil)),
		Tell: func(c cluster.VerdictChange, _ []cluster.Incident) {
			n.told = append(n.told, fmt.Sprintf("%s→%s", c.From, c.To))
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n.prepareStream(ctx)
	return n
}

// world is what both nodes see.
type world struct {
	leader string // of the stream; "": none
	lost   []string
	notes  []string
}

// see has a node observe a world at a second.
func (n *testNode) see(second int, w world) {
	n.t.Helper()
	n.now = core.MillisOf(noon.Add(time.Duration(second) * time.Second))
	v := cluster.View{
		Cluster: "demo", At: n.now, From: n.name, Clustered: true, Expected: 3,
		Meta:            cluster.Meta{Leader: "n1", Leaders: []string{"n1"}, Size: 3, Online: 3 - len(w.lost), Needed: 2},
		InternalBuckets: []cluster.Bucket{{Name: Stream, Wanted: 3, Leader: w.leader, Since: core.MillisOf(noon)}},
		Serving:         cluster.Serving{Backend: core.BackendSQLite},
		Authority:       &core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 1},
	}
	if n.w.stream != nil && w.leader != "" {
		info, err := n.w.stream.api.StreamInfoUntil(n.t.Context(), Stream)
		if err != nil {
			n.t.Fatal(err)
		}
		v.InternalBuckets[0].LastSeq = info.State.LastSeq
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		lost := slices.Contains(w.lost, name)
		i := &cluster.Info{
			Name: name, BusAuth: core.BusAuthEnforce, TLS: true, Loopback: true, SyncWrites: true, Journal: v.Authority, Serving: v.Serving,
		}
		v.Nodes = append(v.Nodes, cluster.Node{Name: name, Online: !lost, HeardMS: map[bool]int64{true: 3000}[lost], ID: "ID" + name, Info: i})
		state := cluster.ReplicaCurrent
		if lost {
			state = cluster.ReplicaOffline
		}
		v.InternalBuckets[0].Replicas = append(v.InternalBuckets[0].Replicas, cluster.Replica{Node: name, State: state})
	}
	events := cluster.Diff(n.old, v)
	for _, note := range w.notes {
		events = append(events, cluster.Event{At: n.now, Level: cluster.Note, About: "ana", Text: note})
	}
	n.old = v
	n.w.observe(n.t.Context(), inboxContent{Observation: cluster.Observation{At: n.now, View: v, Judgment: cluster.Judge(v, n.now.Time()), Events: events}})
}

// shown is the history as a node shows it, oldest first.
func (n *testNode) shown() []string {
	var all []Entry
	for q := (Query{}); ; {
		p := n.Page(q)
		all = append(all, p.Entries...)
		if q.Before = p.Next; p.Next == 0 {
			break
		}
	}
	var out []string
	for _, e := range slices.Backward(all) {
		text := ""
		switch {
		case e.Incident != nil:
			text = e.Incident.Sentence()
		case e.Dropped != nil:
			text = fmt.Sprintf("dropped %d lines, %d incidents", e.Dropped.Lines, e.Dropped.Incidents)
		default:
			text = e.Event.About + " " + e.Event.Text
			if e.Event.About == cluster.AboutVerdict {
				text, _, _ = strings.Cut(text, ":")
			}
		}
		if e.Unrecorded {
			text += " (unrecorded)"
		}
		out = append(out, text)
	}
	return out
}

// count is how many of the shown lines contain a text.
func (n *testNode) count(part string) int {
	return len(slices.DeleteFunc(n.shown(), func(s string) bool { return !strings.Contains(s, part) }))
}

// TestTwoWriters: two nodes that both think that they lead write everything once, and tell
// webhooks once.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	s := testBus(t)
	a, b := newNode(t, s, "n1"), newNode(t, s, "n2")
	for second := range 90 {
		w := world{}
		if second >= 20 && second < 30 {
			w.lost = []string{"n3"}
		}
		if second == 40 {
			w.notes = []string{"added user U1"}
		}
		w.leader = "n1"
		a.see(second, w)
		w.leader = "n2"
		b.see(second, w)
	}
	for _, n := range []*testNode{a, b} {
		for part, want := range map[string]int{
			"n3 lost 12:00:17 UTC: 1 replica, healed in 13 s": 1, "lost": 1, "ana added user U1": 1, "verdict is degraded": 1, "verdict is healthy, was degraded": 1, "unrecorded": 0,
		} {
			if got := n.count(part); got != want {
				t.Errorf("%s has %q %d times, want %d: %q", n.name, part, got, want, n.shown())
			}
		}
		for part, want := range map[string]int{"incident begins: n3 lost 12:00:17 UTC": 1, "incident ends: n3 lost 12:00:17 UTC: 1 replica, healed in 13 s": 1, "the verdict is degraded": 1, "the verdict is healthy": 2} {
			if got := strings.Count(n.log.String(), part); got != want {
				t.Errorf("the log of %s says %q %d times, want %d: %s", n.name, part, got, want, n.log)
			}
		}
	}
	if told := slices.Concat(a.told, b.told); len(told) != 2 {
		t.Errorf("webhooks were told %v and %v", a.told, b.told)
	}
}

// TestCauseThatIsFoundLater: the log says it once where an incident turns out to be a lost node.
func TestCauseThatIsFoundLater(t *testing.T) {
	t.Parallel()
	n := newNode(t, testBus(t), "n1")
	i := cluster.Incident{ID: "1", Subjects: []string{"meta"}, Lost: []string{}, Cause: "The meta group is electing a leader.", Begin: 1000, Times: 1}
	lost := i.Clone()
	lost.Subjects, lost.Lost, lost.Cause = []string{"node.n3"}, []string{"n3"}, "n3 does not answer."
	over := lost.Clone()
	over.End = 9000
	for _, c := range []cluster.IncidentChange{{Incident: i, Began: true}, {Incident: i}, {Incident: lost}, {Incident: lost}, {Incident: over}} {
		n.w.logIncident(c)
	}
	for part, want := range map[string]int{
		"incident begins: The meta group is electing a leader": 1, "incident goes on: n3 lost 00:00:01 UTC": 1, "incident ends: n3 lost": 1, "incident ": 3,
	} {
		if got := strings.Count(n.log.String(), part); got != want {
			t.Errorf("the log says %q %d times, want %d: %s", part, got, want, n.log)
		}
	}
}

// TestStaleWriterWritesNothing: a node that has not read another one's latest record is refused, and its
// own record is there once.
func TestStaleWriterWritesNothing(t *testing.T) {
	t.Parallel()
	s := testBus(t)
	a, b := newNode(t, s, "n1"), newNode(t, s, "n2")
	for second := range 5 {
		a.see(second, world{leader: "n1"})
		b.see(second, world{leader: "n2"})
	}
	line := cluster.Event{At: a.now, Level: cluster.Note, About: "ana", Text: "added user U1"}
	for _, n := range []*testNode{a, b} {
		n.w.pending.addLines(line)
		if err := n.w.write(t.Context(), n.now, true); err != nil {
			t.Fatal(err)
		}
	}
	a.see(6, world{leader: "n1"})
	b.see(6, world{leader: "n2"})
	for _, n := range []*testNode{a, b} {
		if n.count("added user") != 1 || n.count("unrecorded") != 0 {
			t.Errorf("%s: %q", n.name, n.shown())
		}
	}
}

// TestIncidentOfAnotherWriter: the writer stops while an incident is open. The next one ends it.
func TestIncidentOfAnotherWriter(t *testing.T) {
	t.Parallel()
	for _, restarted := range []bool{false, true} {
		s := testBus(t)
		a, b := newNode(t, s, "n1"), newNode(t, s, "n2")
		for second := range 60 {
			w := world{leader: "n1"}
			if second >= 20 && second < 40 {
				w.lost = []string{"n3"}
			}
			if second >= 26 {
				w.leader = "n2"
			} else {
				a.see(second, w)
			}
			if second == 32 && restarted {
				b = newNode(t, s, "n2")
			}
			b.see(second, w)
		}
		if b.count("n3 lost 12:00:17 UTC: 1 replica, 1 election, healed in 23 s") != 1 || b.count("lost") != 1 || b.count("unrecorded") != 0 {
			t.Errorf("restarted %v: %q", restarted, b.shown())
		}
		if told := slices.Concat(a.told, b.told); !slices.Equal(told, []string{"healthy→degraded", "degraded→healthy"}) {
			t.Errorf("restarted %v: webhooks were told %v", restarted, told)
		}
	}
}

// TestWithoutQuorum: while the stream has no leader, events are shown as far as the node knows, and
// recorded afterward by whichever node leads. The first node by name tells webhooks.
func TestWithoutQuorum(t *testing.T) {
	t.Parallel()
	for _, leader := range []string{"n1", "n2"} {
		s := testBus(t)
		a := newNode(t, s, "n1")
		for second := range 70 {
			w := world{leader: "n1"}
			if second >= 20 && second < 60 {
				w.leader, w.lost = "", []string{"n2", "n3"}
			}
			if second == 30 {
				w.notes = []string{"stepped in"}
			}
			if second == 50 {
				p := a.Page(Query{})
				if !strings.Contains(p.Note, "no records since 2026-11-22T12:00:20Z") || a.count("n2 and n3 lost 12:00:17 UTC: 2 replicas, not over yet (unrecorded)") != 1 || a.count("ana stepped in (unrecorded)") != 1 {
					t.Errorf("without a quorum: %q %q", p.Note, a.shown())
				}
				if !slices.Equal(a.told, []string{"healthy→critical"}) {
					t.Errorf("without a quorum webhooks were told %v", a.told)
				}
			}
			if second >= 60 {
				w.leader = leader
			}
			a.see(second, w)
		}
		// The leader was started with the quorum, and has not seen what happened.
		b := newNode(t, s, "n2")
		for second := 70; second < 160; second++ {
			a.see(second, world{leader: leader})
			b.see(second, world{leader: leader})
		}
		for _, n := range []*testNode{a, b} {
			for part, want := range map[string]int{"n2 and n3 lost 12:00:17 UTC: 2 replicas, 1 election, healed in 43 s": 1, "lost": 1, "ana stepped in": 1, "verdict is critical": 1, "verdict is healthy, was critical": 1, "unrecorded": 0} {
				if got := n.count(part); got != want {
					t.Errorf("%s leads, %s has %q %d times, want %d: %q", leader, n.name, part, got, want, n.shown())
				}
			}
			if note := n.Page(Query{}).Note; note != "" {
				t.Errorf("%s says %q", n.name, note)
			}
		}
		if told := slices.Concat(a.told, b.told); !slices.Equal(told, []string{"healthy→critical", "critical→healthy"}) {
			t.Errorf("%s leads: webhooks were told %v", leader, told)
		}
	}
}

// TestDroppedIsSaid: events that no longer fit into memory are counted in the stream.
func TestDroppedIsSaid(t *testing.T) {
	t.Parallel()
	a := newNode(t, testBus(t), "n1")
	a.see(0, world{leader: "n1"})
	for second := 1; second < 61; second++ {
		w := world{}
		for i := range 20 {
			w.notes = append(w.notes, fmt.Sprintf("did %d", 20*second+i))
		}
		a.see(second, w)
	}
	for second := 61; second < 80; second++ {
		a.see(second, world{leader: "n1"})
	}
	if a.count("dropped 101 lines, 0 incidents") != 1 || a.count("ana did") != 1100 || a.count("ana did 1219") != 1 || a.count("unrecorded") != 0 {
		shown := a.shown()
		t.Errorf("%d lines: %q … %q", a.count("ana did"), shown[:3], slices.DeleteFunc(shown, func(s string) bool { return strings.HasPrefix(s, "ana") }))
	}
}

// TestAloneInMemory: a node alone has no stream, and says so.
func TestAloneInMemory(t *testing.T) {
	t.Parallel()
	n := &testNode{t: t, name: "n1"}
	n.Log = New(Config{Node: "n1", Now: func() core.Millis { return n.now }})
	n.see(0, world{})
	n.see(1, world{notes: []string{"added user U1"}})
	for second := 2; second < 12; second++ {
		n.see(second, world{})
	}
	if p := n.Page(Query{}); n.count("ana added user U1") != 1 || n.count("unrecorded") != 0 || !strings.Contains(p.Note, "n1 runs alone") {
		t.Errorf("%q %q", p.Note, n.shown())
	}
	if err := n.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPages: pages go back without a gap, follow goes on, and a changed incident comes again.
func TestPages(t *testing.T) {
	t.Parallel()
	m := &memory{}
	for seq := range uint64(30) {
		m.add(seq+1, record{Node: "n1", Events: []cluster.Event{{At: core.Millis(1000 + seq), About: "x", Text: fmt.Sprint(seq)}, {At: core.Millis(1000 + seq), About: "y", Text: fmt.Sprint(seq)}}})
	}
	open := cluster.Incident{ID: "i", Begin: 1005}
	m.add(31, record{Node: "n1", Incidents: []cluster.Incident{open}})
	m.set([]Entry{{At: 5000, Unrecorded: true, Event: &cluster.Event{About: "z"}}}, 1, "")
	for _, limit := range []int{1, 2, 7, 500} {
		got, q := 0, Query{Limit: limit}
		for range 100 {
			p := m.page(q)
			got += len(p.Entries)
			if q.Before = p.Next; p.Next == 0 {
				break
			}
		}
		if got != 62 {
			t.Errorf("pages of %d have %d entries, want 62", limit, got)
		}
	}
	last := m.page(Query{Limit: 1}).Last
	if p := m.page(Query{After: last}); len(p.Entries) != 1 || !p.Entries[0].Unrecorded {
		t.Errorf("nothing is new: %+v", p)
	}
	open.End = 6000
	m.add(32, record{Node: "n2", Incidents: []cluster.Incident{open}})
	if p := m.page(Query{After: last}); len(p.Entries) != 2 || p.Entries[0].Incident == nil || p.Entries[0].Incident.End != 6000 || p.Entries[0].Node != "n2" || p.Last <= last {
		t.Errorf("a changed incident: %+v", p)
	}
	if p := m.page(Query{Since: 1029}); len(p.Entries) != 4 {
		t.Errorf("since: %+v", p.Entries)
	}
	for seq := range uint64(maxEntries) {
		m.add(seq+33, record{Node: "n1", Events: []cluster.Event{{At: 9000, Text: strings.Repeat("x", 10)}}})
	}
	if p := m.page(Query{}); len(m.entries) != maxEntries || len(m.incidents) != 0 || !strings.Contains(p.Note, "oldest") {
		t.Errorf("%d entries, %d incidents, %q", len(m.entries), len(m.incidents), p.Note)
	}
}

// TestSubjectsAreGranted: the grant of the events' identity names what the stream uses.
func TestSubjectsAreGranted(t *testing.T) {
	t.Parallel()
	if auth.EventStream != Stream || auth.EventRecords+">" != Subjects || subjectOf("n1") != auth.EventRecords+"n1" {
		t.Error("the names differ")
	}
}
