package cluster

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"unibus/core"
)

// countedFake counts the questions.
type countedFake struct {
	fake
	asked atomic.Int64
}

func (f *countedFake) RequestMany(ctx context.Context, subject string, payload []byte, each func([]byte) bool) error {
	f.asked.Add(1)
	return f.fake.RequestMany(ctx, subject, payload, each)
}

// beating is an observer of three nodes whose heartbeats a test sends.
type beating struct {
	*Observer
	f     *countedFake
	clock time.Time
	own   string // the state of n1
	infos func() []Info
}

func newBeating(change func(*Config)) *beating {
	b := &beating{f: &countedFake{}, clock: noon, own: "calm"}
	b.infos = func() []Info { return []Info{{Name: "n1"}, {Name: "n2"}, {Name: "n3"}} }
	b.f.set(subjectStats, statsOf("n1"), statsOf("n2"), statsOf("n3"))
	b.f.set(subjectStreams, streamsOf("n1", "n3"), streamsOf("n2", "n3"), streamsOf("n3", "n3"))
	b.Observer = fakeLook(&b.f.fake, func(cfg *Config) {
		cfg.System, cfg.now = b.f, func() time.Time { return b.clock }
		cfg.Infos = func(context.Context) ([]Info, error) { return b.infos(), nil }
		cfg.Beat = func() Heartbeat { return Heartbeat{Name: "n1", ID: "IDn1", State: b.own} }
		if change != nil {
			change(cfg)
		}
	})
	b.hear("calm", "n2", "n3")
	b.observe(context.Background())
	return b
}

func (b *beating) hear(state string, names ...string) {
	for _, name := range names {
		b.Hear(Heartbeat{Name: name, ID: "ID" + name, State: state})
	}
}

// second is one round, and how many questions it asked.
func (b *beating) second() int64 {
	before := b.f.asked.Load()
	b.clock = b.clock.Add(time.Second)
	b.observeChanges(context.Background())
	return b.f.asked.Load() - before
}

// TestHeartbeatsStandForAnswers: while heartbeats say that nothing has changed no node is
// asked, and every node stays online; after some seconds all are asked again.
func TestHeartbeatsStandForAnswers(t *testing.T) {
	t.Parallel()
	b := newBeating(nil)
	for second := range int(wholeEvery/time.Second) - 1 {
		b.hear("calm", "n2", "n3")
		if n := b.second(); n != 0 {
			t.Errorf("after %d s %d questions were asked", second+1, n)
		}
		if v := b.View(); len(v.online()) != 3 || v.Meta.Leader != "n3" || v.Nodes[2].HeardMS > 1000 || v.At < core.MillisOf(b.clock.Add(-time.Second)) {
			t.Errorf("after %d s: %+v %+v", second+1, v.Meta, v.Nodes)
		}
	}
	b.hear("calm", "n2", "n3")
	if n := b.second(); n == 0 {
		t.Error("nobody was asked for the load")
	}
}

// TestHeartbeatChanges: another state, another run, a missing heartbeat and a cluster that is
// not settled have every node asked in the same second.
func TestHeartbeatChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b *beating){
		"own state":       func(b *beating) { b.own = "changed"; b.hear("calm", "n2", "n3") },
		"another state":   func(b *beating) { b.hear("calm", "n2"); b.hear("changed", "n3") },
		"another run":     func(b *beating) { b.hear("calm", "n2"); b.Hear(Heartbeat{Name: "n3", ID: "other", State: "calm"}) },
		"silent":          func(b *beating) { b.hear("calm", "n2"); b.clock = b.clock.Add(time.Second) },
		"an unknown node": func(b *beating) { b.hear("calm", "n2", "n3"); b.mem.node("n4") },
		"asked in vain": func(b *beating) {
			b.infos = func() []Info { return nil }
			b.observe(context.Background())
			b.hear("calm", "n2", "n3")
		},
		"leader not known": func(b *beating) {
			b.f.set(subjectStreams, streamsOf("n1", ""), streamsOf("n2", ""), streamsOf("n3", ""))
			b.observe(context.Background())
			b.hear("calm", "n2", "n3")
		},
	} {
		b := newBeating(nil)
		b.hear("calm", "n2", "n3")
		if n := b.second(); n != 0 {
			t.Fatalf("%s: %d questions before the change", name, n)
		}
		change(b)
		if n := b.second(); n == 0 {
			t.Errorf("%s: nobody was asked", name)
		}
	}
}

// TestHeartbeatRefreshes: a change that is heard of between two rounds does not wait for the next.
func TestHeartbeatRefreshes(t *testing.T) {
	t.Parallel()
	b := newBeating(nil)
	b.hear("calm", "n2", "n3")
	b.second()
	b.hear("calm", "n2")
	if len(b.refresh) != 0 {
		t.Error("a heartbeat that says nothing new has every node asked")
	}
	b.hear("changed", "n2")
	if len(b.refresh) != 1 {
		t.Error("a changed state waits for the next round")
	}
}

// TestLostWithHeartbeats: a node whose heartbeats end is lost after the same time as one whose
// answers end.
func TestLostWithHeartbeats(t *testing.T) {
	t.Parallel()
	b := newBeating(nil)
	b.hear("calm", "n2", "n3")
	b.second()
	b.f.set(subjectStats, statsOf("n1"), statsOf("n2"))
	b.f.set(subjectStreams, streamsOf("n1", "n3"), streamsOf("n2", "n3"))
	b.infos = func() []Info { return []Info{{Name: "n1"}, {Name: "n2"}} }
	for second := 1; slices.Contains(b.View().online(), "n3"); second++ {
		if second > 4 {
			t.Fatal("n3 is silent for 5 s and counts as online")
		}
		b.hear("calm", "n2")
		b.second()
	}
}

// TestFreshAsks: a View that is asked for is never one of heartbeats.
func TestFreshAsks(t *testing.T) {
	t.Parallel()
	b := newBeating(nil)
	published := b.published
	b.hear("calm", "n2", "n3")
	b.second()
	if b.published != published || b.clock.Sub(b.observedAt) < time.Second {
		t.Error("a round of heartbeats counts as an observation")
	}
}

// TestHeartbeatsOfStrangers: names that no node can have, and too many, are not kept.
func TestHeartbeatsOfStrangers(t *testing.T) {
	t.Parallel()
	b := newBeating(nil)
	b.Hear(Heartbeat{Name: "no such name"})
	b.Hear(Heartbeat{})
	for i := range 2 * maxNodes {
		b.Hear(Heartbeat{Name: "x" + string(rune('a'+i%26)) + string(rune('a'+i/26))})
	}
	if n := len(b.heartbeats.last); n != maxNodes {
		t.Errorf("%d heartbeats are kept", n)
	}
}
