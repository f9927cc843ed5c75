package kv

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/jsapi"
)

// bucketConfig is the stream behind a bucket, as every boot wants it. AllowDirect
// stays off, or followers would answer reads with what they have.
func bucketConfig(bucket string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               streamOf(bucket),
		Subjects:           []string{subjectOf(bucket, ">")},
		Retention:          jetstream.LimitsPolicy,
		Storage:            jetstream.FileStorage,
		Discard:            jetstream.DiscardNew,
		Replicas:           replicas,
		MaxMsgsPerSubject:  1,
		MaxMsgs:            -1,
		MaxBytes:           -1,
		MaxMsgSize:         -1,
		MaxConsumers:       -1,
		AllowRollup:        true,
		DenyDelete:         true,
		AllowAtomicPublish: true,
		Duplicates:         2 * time.Minute,
	}
}

// repairBucket returns the configuration that an existing bucket should have: its
// own, with everything put right that an update can put right. KindRefused, with a
// reason, for the rest.
func repairBucket(bucket string, have jetstream.StreamConfig, replicas int) (want jetstream.StreamConfig, err error) {
	if why := jsapi.Unusable(have, subjectOf(bucket, ">")); why != "" {
		return have, core.Errorf(core.KindRefused, "the bucket %s cannot be used: %s", bucket, why).
			WithNext("save what is in it, remove the stream %s, and start again", streamOf(bucket))
	}
	want = jsapi.Repair(have, replicas)
	want.AllowAtomicPublish = true
	want.AllowRollup = true
	want.DenyPurge = false
	want.MaxMsgsPerSubject = 1
	want.SubjectDeleteMarkerTTL = 0
	return want, nil
}

// raiseGrace is how long an existing bucket may wait for nodes that its new
// replicas need, before it is opened with the replicas that it has.
const raiseGrace = 10 * time.Second

// ensure makes a bucket exist as bucketConfig wants it, with at least the given
// replicas, and tries again until ctx ends. Nodes that start together all do this;
// a node that comes second finds the bucket made.
func (bc *bucketClient) ensure(ctx context.Context, bucket string, replicas int) error {
	begun := time.Now()
	var reason error         // the cluster's last answer; a timeout is none
	try := jsapi.Attempt / 3 // soon after a cold start the meta leader is not known: short tries first, longer ones later
	for {
		exists, err := bc.ensureOnce(ctx, bucket, replicas, try)
		switch {
		case err == nil:
			return nil
		case core.KindOf(err) == core.KindRefused:
			return err
		case jsapi.Answered(err, jsapi.CodeNotClustered):
			return tooManyReplicas(bucket, replicas)
		case exists && jsapi.Answered(err, jsapi.CodeNoPeers) && time.Since(begun) > raiseGrace:
			bc.log.Warn("a bucket keeps the replicas it has: there are not enough nodes for more", "bucket", bucket, "wanted", replicas)
			return nil
		}
		bc.log.Debug("a bucket is not ready yet", "bucket", bucket, "err", err)
		if _, said := errors.AsType[*jsapi.Error](err); said || reason == nil {
			reason = err
		}
		if !jsapi.Sleep(ctx, jsapi.Pause) {
			return notOpened(reason, bucket, replicas)
		}
		try = min(try*3/2, 2*time.Second)
	}
}

func notOpened(err error, bucket string, replicas int) error {
	if jsapi.Answered(err, jsapi.CodeNoPeers) {
		return tooManyReplicas(bucket, replicas)
	}
	return explain(err, "opening the bucket "+bucket)
}

func tooManyReplicas(bucket string, replicas int) error {
	return core.Errorf(core.KindRefused, "%s cannot have %d replicas: the cluster does not have that many nodes", bucket, replicas).
		WithNext("start the nodes that are missing, or ask for fewer replicas")
}

// ensureOnce is one try of ensure. exists is true where the bucket was found.
func (bc *bucketClient) ensureOnce(ctx context.Context, bucket string, replicas int, try time.Duration) (exists bool, err error) {
	return bc.api.EnsureStream(ctx, bucketConfig(bucket, replicas), try, func(have jetstream.StreamConfig) (jetstream.StreamConfig, error) {
		return repairBucket(bucket, have, replicas)
	})
}
