package cluster

import (
	"strings"
	"testing"
	"time"
)

// TestNewStreamElectsItsFirstLeader: an internal stream that was created just now leaves the
// verdict as it is. One that has no leader ten seconds later, or lost the one it had, changes it.
func TestNewStreamElectsItsFirstLeader(t *testing.T) {
	t.Parallel()
	f, clock := &fake{}, noon
	o := fakeLook(f, func(cfg *Config) { cfg.now = func() time.Time { return clock } })
	nonces := func(leader string) object {
		group := object{"replicas": []object{{"name": "n2", "current": true, "active": 5}, {"name": "n3", "current": true, "active": 5}}}
		if leader != "" {
			group["leader"], group["leader_since"] = leader, clock
		}
		return object{"name": "KV_UNIBUS_nonces", "created": noon, "config": object{"num_replicas": 3}, "cluster": group}
	}
	level := func(leader string, after time.Duration) Level {
		t.Helper()
		clock = clock.Add(after)
		f.set(subjectStats, statsOf("n1"), statsOf("n2"), statsOf("n3"))
		f.set(subjectStreams, streamsOf("n1", "n1", nonces(leader)), streamsOf("n2", "n1"), streamsOf("n3", "n1"))
		o.observe(t.Context())
		for _, finding := range Judge(o.View(), clock).Findings {
			if strings.Contains(finding.About, "nonces") {
				return finding.Level
			}
		}
		return Healthy
	}
	for _, step := range []struct {
		what   string
		leader string
		after  time.Duration
		want   Level
	}{
		{"created just now", "", 100 * time.Millisecond, Note},
		{"led", "n1", time.Second, Healthy},
		{"its first leader lost", "", time.Second, Degraded},
		{"led again", "n1", time.Second, Healthy},
	} {
		if got := level(step.leader, step.after); got != step.want {
			t.Errorf("%s: %s, want %s", step.what, got, step.want)
		}
	}
	o, clock = fakeLook(f, func(cfg *Config) { cfg.now = func() time.Time { return clock } }), noon
	if got := level("", electionTime+time.Second); got != Degraded {
		t.Errorf("no leader since it was created: %s", got)
	}
}
