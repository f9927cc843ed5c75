package demo

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// fakeCluster answers a story as a good cluster would; break changes what it says.
type fakeCluster struct {
	mu      sync.Mutex
	state   migrate.State
	reading int    // looks for which a node still reads what was verified
	down    string // the node that is stopped
	polls   int
	fault   clusterFault
}

// clusterFault is what is wrong with a fake cluster.
type clusterFault struct {
	problem  bool // a row cannot be converted
	stops    bool // the migration ends with an error
	parity   bool // one node's replica differs
	fewer    bool // one node was not verified
	cutover  error
	restarts bool // a node is another process after the cutover
	serving  bool // a node never serves KV
	loses    bool // users are gone while a node is down
	revives  bool // a revoked user is active after the cutover
	rooms    bool // a room is at another epoch after the cutover
	healthy  bool // nobody notices that a node is down
	behind   bool // a replica never catches up
	noLeader bool
	stop     error
	start    error
}

func (f *fakeCluster) Status(context.Context) (admin.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls++
	if f.polls%3 == 0 { // now and then nobody answers in time
		return admin.Status{}, core.Errorf(core.KindUnavailable, "no answer")
	}
	var st admin.Status
	st.Meta = cluster.Meta{Leader: "n1", Size: 3, Online: 3, Needed: 2}
	if f.fault.noLeader {
		st.Meta.Leader = ""
	}
	st.Verdict, st.Sentence = cluster.Healthy, "3 of 3 nodes are online."
	if f.down != "" && !f.fault.healthy {
		st.Verdict, st.Sentence = cluster.Degraded, f.down+" is missing; 2 of 3 suffice."
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		info := &cluster.Info{Serving: cluster.Serving{Backend: core.BackendNone}}
		if f.state == migrate.StateSoak && !(f.fault.serving && name == "n2") {
			info.Serving.Backend = core.BackendKV
		}
		if info.PID = 7; f.fault.restarts && f.state == migrate.StateSoak {
			info.PID = 8
		}
		st.Nodes = append(st.Nodes, cluster.Node{Name: name, Online: name != f.down, Info: info})
	}
	if f.state == migrate.StateSoak {
		st.Authority = &core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 2}
		st.Buckets = f.buckets()
	}
	return st, nil
}

func (f *fakeCluster) buckets() []cluster.Bucket {
	var out []cluster.Bucket
	for _, t := range core.Tables() {
		b := cluster.Bucket{Name: t.Bucket(), Wanted: 3, Leader: "n1"}
		for _, n := range []string{"n1", "n2", "n3"} {
			state := cluster.ReplicaCurrent
			if n == f.down || f.fault.behind {
				state = cluster.ReplicaBehind
			}
			b.Replicas = append(b.Replicas, cluster.Replica{Node: n, State: state})
		}
		out = append(out, b)
	}
	return out
}

func (f *fakeCluster) Migration(context.Context) (migrate.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := map[migrate.State]migrate.State{
		migrate.StatePreflight: migrate.StateBackup, migrate.StateBackup: migrate.StateCopy, migrate.StateCopy: migrate.StateVerify,
	}
	f.reading = max(0, f.reading-1)
	if n, ok := next[f.state]; ok {
		f.state, f.reading = n, 5
	}
	return f.migration(), nil
}

func (f *fakeCluster) migration() migrate.Status {
	m := migrate.Status{State: f.state, Verified: f.state == migrate.StateVerify, Running: f.state == migrate.StateVerify && f.reading > 0}
	if m.Running { // everything is equal, and a node has not read it yet
		m.UnreadyNodes = []string{"n3"}
	}
	if f.fault.problem {
		m.Problems = []core.Problem{{Table: core.TableRooms, Key: "ops", Text: "its owner is not a user"}}
	}
	if f.fault.stops {
		m.Verified, m.Error = false, core.Errorf(core.KindFailed, "the disk is full")
	}
	if f.state != migrate.StatePreflight {
		m.Backup = migrate.Backup{Path: "/b/unibus.backup", SHA256: "abc"}
		m.Progress = []migrate.Progress{{Table: core.TableUsers, Done: 2, Total: 2}}
	}
	for _, t := range core.Tables() {
		d := core.Digest{Count: 2, SHA256: "0123456789abcdef"}
		p := migrate.Parity{Name: t.Bucket(), Source: d, Nodes: map[string]core.Digest{"n1": d, "n2": d, "n3": d}}
		if f.fault.parity && t == core.TableRoomKeys {
			p.Nodes["n2"] = core.Digest{Count: 1}
		}
		if f.fault.fewer && t == core.TableRooms {
			delete(p.Nodes, "n3")
		}
		m.Buckets = append(m.Buckets, p)
	}
	return m
}

func (f *fakeCluster) UserPage(context.Context, core.UserPageRequest) (core.UserPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	users := []core.User{{ID: "UA", Status: core.UserActive}, {ID: "UB", Status: core.UserRevoked}}
	if f.fault.loses && f.down != "" {
		users = users[:1]
	}
	if f.fault.revives && f.state == migrate.StateSoak {
		users[1].Status = core.UserActive
	}
	return core.UserPage{Users: users}, nil
}

func (f *fakeCluster) RoomPage(context.Context, core.RoomPageRequest) (admin.RoomPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := core.Room{ID: "ops", Epoch: 2}
	if f.fault.rooms && f.state == migrate.StateSoak {
		r.Epoch = 1
	}
	return admin.RoomPage{Rooms: []admin.RoomSummary{{Room: r}}}, nil
}

func (f *fakeCluster) MigrateStart(_ context.Context, node string, o migrate.Options) (migrate.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if node != "n1" || o.Replicas != 3 || o.DB != "/d/n1/unibus.db" || o.Cutover || o.NoBackup {
		return migrate.Status{}, core.Errorf(core.KindInvalid, "asked of %s with %+v", node, o)
	}
	f.state = migrate.StatePreflight
	return f.migration(), nil
}

func (f *fakeCluster) MigrateCutover(_ context.Context, node string) (migrate.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault.cutover != nil {
		return migrate.Status{}, f.fault.cutover
	}
	if why := f.migration().Unavailable(migrate.ActionCutover); why != "" && f.state == migrate.StateVerify {
		return migrate.Status{}, core.Errorf(core.KindRefused, "the move cannot cut over: %s", why)
	}
	f.state = migrate.StateSoak
	return migrate.Status{State: f.state, Node: node}, nil
}

func (f *fakeCluster) Stop(_ context.Context, node string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = node
	return f.fault.stop
}

func (f *fakeCluster) Start(context.Context, string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = ""
	return f.fault.start
}

func playConfig(f *fakeCluster, out *strings.Builder) PlayConfig {
	return PlayConfig{
		Admin: f, Nodes: f, Out: out, StepTimeout: 300 * time.Millisecond, PollInterval: time.Millisecond,
		Demo: Description{LegacyDB: "/d/n1/unibus.db", Nodes: []Node{{Name: "n1"}, {Name: "n2"}, {Name: "n3"}}},
	}
}

func TestPlayTellsTheStory(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := Play(t.Context(), playConfig(&fakeCluster{}, &out)); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	rest := out.String()
	for _, want := range []string{
		"n1, online, meta leader", "3 of 3 online, 2 needed", "buckets: none yet", "2 users (1 revoked) and 1 rooms",
		"Moving the control plane", "backup: /b/unibus.backup", "SHA-256 abc", "copied 100 %", "verify",
		"UNIBUS_room_keys", "n1 equal  n2 equal  n3 equal", "Cutting over", "generation 2", "R3  n1 current (leads), n2 current", "all there after the cutover",
		"Stopping n3", "degraded: n3 is missing", "missing: n3; 2 of 3 nodes are online and 2 suffice", "all there without n3",
		"Starting n3 again", "all there with n3 back", "nothing was lost",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("%q is missing, or not in its place, in\n%s", want, &out)
		}
		rest = after
	}
}

func TestPlayFailsOnAnyDeviation(t *testing.T) {
	t.Parallel()
	no := core.Errorf(core.KindRefused, "it is not allowed")
	for name, c := range map[string]struct {
		broken clusterFault
		want   string
	}{
		"no leader":      {clusterFault{noLeader: true}, "while waiting for every node to be online with a meta leader"},
		"problem":        {clusterFault{problem: true}, "rooms ops: its owner is not a user"},
		"stops":          {clusterFault{stops: true}, "the migration stopped in"},
		"parity":         {clusterFault{parity: true}, "UNIBUS_room_keys is not equal on 3 nodes: n1 equal  n2 different (1)"},
		"one not asked":  {clusterFault{fewer: true}, "n3 not asked"},
		"cutover":        {clusterFault{cutover: no}, "it is not allowed"},
		"serving":        {clusterFault{serving: true}, "while waiting for every node to serve from KV"},
		"restarts":       {clusterFault{restarts: true}, "a node was restarted by the cutover"},
		"behind":         {clusterFault{behind: true}, "every replica current"},
		"revoked revive": {clusterFault{revives: true}, "after the cutover there are 2 users, and they are not the 2"},
		"rooms":          {clusterFault{rooms: true}, "after the cutover there are 1 rooms"},
		"stop":           {clusterFault{stop: no}, "it is not allowed"},
		"not noticed":    {clusterFault{healthy: true}, "while waiting for n3 to be missing"},
		"loses":          {clusterFault{loses: true}, "without n3 there are 1 users"},
		"start":          {clusterFault{start: no}, "it is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := Play(t.Context(), playConfig(&fakeCluster{fault: c.broken}, &out))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(out.String(), "nothing was lost") {
				t.Error("the story ended well all the same")
			}
		})
	}
}

func TestPlayNeedsItsDemo(t *testing.T) {
	t.Parallel()
	cfg := playConfig(&fakeCluster{}, &strings.Builder{})
	cfg.Demo.LegacyDB = ""
	wantKind(t, Play(t.Context(), cfg), core.KindInvalid, "the story needs three nodes")
	cfg = playConfig(&fakeCluster{}, &strings.Builder{})
	cfg.Demo.Nodes = cfg.Demo.Nodes[:2]
	wantKind(t, Play(t.Context(), cfg), core.KindInvalid, "the story needs three nodes")
}

func TestPlayEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := playConfig(&fakeCluster{fault: clusterFault{noLeader: true}}, &strings.Builder{})
	cfg.StepTimeout = time.Hour
	wantKind(t, Play(ctx, cfg), core.KindUnavailable, "while waiting")
}
