package kv

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// scan asks for the current keys of a bucket.
type scan struct {
	bucket string
	filter string // of keys, with NATS wildcards
	bare   bool   // no values, keys only
	node   string // whose replica to read; "": any that has what the leader has
	exact  bool   // end at one revision; node must be the leader's
}

const (
	placeTries   = 64 // of five replicas the wanted one is missed so often once in a million
	placeBudget  = 20 * time.Second
	consumerIdle = 5 * time.Second // after which the server removes a forgotten consumer
)

// run calls each for every current key, in the order in which they were
// written; deleted ones come too, and a key that is changed meanwhile comes
// again. It ends when nothing is left and everything was seen that the leader
// had at the start: a replica that lags is waited for. It fails when nothing
// arrives for the operation timeout; there is no bound on the whole.
func (w *wire) run(ctx context.Context, s scan, each func(entry) error) error {
	fence, found, err := w.newest(ctx, s)
	if err != nil || !found {
		return err
	}
	return w.runTo(ctx, s, fence.rev, each)
}

// newest asks the leader for the last write that a scan would see.
func (w *wire) newest(ctx context.Context, s scan) (e entry, found bool, err error) {
	ctx, cancel, err := w.bound(ctx)
	if err != nil {
		return entry{}, false, err
	}
	defer cancel()
	e, found, err = w.last(ctx, s.bucket, s.filter)
	return e, found, fault(err, s.doing())
}

func (s scan) doing() string {
	if s.node == "" {
		return "reading " + s.bucket
	}
	return "reading " + s.bucket + " from the replica of " + s.node
}

// runTo is run once the fence is known.
func (w *wire) runTo(ctx context.Context, s scan, fence uint64, each func(entry) error) error {
	name, err := w.place(ctx, s)
	if err != nil {
		return fault(err, s.doing())
	}
	defer w.discard(s.bucket, name)
	return fault(w.pull(ctx, s, name, fence, each), s.doing())
}

type consumerInfo struct {
	Cluster *struct {
		Leader string `json:"leader"`
	} `json:"cluster"`
}

// place creates a consumer that lives on one replica and reads that replica's
// store. The server picks the replica: where a certain one is wanted, what was
// placed elsewhere is thrown away and made again. Each try has a name of its
// own, because a consumer placed on a node that has just died never answers.
func (w *wire) place(ctx context.Context, s scan) (name string, err error) {
	limit := w.timeout
	if s.node != "" {
		limit = max(limit, placeBudget)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := w.checkReplica(ctx, s); err != nil {
		return "", err
	}
	for range placeTries {
		name, leader, err := w.createConsumer(ctx, s)
		if err == nil && (s.node == "" || leader == "" || leader == s.node) {
			return name, nil
		}
		w.discard(s.bucket, name)
		if answered(err, codeStreamNotFound) {
			return "", err
		}
		if !sleep(ctx, pause/5) {
			break
		}
	}
	if s.node == "" {
		return "", context.DeadlineExceeded
	}
	return "", core.Errorf(core.KindUnavailable, "the replica of %s on %s could not be reached", s.bucket, s.node).
		WithNext("see with `unibus-tui status` whether %s is online and its replica current", s.node)
}

// checkReplica says at once where the wanted node has no replica at all.
func (w *wire) checkReplica(ctx context.Context, s scan) error {
	if s.node == "" {
		return nil
	}
	info, err := w.infoAgain(ctx, s.bucket)
	if err != nil || info.Cluster == nil || info.Cluster.Leader == s.node {
		return err
	}
	for _, r := range info.Cluster.Replicas {
		if r.Name == s.node {
			return nil
		}
	}
	return core.Errorf(core.KindUnavailable, "%s has no replica on %s", s.bucket, s.node).
		WithNext("raise the replicas with `unibusd bucket scale`, or read another node's")
}

func (w *wire) createConsumer(ctx context.Context, s scan) (name, leader string, err error) {
	name = "scan_" + token()
	body := map[string]any{
		"stream_name": streamOf(s.bucket),
		"config": map[string]any{
			"name":               name,
			"deliver_policy":     "all", // of each key the bucket keeps the newest alone
			"ack_policy":         "none",
			"replay_policy":      "instant",
			"filter_subject":     subjectOf(s.bucket, s.filter),
			"headers_only":       s.bare,
			"inactive_threshold": consumerIdle,
			"num_replicas":       1,
			"mem_storage":        true,
		},
	}
	var info consumerInfo
	try, cancel := context.WithTimeout(ctx, 2*attempt)
	defer cancel()
	err = w.ask(try, "CONSUMER.CREATE."+streamOf(s.bucket)+"."+name+"."+subjectOf(s.bucket, s.filter), body, &info)
	if err == nil && info.Cluster != nil {
		leader = info.Cluster.Leader
	}
	return name, leader, err
}

// discard removes a consumer without waiting for the answer: left alone, the server removes it by itself.
func (w *wire) discard(bucket, name string) {
	subject := apiPrefix + "CONSUMER.DELETE." + streamOf(bucket) + "." + name
	if err := w.nc.PublishRequest(subject, nats.NewInbox(), nil); err != nil {
		w.log.Debug("a consumer was left to expire", "bucket", bucket, "consumer", name, "err", err)
	}
}
