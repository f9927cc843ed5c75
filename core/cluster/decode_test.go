package cluster

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

// recorded reads answers of real servers, written down once, from testdata.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func lookAt(t *testing.T, expected int, files ...string) View {
	t.Helper()
	f := &fake{}
	var replies []any
	for _, name := range files {
		replies = append(replies, recorded(t, name))
	}
	f.set(subjectStreams, replies...)
	o := fakeLook(f, func(cfg *Config) { cfg.Expected = expected })
	o.observe(t.Context())
	return o.View()
}

// TestLeaderless describes groups without a leader from the one of four servers that answers.
func TestLeaderless(t *testing.T) {
	t.Parallel()
	v := lookAt(t, 4, "jsz-leaderless.json")
	if m := v.Meta; m.Leader != "" || m.Size != 4 || m.Needed != 3 || m.Online != 1 || len(m.OrphanPeers) > 0 {
		t.Errorf("meta: %+v", m)
	}
	if got := v.silent(); !slices.Equal(got, []string{"n2", "n3"}) || v.neverHeard() != 1 {
		t.Errorf("silent %v, unnamed %d", got, v.neverHeard())
	}
	want := map[string][]Replica{
		"UNIBUS_users":     {{"n1", ReplicaUnknown, 0}, {"n2", ReplicaOffline, 0}, {"n3", ReplicaOffline, 0}},
		"UNIBUS_rooms":     {{"n1", ReplicaUnknown, 0}, {"n2", ReplicaOffline, 0}, {"peer C7B8kAbl", ReplicaOffline, 0}},
		"UNIBUS_room_keys": {{"n1", ReplicaUnknown, 0}, {"n3", ReplicaOffline, 0}, {"peer C7B8kAbl", ReplicaOffline, 0}},
	}
	got := map[string][]Replica{}
	for _, b := range v.Buckets {
		got[b.Name] = b.Replicas
		if b.Leader != "" || b.Wanted != 3 || b.Since == 0 {
			t.Errorf("%+v", b)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if j := Judge(v, v.At.Time().Add(time.Second)); j.Verdict != Critical || !strings.HasPrefix(j.Sentence, "n2 and n3 do not answer and one configured node has never answered. The meta group needs 3 of 4 and has 1") {
		t.Errorf("%+v", j)
	}
}

// TestGhost: a peer without a name is a ghost only where there are more peers than nodes.
func TestGhost(t *testing.T) {
	t.Parallel()
	v := lookAt(t, 3, "jsz-ghost.json")
	if d := cmp.Diff([]string{"peer C7B8kAbl"}, v.Meta.OrphanPeers); d != "" || v.Meta.Size != 4 || v.Meta.Needed != 3 {
		t.Errorf("%+v %s", v.Meta, d)
	}
	if v := lookAt(t, 4, "jsz-ghost.json"); len(v.Meta.OrphanPeers) > 0 {
		t.Errorf("a node that was not started yet is no ghost: %+v", v.Meta)
	}
}

func TestDecodeStats(t *testing.T) {
	t.Parallel()
	f := &fake{}
	f.set(subjectStats, recorded(t, "statsz.json"))
	o := fakeLook(f, func(cfg *Config) { cfg.Expected = 1 })
	o.observe(t.Context())
	n := o.View().Nodes[0]
	if n.ID == "" || n.DiskMax != 1<<30 || n.Memory == 0 || n.Started == 0 || n.Conns == 0 {
		t.Errorf("%+v", n)
	}
}

// TestReplicas: the leader is believed about its replicas, a follower is not, and the obstacle of a scale is
// shown.
func TestReplicas(t *testing.T) {
	t.Parallel()
	f := &fake{}
	led := object{
		"name": "KV_UNIBUS_users", "config": object{"num_replicas": 3}, "state": object{"messages": 9, "bytes": 90, "last_seq": 12},
		"cluster": object{
			"leader": "n1", "leader_since": noon, "replicas": []object{{"name": "n2", "current": true, "active": 5}, {"name": "n3", "active": 5, "lag": 1204}},
			"desired": object{"status": object{"type": "catchup", "description": "waiting for peers", "err": "no space"}},
		},
	}
	followed := object{
		"name": "KV_UNIBUS_users", "config": object{"num_replicas": 3}, "state": object{"messages": 99, "last_seq": 99},
		"cluster": object{"leader": "n1", "replicas": []object{{"name": "n1", "current": true}, {"name": "n3"}}},
	}
	deposed := object{"name": "KV_UNIBUS_users", "cluster": object{"leader": "n3", "leader_since": noon.Add(-time.Hour)}}
	f.set(subjectStats, statsOf("n1"), statsOf("n2"), statsOf("n3"))
	f.set(subjectStreams, streamsOf("n1", "n1", led), streamsOf("n2", "n1", followed), streamsOf("n3", "n1", deposed))
	o := fakeLook(f, nil)
	o.observe(t.Context())
	want := []Bucket{{
		Name: "UNIBUS_users", Wanted: 3, Leader: "n1", Keys: 9, Bytes: 90, LastSeq: 12, Since: core.MillisOf(noon), Waiting: "waiting for peers: no space",
		Replicas: []Replica{{"n1", ReplicaCurrent, 0}, {"n2", ReplicaCurrent, 0}, {"n3", ReplicaBehind, 1204}},
	}}
	v := o.View()
	if d := cmp.Diff(want, v.Buckets); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"users"}, v.Nodes[0].Leads); d != "" {
		t.Error(d)
	}
	f.set(subjectStreams, streamsOf("n1", "n1"), streamsOf("n2", "n1"), streamsOf("n3", "n1"))
	o.observe(t.Context())
	if v := o.View(); len(v.Buckets) != 0 {
		t.Errorf("a bucket that no replica has is gone: %+v", v.Buckets)
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"jsz-leaderless.json", "jsz-ghost.json", "statsz.json"} {
		f.Add(recorded(f, name))
	}
	f.Add([]byte(`{"server":{"name":"n1"},"data":{"meta_cluster":{"leader":"n1","cluster_size":-3,"quorum_needed":-9},"account_details":[{"name":"CONTROL","stream_detail":[{"name":"KV_UNIBUS_users","cluster":{"leader":"n1"}}]}]}}`))
	f.Fuzz(believe)
}

// believe takes whatever answers, and wants sentences about it.
func believe(t *testing.T, raw []byte) {
	var m observations
	m.init(Config{Name: "n1", Clustered: true, Expected: 1, lost: time.Second})
	if a, err := decodeStats(raw); err == nil {
		if n := m.heard(a.Server, noon); n != nil {
			n.stats = &a
		}
	}
	if a, err := decodeStreams(raw); err == nil {
		if n := m.heard(a.Server, noon); n != nil {
			n.streams, n.streamsAt = &a, noon
		}
	}
	v := m.build(kvFacts(), noon)
	j := Judge(v, noon)
	if j.Sentence == "" || (j.Verdict != Healthy && j.Verdict != Degraded && j.Verdict != Critical) {
		t.Errorf("%+v", j)
	}
	for _, n := range v.Nodes {
		if Impact(v, n.Name) == "" || len(v.Nodes) > maxNodes {
			t.Error("no sentence")
		}
	}
	Diff(View{At: 1}, v)
}

// TestDecodeDamaged damages recorded answers in many ways: the fuzz engine is
// slow in a test binary that holds a whole server.
func TestDecodeDamaged(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	tokens := []string{"null", "-1", "{}", "[]", `""`, "1e99", `"n2"`, "true", "[null]", "18446744073709551615"}
	for _, name := range []string{"jsz-leaderless.json", "jsz-ghost.json", "statsz.json"} {
		raw := recorded(t, name)
		values := regexp.MustCompile(`: [^\n{\[,]+`).FindAllIndex(raw, -1)
		for range 500 {
			at := values[rnd.IntN(len(values))]
			believe(t, slices.Concat(raw[:at[0]+2], []byte(tokens[rnd.IntN(len(tokens))]), raw[at[1]:]))
			believe(t, raw[:rnd.IntN(len(raw))])
		}
	}
}
