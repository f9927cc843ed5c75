package kv

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/jsapi"
)

const scaleGrace = 3 * time.Second // for nodes that have just appeared

// Scale raises all five buckets to the given replicas, in place, and returns
// when every replica is current. ctx is the only bound. Fewer replicas than a
// bucket has, or more than there are nodes, give KindRefused and change nothing.
func (s *Store) Scale(ctx context.Context, replicas int) error {
	if err := checkReplicas(replicas, s.nodes); err != nil {
		return err
	}
	err := eachTable(func(t core.Table) error {
		info, err := s.bucketInfo(ctx, t.Bucket())
		if err == nil && info.Config.Replicas > replicas {
			return core.Errorf(core.KindRefused, "%s has %d replicas already, and they are never lowered to %d",
				t.Bucket(), info.Config.Replicas, replicas).WithNext("ask for %d or more", info.Config.Replicas)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.SetReplicas(ctx, replicas)
}

// SetReplicas is Scale for fewer replicas, too. Whether these are enough is the caller's decision.
func (s *Store) SetReplicas(ctx context.Context, replicas int) error {
	if err := checkReplicas(replicas, s.nodes); err != nil {
		return err
	}
	return eachTable(func(t core.Table) error {
		begun := time.Now()
		err := s.api.SetReplicas(ctx, streamOf(t.Bucket()), replicas, func(err error) bool {
			return jsapi.Answered(err, jsapi.CodeNotClustered, jsapi.CodeReplicasFixed) || jsapi.Answered(err, jsapi.CodeNoPeers) && time.Since(begun) > scaleGrace
		})
		if jsapi.Answered(err, jsapi.CodeNotClustered, jsapi.CodeReplicasFixed, jsapi.CodeNoPeers) {
			return tooManyReplicas(t.Bucket(), replicas)
		}
		return err
	})
}

// bucketInfo asks about a bucket within the time of one operation.
func (bc *bucketClient) bucketInfo(ctx context.Context, bucket string) (jsapi.StreamInfo, error) {
	ctx, cancel, err := bc.bound(ctx)
	if err != nil {
		return jsapi.StreamInfo{}, err
	}
	defer cancel()
	info, err := bc.api.StreamInfoUntil(ctx, streamOf(bucket))
	return info, explain(err, "looking at the bucket "+bucket)
}
