package cluster

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"unibus/core"
)

// run starts an observer and ends it with the test.
func run(t *testing.T, cfg Config) *Observer {
	t.Helper()
	o := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { o.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return o
}

func kvFacts() Facts {
	return Facts{Serving: Serving{Backend: core.BackendKV}, Authority: &core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 2}}
}

func current(v View, replicas int) bool {
	for _, b := range v.Buckets {
		if len(b.Replicas) != replicas || b.Leader == "" {
			return false
		}
		for _, r := range b.Replicas {
			if r.State != ReplicaCurrent {
				return false
			}
		}
	}
	return len(v.Buckets) == len(core.Tables())
}

// TestObserveRealServers looks at three real servers, stops one and starts it again.
func TestObserveRealServers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("not with -short")
	}
	b := newBench(t, 3)
	rec := &Recorder{}
	o := run(t, Config{
		Name: "n1", Cluster: "bench", Clustered: true, Expected: 3, System: Conn{b.connect(t, 0, "sys")}, Local: kvFacts, Recorder: rec,
		interval: 100 * time.Millisecond, lost: time.Second,
	})
	ctl := b.connect(t, 0, "ctl")
	for _, table := range core.Tables() {
		b.bucket(t, ctl, table.Bucket(), 1)
	}
	b.bucket(t, ctl, "UNIBUS_control", 3)
	eventually(t, "five buckets at R1", func() bool { return current(o.View(), 1) })
	for _, table := range core.Tables() {
		kv := b.bucket(t, ctl, table.Bucket(), 3)
		eventually(t, "a write to "+string(table), func() bool { // while a bucket is raised its leader may change
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := kv.Put(ctx, "k", []byte("v"))
			return err == nil
		})
	}
	eventually(t, "five buckets at R3", func() bool { return current(o.View(), 3) })
	v := o.View()
	if v.Meta.Leader == "" || v.Meta.Size != 3 || v.Meta.Needed != 2 || v.Meta.Online != 3 || len(v.Meta.OrphanPeers) > 0 || v.Meta.Since == 0 {
		t.Errorf("meta group: %+v", v.Meta)
	}
	if len(v.Nodes) != 3 || v.Nodes[2].Name != "n3" || v.Nodes[2].ID == "" || v.Nodes[2].DiskMax != 1<<30 || v.Nodes[2].Started == 0 {
		t.Errorf("nodes: %+v", v.Nodes)
	}
	if len(v.InternalBuckets) != 1 || v.InternalBuckets[0].Name != "UNIBUS_control" || v.Buckets[0].Keys < 1 || v.Buckets[0].Wanted != 3 {
		t.Errorf("buckets: %+v %+v", v.Buckets, v.InternalBuckets)
	}
	if j := Judge(v, time.Now()); j.Verdict != Healthy || !strings.Contains(j.Sentence, "Any one node may stop.") {
		t.Errorf("%+v", j)
	}

	b.stop(2)
	eventually(t, "n3 gone, the others lead", func() bool {
		v := o.View()
		n, _ := v.node("n3")
		return !n.Online && v.Meta.Leader != "" && v.Meta.Online == 2 && v.Buckets[0].Leader != "" && v.Buckets[0].Replicas[2].State == ReplicaOffline
	})
	j := Judge(o.View(), time.Now())
	if j.Verdict != Degraded || !strings.HasPrefix(j.Sentence, "n3 does not answer. 2 of 3 nodes answer and 2 suffice") {
		t.Errorf("%+v", j)
	}
	b.start(t, 2)
	eventually(t, "n3 back and current", func() bool { return o.View().Meta.Online == 3 && current(o.View(), 3) })
	checkEvents(t, rec.Since(0, 1000), "n3 does not answer", "n3 answers again", "UNIBUS_users scaled from 1 to 3 replicas", "n3 its replica of users is current")

	b.stop(1)
	b.stop(2)
	// Buckets may be without a leader a moment before both nodes count as silent, which is critical too.
	eventually(t, "majority lost", func() bool {
		v := o.View()
		return len(v.silent()) == 2 && Judge(v, time.Now()).Verdict == Critical
	})
	if j := Judge(o.View(), time.Now()); !strings.HasPrefix(j.Sentence, "n2 and n3 do not answer. The meta group needs 2 of 3 and has 1: writes fail") {
		t.Errorf("%+v", j)
	}
	if v := o.View(); len(v.Buckets) != 5 || v.Buckets[0].Leader != "" {
		t.Errorf("without a majority the buckets must still be shown, without a leader: %+v", v.Buckets)
	}
}

// checkEvents wants each text, about and text together, somewhere in events.
func checkEvents(t *testing.T, events []Event, texts ...string) {
	t.Helper()
	var all []string
	for _, e := range events {
		all = append(all, e.About+" "+e.Text)
	}
	for _, want := range texts {
		if !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("no event %q in:\n%s", want, strings.Join(all, "\n"))
		}
	}
}

// fake answers from values that a test may change at any time.
type fake struct {
	mu      sync.Mutex
	replies map[string][][]byte
	hang    bool // do not come back before ctx ends
	stuck   chan struct{}
}

func (f *fake) set(subject string, replies ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.replies == nil {
		f.replies = map[string][][]byte{}
	}
	f.replies[subject] = nil
	for _, r := range replies {
		raw, ok := r.([]byte)
		if !ok {
			raw, _ = json.Marshal(r)
		}
		f.replies[subject] = append(f.replies[subject], raw)
	}
}

func (f *fake) RequestMany(ctx context.Context, subject string, _ []byte, each func([]byte) bool) error {
	f.mu.Lock()
	replies := slices.Clone(f.replies[subject])
	f.mu.Unlock()
	for _, r := range replies {
		if !each(r) {
			return nil
		}
	}
	if f.stuck != nil {
		<-f.stuck
	} else if f.hang {
		<-ctx.Done()
	}
	return nil
}

type object = map[string]any

func statsOf(name string) object {
	return object{"server": object{"name": name, "id": "ID" + name, "ver": "2.15.2"}, "statsz": object{
		"mem": 60 << 20, "cpu": 2.5, "connections": 7,
		"jetstream": object{"config": object{"max_storage": 1 << 30}, "stats": object{"storage": 1 << 20}},
	}}
}

func streamsOf(name, leader string, streams ...object) object {
	peers := []object{}
	for _, p := range []string{"n1", "n2", "n3"} {
		if p != name || leader == "" {
			peers = append(peers, object{"name": p, "current": true, "active": 1000, "peer": "P" + p})
		}
	}
	return object{"server": object{"name": name, "id": "ID" + name, "ver": "2.15.2"}, "data": object{
		"meta_cluster":    object{"leader": leader, "replicas": peers, "cluster_size": 3, "quorum_needed": 2},
		"account_details": []object{{"name": "CONTROL", "stream_detail": streams}},
	}}
}

// fakeLook makes an observer that looks only when told.
func fakeLook(f *fake, change func(*Config)) *Observer {
	cfg := Config{Name: "n1", Clustered: true, Expected: 3, System: f, Local: kvFacts, deadline: 150 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	return New(cfg)
}

// TestObserveHungNode: a silent node does not keep back what the others said,
// and a requester that never returns does not stop the looks.
func TestObserveHungNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		f    *fake
	}{{"until the deadline", &fake{hang: true}}, {"for ever", &fake{stuck: make(chan struct{})}}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.f.stuck != nil {
				t.Cleanup(func() { close(c.f.stuck) })
			}
			c.f.set(subjectStats, statsOf("n1"), statsOf("n2"))
			c.f.set(subjectStreams, streamsOf("n1", "n1"), streamsOf("n2", "n1"))
			o := fakeLook(c.f, func(cfg *Config) {
				cfg.Infos = func(ctx context.Context) ([]Info, error) {
					<-ctx.Done()
					return []Info{{Name: "n2", PID: 7}}, ctx.Err()
				}
			})
			for range 3 {
				begun := time.Now()
				o.observe(t.Context())
				if d := time.Since(begun); d > 2*time.Second {
					t.Fatalf("a look took %v", d)
				}
			}
			v := o.View()
			if got := v.online(); !slices.Equal(got, []string{"n1", "n2"}) || v.Meta.Leader != "n1" || v.neverHeard() != 0 {
				t.Errorf("online %v, meta %+v, nodes %+v", got, v.Meta, v.Nodes)
			}
			eventually(t, "the late info of n2", func() bool {
				o.observe(t.Context())
				n, _ := o.View().node("n2")
				return n.Info != nil && n.Info.PID == 7
			})
		})
	}
}

// TestObserveLost: a node counts as online until it was silent for long enough, and its lead ends with it.
func TestObserveLost(t *testing.T) {
	t.Parallel()
	f, clock := &fake{}, noon
	o := fakeLook(f, func(cfg *Config) { cfg.now = func() time.Time { return clock } })
	f.set(subjectStats, statsOf("n1"), statsOf("n2"), statsOf("n3"))
	f.set(subjectStreams, streamsOf("n1", "n3"), streamsOf("n2", "n3"), streamsOf("n3", "n3"))
	o.observe(t.Context())
	if v := o.View(); v.Meta.Leader != "n3" || v.Nodes[2].Meta != "leader" || v.Nodes[0].Meta != "follower" {
		t.Fatalf("%+v", v.Meta)
	}
	f.set(subjectStats, statsOf("n1"), statsOf("n2"))
	f.set(subjectStreams, streamsOf("n1", "n3"), streamsOf("n2", "n3"))
	clock = clock.Add(2 * time.Second)
	o.observe(t.Context())
	if v := o.View(); !v.Nodes[2].Online || v.Nodes[2].HeardMS != 2000 || v.Meta.Leader != "n3" {
		t.Errorf("after 2 s: %+v %+v", v.Nodes[2], v.Meta)
	}
	clock = clock.Add(1500 * time.Millisecond)
	o.observe(t.Context())
	v := o.View()
	if v.Nodes[2].Online || v.Meta.Leader != "" || v.Meta.Last != "n3" || v.Meta.Since != core.MillisOf(clock) || v.Meta.Online != 2 {
		t.Errorf("after 3.5 s: %+v %+v", v.Nodes[2], v.Meta)
	}
}

// TestObserveTwoLeaders: twice in a row is two; once may be a handover.
func TestObserveTwoLeaders(t *testing.T) {
	t.Parallel()
	f := &fake{}
	f.set(subjectStats, statsOf("n1"), statsOf("n2"), statsOf("n3"))
	f.set(subjectStreams, streamsOf("n1", "n1"), streamsOf("n2", "n1"), streamsOf("n3", "n3"))
	o := fakeLook(f, nil)
	o.observe(t.Context())
	if got := o.View().Meta.Leaders; len(got) != 1 {
		t.Errorf("one look: %v", got)
	}
	o.observe(t.Context())
	if got := o.View().Meta.Leaders; !slices.Equal(got, []string{"n1", "n3"}) {
		t.Errorf("two looks: %v", got)
	}
}

// TestObserveRejects: answers that are no answers change nothing.
func TestObserveRejects(t *testing.T) {
	t.Parallel()
	f := &fake{}
	bad := []any{
		[]byte(""), []byte("{"), []byte(`[]`), []byte(`{"server":{"name":"no such name"}}`), []byte(`{"server":{}}`),
		object{"server": object{"name": "n2"}, "error": object{"code": 500, "description": "jetstream not enabled"}},
		[]byte(`{"server":{"name":7}}`),
	}
	f.set(subjectStats, append(slices.Clone(bad), statsOf("n1"))...)
	f.set(subjectStreams, append(slices.Clone(bad), streamsOf("n1", ""))...)
	o := fakeLook(f, func(cfg *Config) { cfg.Expected = 1 })
	o.observe(t.Context())
	if v := o.View(); len(v.Nodes) != 1 || !v.Nodes[0].Online {
		t.Errorf("%+v", v.Nodes)
	}
}

func TestObserveAlone(t *testing.T) {
	t.Parallel()
	counts := &core.Counts{Users: 3}
	o := New(Config{Name: "n1", Cluster: "demo", Local: func() Facts {
		return Facts{Serving: Serving{Backend: core.BackendSQLite, File: "/f"}, Counts: counts}
	}, Infos: func(context.Context) ([]Info, error) { return []Info{{Name: "n1", PID: 42, Loopback: true}}, nil }})
	o.observe(t.Context())
	v := o.View()
	if v.Clustered || v.Expected != 1 || len(v.Nodes) != 1 || !v.Nodes[0].Online || v.Nodes[0].Info.PID != 42 || v.Counts.Users != 3 || v.At == 0 {
		t.Errorf("%+v", v)
	}
	if j := Judge(v, time.Now()); j.Verdict != Healthy {
		t.Errorf("%+v", j)
	}
}

func TestFresh(t *testing.T) {
	t.Parallel()
	f := &fake{}
	f.set(subjectStats, statsOf("n1"))
	o := run(t, Config{Name: "n1", Clustered: true, Expected: 2, System: f, interval: time.Hour})
	eventually(t, "the first look", func() bool { return len(o.View().online()) == 1 })
	f.set(subjectStats, statsOf("n1"), statsOf("n2"))
	o.mu.Lock()
	o.observedAt = time.Time{}
	o.mu.Unlock()
	if v := o.Fresh(t.Context()); len(v.online()) != 2 {
		t.Errorf("Fresh gave an old view: %v", v.online())
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if v := New(Config{Name: "n1"}).Fresh(done); len(v.Nodes) != 1 {
		t.Errorf("without Run: %+v", v)
	}
}

// TestNext: the View is of an observation that began after the call, though the last one
// has just ended, and though another one is running.
func TestNext(t *testing.T) {
	t.Parallel()
	f, learned := &fake{}, atomic.Pointer[string]{}
	f.set(subjectStats, statsOf("n1"))
	o := run(t, Config{Name: "n1", System: f, interval: time.Hour, Local: func() Facts {
		text := learned.Load()
		if text == nil {
			return Facts{}
		}
		return Facts{Moving: *text}
	}})
	eventually(t, "the first look", func() bool { return len(o.View().online()) == 1 })
	for _, text := range []string{"preparing", "copying", "cutover"} {
		learned.Store(&text)
		if v, err := o.Next(t.Context()); err != nil || v.Moving != text {
			t.Errorf("after %s: %q, %v", text, v.Moving, err)
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(Config{Name: "n1"}).Next(done); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("without Run: %v", err)
	}
}

// TestNextAwaitsTheRunningOne: an observation that had begun before the call does not count.
func TestNextAwaitsTheRunningOne(t *testing.T) {
	t.Parallel()
	f := &fake{stuck: make(chan struct{})}
	f.set(subjectStats, statsOf("n1"))
	o := run(t, Config{Name: "n1", Clustered: true, Expected: 2, System: f, interval: time.Hour, deadline: 10 * time.Second})
	eventually(t, "the first look to have asked", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.mem.nodes["n1"].stats != nil
	})
	f.set(subjectStats, statsOf("n1"), statsOf("n2"))
	got := make(chan View, 1)
	go func() {
		v, err := o.Next(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- v
	}()
	eventually(t, "the request for another look", func() bool { return len(o.refresh) == 1 })
	close(f.stuck)
	if v := <-got; len(v.online()) != 2 {
		t.Errorf("the View is of the look that ran already: %v", v.online())
	}
}

// TestObserveGoodbye: a node that was stopped in good order is not online at the very next look.
func TestObserveGoodbye(t *testing.T) {
	t.Parallel()
	f := &fake{}
	f.set(subjectStats, statsOf("n1"), statsOf("n2"), statsOf("n3"))
	f.set(subjectStreams, streamsOf("n1", "n1"), streamsOf("n2", "n1"), streamsOf("n3", "n1"))
	o := fakeLook(f, nil)
	o.observe(t.Context())
	one := streamsOf("n1", "n1")
	one["data"].(object)["meta_cluster"].(object)["replicas"] = []object{{"name": "n2", "current": true, "peer": "Pn2"}, {"name": "n3", "offline": true, "peer": "Pn3"}}
	f.set(subjectStats, statsOf("n1"), statsOf("n2"))
	f.set(subjectStreams, one, streamsOf("n2", "n1"))
	o.observe(t.Context())
	if got := o.View().online(); !slices.Equal(got, []string{"n1", "n2"}) {
		t.Errorf("online: %v", got)
	}
	f.set(subjectStreams, streamsOf("n1", "n2"), streamsOf("n2", "n2")) // another one leads, and does not know yet
	o.observe(t.Context())
	if got := o.View().online(); !slices.Equal(got, []string{"n1", "n2"}) {
		t.Errorf("online again without an answer: %v", got)
	}
	f.set(subjectStats, statsOf("n1"), statsOf("n2"), statsOf("n3"))
	o.observe(t.Context())
	if got := o.View().online(); len(got) != 3 {
		t.Errorf("it answers again: %v", got)
	}
}

// TestObserveCutOff: a leader that is alone does not know it for ten seconds. The View knows it at once.
func TestObserveCutOff(t *testing.T) {
	t.Parallel()
	f, clock := &fake{}, noon
	o := fakeLook(f, func(cfg *Config) { cfg.now = func() time.Time { return clock } })
	led := func(leader string, since time.Time, peers ...string) object {
		replicas := []object{}
		for _, p := range peers {
			replicas = append(replicas, object{"name": p, "current": true, "active": 5})
		}
		return object{"name": "KV_UNIBUS_users", "config": object{"num_replicas": 3}, "cluster": object{"leader": leader, "leader_since": since, "replicas": replicas}}
	}
	f.set(subjectStats, statsOf("n1"), statsOf("n2"), statsOf("n3"))
	f.set(subjectStreams, streamsOf("n1", "n1", led("n1", noon.Add(-time.Hour), "n2", "n3")), streamsOf("n2", "n1", led("n2", noon, "n1", "n3")), streamsOf("n3", "n1"))
	o.observe(t.Context())
	if b := o.View().Buckets[0]; b.Leader != "n2" {
		t.Errorf("of two that claim a bucket the later one leads: %+v", b)
	}
	f.set(subjectStats, statsOf("n1"))
	f.set(subjectStreams, streamsOf("n1", "n1", led("n1", noon, "n2", "n3")))
	clock = clock.Add(4 * time.Second)
	o.observe(t.Context())
	v := o.View()
	if v.Meta.Leader != "" || v.Meta.Last != "n1" || v.Nodes[0].Meta != "follower" {
		t.Errorf("it cannot lead alone: %+v", v.Meta)
	}
	if b := v.Buckets[0]; b.Leader != "" || b.Since != core.MillisOf(clock) || b.Replicas[1].State != ReplicaOffline {
		t.Errorf("it cannot lead alone: %+v", b)
	}
}

// TestObserveJetStreamOff: a server that turned JetStream off answers on, and stays so until it is restarted.
func TestObserveJetStreamOff(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3)
	o := run(t, Config{
		Name: "n1", Cluster: "bench", Clustered: true, Expected: 3, System: Conn{b.connect(t, 0, "sys")}, Local: kvFacts,
		interval: 100 * time.Millisecond, lost: 2 * time.Second,
	})
	off := func() bool {
		n, _ := o.View().node("n3")
		return n.Off
	}
	eventually(t, "three nodes", func() bool { return o.View().Meta.Online == 3 })
	if off() {
		t.Error("off from the beginning")
	}
	b.bucket(t, b.connect(t, 0, "ctl"), "UNIBUS_users", 3)
	replicas := func(want int) bool {
		v := o.View()
		return len(v.Buckets) == 1 && len(v.Buckets[0].Replicas) == 3 && v.Buckets[0].liveReplicas() == want
	}
	eventually(t, "three replicas", func() bool { return replicas(3) })
	if err := b.servers[2].ShutdownJetStream(); err != nil { // as the server does by itself
		t.Fatal(err)
	}
	eventually(t, "n3 to be off, and online", func() bool {
		n, _ := o.View().node("n3")
		return n.Off && n.Online && o.View().Meta.Online == 2
	})
	eventually(t, "its replica to count no more", func() bool { return replicas(2) })
	found := slices.ContainsFunc(Judge(o.View(), time.Now()).Findings, func(f Finding) bool {
		return f.About == "node.n3" && strings.Contains(f.Text, "turned itself off") && strings.Contains(f.Next, "restart unibusd")
	})
	if !found {
		t.Errorf("%+v", Judge(o.View(), time.Now()))
	}
	b.stop(2)
	b.start(t, 2)
	eventually(t, "n3 back", func() bool { return !off() && o.View().Meta.Online == 3 })
}

// TestConnectionsAreSessions: a node's own count of its clients counts. Its server's
// count has the node's own connections in it.
func TestConnectionsAreSessions(t *testing.T) {
	t.Parallel()
	m, three := &observations{}, 3
	m.init(Config{Name: "n1", Cluster: "c", Clustered: true, Expected: 1})
	n := m.node("n1")
	n.stats, n.heard = &stats{}, noon
	n.stats.Stats.Conns = 19
	if got := m.buildNode(n, View{}, noon).Conns; got != 19 {
		t.Errorf("of an older node: %d", got)
	}
	n.info = &Info{Sessions: &three}
	if got := m.buildNode(n, View{}, noon).Conns; got != 3 {
		t.Errorf("%d clients", got)
	}
}

// TestClockOfANode: the difference is that of two answers, so that one that was late is none.
func TestClockOfANode(t *testing.T) {
	t.Parallel()
	m := &observations{}
	m.init(Config{Name: "n1", Cluster: "c", Clustered: true, Expected: 2, Nodes: []string{"n1", "n2"}})
	n := m.node("n2")
	ahead := func(d time.Duration) time.Duration {
		n.seeClock(core.MillisOf(noon.Add(d)), noon)
		return n.clockAhead()
	}
	for _, step := range []struct{ is, want time.Duration }{{0, 0}, {-time.Minute, 0}, {time.Second, time.Second}, {-time.Minute, time.Second}, {-2 * time.Minute, -time.Minute}} {
		if got := ahead(step.is); got != step.want {
			t.Errorf("%s ahead: %s, want %s", step.is, got, step.want)
		}
	}
	n.seeClock(0, noon) // an older node
	if got := n.clockAhead(); got != 0 {
		t.Errorf("an older node: %s", got)
	}
}
