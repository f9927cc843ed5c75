package kv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
)

// streamInfo is what the server says about a bucket's stream.
type streamInfo struct {
	Config  jetstream.StreamConfig `json:"config"`
	Created string                 `json:"created"`
	Cluster *clusterInfo           `json:"cluster"`
	State   struct {
		Messages int    `json:"messages"`
		LastSeq  uint64 `json:"last_seq"`
	} `json:"state"`
}

// leader is "" where a server stands alone.
func (i streamInfo) leader() string {
	if i.Cluster == nil {
		return ""
	}
	return i.Cluster.Leader
}

type clusterInfo struct {
	Leader   string `json:"leader"`
	Replicas []struct {
		Name    string `json:"name"`
		Current bool   `json:"current"`
		Offline bool   `json:"offline"`
	} `json:"replicas"`
	Desired json.RawMessage `json:"desired"` // present while the server is still changing the replicas
}

// bucketConfig is the stream behind a bucket, as every boot wants it. AllowDirect
// stays off, or followers would answer reads with what they happen to have.
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

// mend returns the configuration that an existing bucket should have: its own,
// with everything put right that an update can put right. What no update can
// mend is refused, with a reason.
func mend(bucket string, have jetstream.StreamConfig, replicas int) (want jetstream.StreamConfig, changed bool, err error) {
	refuse := func(why string) (jetstream.StreamConfig, bool, error) {
		return have, false, core.Errorf(core.KindRefused, "the bucket %s cannot be used: %s", bucket, why).
			WithNext("save what is in it, remove the stream %s, and start again", streamOf(bucket))
	}
	ideal := bucketConfig(bucket, replicas)
	switch {
	case have.Storage != jetstream.FileStorage:
		return refuse("it is kept in memory, and would be lost when the nodes stop")
	case have.Retention != jetstream.LimitsPolicy:
		return refuse("its stream drops what was read")
	case len(have.Subjects) != 1 || have.Subjects[0] != ideal.Subjects[0]:
		return refuse("its stream listens to other subjects than its own")
	case have.Mirror != nil || len(have.Sources) > 0 || have.SubjectTransform != nil:
		return refuse("its stream copies or renames what others write")
	case have.Sealed:
		return refuse("its stream is sealed")
	case have.PersistMode == jetstream.AsyncPersistMode:
		return refuse("it acknowledges writes before they are on disk")
	}
	want = have
	want.Replicas = max(have.Replicas, replicas)
	want.AllowDirect, want.MirrorDirect = false, false
	want.AllowAtomicPublish = true
	want.AllowRollup = true
	want.DenyPurge = false
	want.NoAck = false
	want.RePublish = nil
	want.Discard, want.DiscardNewPerSubject = ideal.Discard, false
	want.MaxMsgsPerSubject = 1
	want.MaxMsgs, want.MaxBytes, want.MaxMsgSize, want.MaxConsumers = -1, -1, -1, have.MaxConsumers
	want.MaxAge, want.SubjectDeleteMarkerTTL = 0, 0
	return want, !sameConfig(have, want), nil
}

// sameConfig compares as the server does: by what is sent.
func sameConfig(a, b jetstream.StreamConfig) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// raiseGrace is how long an existing bucket may wait for nodes that its new
// replicas need, before it is opened with the replicas that it has.
const raiseGrace = 10 * time.Second

// ensure makes a bucket exist as bucketConfig wants it, with at least the given
// replicas, trying again until ctx ends. Nodes that start together all do this;
// whoever comes second finds the first one's work.
func (w *wire) ensure(ctx context.Context, bucket string, replicas int) error {
	begun := time.Now()
	var reason error   // what the cluster last said; silence says nothing
	try := attempt / 3 // soon after a cold start the meta leader is not known: ask often, then more patiently
	for {
		exists, err := w.ensureOnce(ctx, bucket, replicas, try)
		switch {
		case err == nil:
			return nil
		case core.KindOf(err) == core.KindRefused:
			return err
		case answered(err, codeNotClustered):
			return tooManyReplicas(bucket, replicas)
		case exists && answered(err, codeNoPeers) && time.Since(begun) > raiseGrace:
			w.log.Warn("a bucket keeps the replicas it has: there are not enough nodes for more", "bucket", bucket, "wanted", replicas)
			return nil
		}
		w.log.Debug("a bucket is not ready yet", "bucket", bucket, "err", err)
		if _, said := errors.AsType[*apiError](err); said || reason == nil {
			reason = err
		}
		if !sleep(ctx, pause) {
			return notOpened(reason, bucket, replicas)
		}
		try = min(try*3/2, 2*time.Second)
	}
}

func notOpened(err error, bucket string, replicas int) error {
	if answered(err, codeNoPeers) {
		return tooManyReplicas(bucket, replicas)
	}
	return fault(err, "opening the bucket "+bucket)
}

func tooManyReplicas(bucket string, replicas int) error {
	return core.Errorf(core.KindRefused, "%s cannot have %d replicas: the cluster has not that many nodes", bucket, replicas).
		WithNext("start the nodes that are missing, or ask for fewer replicas")
}

// ensureOnce is one try of ensure; exists says whether the bucket was found.
func (w *wire) ensureOnce(ctx context.Context, bucket string, replicas int, try time.Duration) (exists bool, err error) {
	info, err := w.streamInfo(ctx, bucket, try)
	if answered(err, codeStreamNotFound) {
		err = w.configure(ctx, "STREAM.CREATE.", bucketConfig(bucket, replicas))
		if answered(err, codeStreamExists) {
			return true, fmt.Errorf("somebody else created %s meanwhile: %w", bucket, err)
		}
		return false, err
	}
	if err != nil {
		return false, err
	}
	want, changed, err := mend(bucket, info.Config, replicas)
	if err != nil || !changed {
		return true, err
	}
	err = w.configure(ctx, "STREAM.UPDATE.", want)
	if answered(err, codeNoPeers) && want.Replicas > info.Config.Replicas {
		// The rest must not wait for nodes: reads that decide would go to followers.
		rest := want
		rest.Replicas = info.Config.Replicas
		if !sameConfig(rest, info.Config) {
			return true, errors.Join(err, w.configure(ctx, "STREAM.UPDATE.", rest))
		}
	}
	return true, err
}

func (w *wire) streamInfo(ctx context.Context, bucket string, try time.Duration) (streamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, try)
	defer cancel()
	var info streamInfo
	err := w.ask(ctx, "STREAM.INFO."+streamOf(bucket), nil, &info)
	return info, err
}

func (w *wire) configure(ctx context.Context, verb string, cfg jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return w.ask(ctx, verb+cfg.Name, cfg, nil)
}
