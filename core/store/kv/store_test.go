package kv

import (
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/jsapi"
	"unibus/core/store/storetest"
)

// Nodes that start together race for the same buckets, and a second boot finds them as they are.
func TestOpenRacingOnThreeNodes(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	errs := make([]error, 9)
	var all sync.WaitGroup
	for i := range errs {
		s := New(Config{Conn: on.conn(t, i%3), Replicas: 3, Budget: 20 * time.Second})
		all.Go(func() { errs[i] = s.Open(t.Context()) })
	}
	all.Wait()
	for _, err := range errs {
		mustDo(t, err)
	}
	lower := on.open(t, 0, 1)
	for _, table := range core.Tables() {
		if nodes := must[[]string](t)(lower.Nodes(t.Context(), table)); len(nodes) != 3 {
			t.Errorf("%s is on %v after all nodes opened it", table.Bucket(), nodes)
		}
	}
	info := must[jsapi.StreamInfo](t)(lower.api.StreamInfo(t.Context(), streamOf(core.TableUsers.Bucket()), time.Second))
	if info.Config.Replicas != 3 {
		t.Errorf("a boot with one replica left %d, want 3", info.Config.Replicas)
	}
}

func TestOpenMends(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	js := must[jetstream.JetStream](t)(jetstream.New(on.conn(t, 0)))
	// A KV client makes such records by itself, and worse ones.
	kv := must[jetstream.KeyValue](t)(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: core.TableUsers.Bucket(), History: 5, TTL: time.Hour, MaxBytes: 1 << 20, Replicas: 1,
	}))
	must[uint64](t)(kv.Put(ctx, "_marker", []byte("kept")))
	s := on.open(t, 1, 3)
	info := must[jsapi.StreamInfo](t)(s.api.StreamInfo(ctx, streamOf(core.TableUsers.Bucket()), time.Second))
	c := info.Config
	if c.AllowDirect || !c.AllowAtomicPublish || c.MaxMsgsPerSubject != 1 || c.MaxAge != 0 || c.MaxBytes != -1 || c.Replicas != 3 {
		t.Errorf("not mended: %+v", c)
	}
	e, ok, err := s.get(ctx, core.TableUsers.Bucket(), "_marker")
	mustDo(t, err)
	if !ok || string(e.value) != "kept" {
		t.Error("mending lost what was in the bucket")
	}
	rows := userRows(t, 40)
	if n := must[int](t)(s.PutRows(ctx, rows)); n != 40 {
		t.Errorf("an atomic batch wrote %d after the mending, want 40", n)
	}
	// Turned on again by an administrator's slip: the next boot turns it off.
	must[jetstream.KeyValue](t)(js.UpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: core.TableRooms.Bucket(), Replicas: 3}))
	again := on.open(t, 2, 1)
	info = must[jsapi.StreamInfo](t)(again.api.StreamInfo(ctx, streamOf(core.TableRooms.Bucket()), time.Second))
	if info.Config.AllowDirect || !info.Config.AllowAtomicPublish {
		t.Errorf("not mended at the second boot: %+v", info.Config)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onSingle(t)
	nc := on.conn(t, 0)
	wantKind(t, New(Config{Conn: nc, Replicas: 0}).Open(ctx), core.KindInvalid)
	wantKind(t, New(Config{Conn: nc, Replicas: 6}).Open(ctx), core.KindInvalid)
	wantKind(t, New(Config{Conn: nc, Replicas: 3, Nodes: 2}).Open(ctx), core.KindRefused)
	wantKind(t, New(Config{Conn: nc, Replicas: 3}).Open(ctx), core.KindRefused) // not a cluster
	js := must[jetstream.JetStream](t)(jetstream.New(nc))
	must[jetstream.KeyValue](t)(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: core.TableMembers.Bucket(), Storage: jetstream.MemoryStorage,
	}))
	wantKind(t, New(Config{Conn: nc, Replicas: 1}).Open(ctx), core.KindRefused)

	cluster := onCluster(t)
	five := New(Config{Conn: cluster.conn(t, 0), Replicas: 5, Budget: time.Second})
	wantKind(t, five.Open(ctx), core.KindRefused)
}

func TestOpenWithoutAServerGivesUp(t *testing.T) {
	t.Parallel()
	on := ownServers(t, 1)
	nc := on.conn(t, 0)
	on.nodes[0].Shutdown()
	s := New(Config{Conn: nc, Replicas: 1, Budget: 200 * time.Millisecond})
	wantKind(t, s.Open(t.Context()), core.KindUnavailable)
}

func TestScale(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	s := on.open(t, 0, 1)
	snap := storetest.TwoRooms(t)
	must[int](t)(storetest.Import(ctx, s, snap))
	mustDo(t, s.Scale(ctx, 3))
	hasEverywhere(t, s, snap)
	mustDo(t, s.Scale(ctx, 3))
	wantKind(t, s.Scale(ctx, 1), core.KindRefused)
	wantKind(t, s.Scale(ctx, 5), core.KindRefused)
	wantKind(t, s.Scale(ctx, 0), core.KindInvalid)

	mustDo(t, s.SetReplicas(ctx, 1))
	for _, table := range core.Tables() {
		info := must[jsapi.StreamInfo](t)(s.api.StreamInfo(ctx, streamOf(table.Bucket()), time.Second))
		if info.Config.Replicas != 1 || !info.HasCurrent(1) {
			t.Errorf("%s: %d replicas, %+v", table, info.Config.Replicas, info.Cluster)
		}
		want := must[core.Digest](t)(storetest.DigestRows(snap.Rows(table)))
		if got := replicaDigest(t, s, table, info.Leader()); got != want {
			t.Errorf("%s: %+v, want %+v", table, got, want)
		}
	}
	mustDo(t, s.SetReplicas(ctx, 3))
	hasEverywhere(t, s, snap)
	wantKind(t, s.SetReplicas(ctx, 5), core.KindRefused)
}

// hasEverywhere: each table is on three nodes, with the rows of the snapshot.
func hasEverywhere(t *testing.T, s *Store, snap core.Snapshot) {
	t.Helper()
	ctx := t.Context()
	for _, table := range core.Tables() {
		info := must[jsapi.StreamInfo](t)(s.api.StreamInfo(ctx, streamOf(table.Bucket()), time.Second))
		if !info.HasCurrent(3) {
			t.Errorf("%s is not current at three replicas: %+v", table, info.Cluster)
		}
		want := must[core.Digest](t)(storetest.DigestRows(snap.Rows(table)))
		for _, node := range []string{"n1", "n2", "n3"} {
			if got := replicaDigest(t, s, table, node); got != want {
				t.Errorf("%s on %s: %+v, want %+v", table, node, got, want)
			}
		}
	}
}
