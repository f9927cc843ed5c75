package kv

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/jsapi"
)

const (
	scalePoll  = 50 * time.Millisecond
	scaleGrace = 3 * time.Second // for nodes that have just appeared
)

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
	return eachTable(func(t core.Table) error {
		if err := s.raise(ctx, t.Bucket(), replicas); err != nil {
			return err
		}
		return s.awaitCurrent(ctx, t.Bucket(), replicas)
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

// raise asks for the replicas until the meta group has accepted them.
func (bc *bucketClient) raise(ctx context.Context, bucket string, replicas int) error {
	for begun := time.Now(); ; {
		_, err := bc.ensureOnce(ctx, bucket, replicas, jsapi.Attempt)
		refused := jsapi.Answered(err, jsapi.CodeNotClustered) || jsapi.Answered(err, jsapi.CodeReplicasFixed) ||
			jsapi.Answered(err, jsapi.CodeNoPeers) && time.Since(begun) > scaleGrace
		switch {
		case err == nil:
			return nil
		case refused:
			return tooManyReplicas(bucket, replicas)
		case core.KindOf(err) == core.KindRefused:
			return err
		}
		if !jsapi.Sleep(ctx, scalePoll) {
			return explain(err, "raising the replicas of "+bucket)
		}
	}
}

// awaitCurrent waits until the leader says that every replica has everything.
func (bc *bucketClient) awaitCurrent(ctx context.Context, bucket string, replicas int) error {
	for {
		info, err := bc.api.StreamInfo(ctx, streamOf(bucket), jsapi.Attempt)
		if err == nil && info.HasCurrent(replicas) {
			return nil
		}
		if !jsapi.Sleep(ctx, scalePoll) {
			return core.Errorf(core.KindUnavailable, "%s has not got %d current replicas yet", bucket, replicas).
				WithNext("they catch up by themselves; see the buckets with `unibus-tui status`")
		}
	}
}
