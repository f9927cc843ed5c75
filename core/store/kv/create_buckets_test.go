package kv

import (
	"testing"

	"unibus/core"
	"unibus/core/jsapi"
)

// New buckets have all replicas from the beginning, and existing ones are left as they are.
func TestMakeGivesNewBucketsTheirReplicas(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := New(Config{Conn: onCluster(t).conn(t, 0), Replicas: 1})
	t.Cleanup(func() { _ = s.Close() })
	mustDo(t, s.ensure(ctx, core.TableRooms.Bucket(), 1))
	s.CreateBuckets(ctx, 3)
	for _, table := range core.Tables() {
		want := 3
		if table == core.TableRooms {
			want = 1
		}
		info, err := s.bucketInfo(ctx, table.Bucket())
		mustDo(t, err)
		repaired, err := repairBucket(table.Bucket(), info.Config, want)
		changed := !jsapi.SameConfig(repaired, info.Config)
		if info.Config.Replicas != want || changed || err != nil {
			t.Errorf("%s has %d replicas, want %d; Open would change it: %v, %v", table, info.Config.Replicas, want, changed, err)
		}
	}
	mustDo(t, s.OpenGuards(ctx))
	mustDo(t, s.Scale(ctx, 3))
	for _, table := range core.Tables() {
		if info, err := s.bucketInfo(ctx, table.Bucket()); err != nil || !info.HasCurrent(3) { // as Scale left it
			t.Errorf("%s has not three current replicas: %+v, %v", table, info.Cluster, err)
		}
	}
}

// Where Make cannot do it nothing is lost: Attend makes the buckets, and Scale says why not more.
func TestMakeLeavesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := New(Config{Conn: onCluster(t).conn(t, 0), Replicas: 1})
	t.Cleanup(func() { _ = s.Close() })
	for _, impossible := range []int{0, 5, 6} {
		s.CreateBuckets(ctx, impossible)
		_, err := s.api.StreamInfo(ctx, streamOf(core.TableUsers.Bucket()), jsapi.Attempt)
		if !jsapi.Answered(err, jsapi.CodeStreamNotFound) {
			t.Errorf("%d replicas on three nodes: %v", impossible, err)
		}
	}
	for _, table := range core.Tables() { // proven, unlike a bucket that nobody leads
		_, err := s.Nodes(ctx, table)
		wantKind(t, err, core.KindNotFound)
	}
	mustDo(t, s.OpenGuards(ctx))
	wantKind(t, s.Scale(ctx, 5), core.KindRefused)
	for _, table := range core.Tables() {
		if info, err := s.bucketInfo(ctx, table.Bucket()); err != nil || info.Config.Replicas != 1 {
			t.Errorf("%s has %d replicas, want the one it was made with: %v", table, info.Config.Replicas, err)
		}
	}
}
