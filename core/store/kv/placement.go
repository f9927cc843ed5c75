package kv

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

// Nodes names the nodes that hold a replica of a table, in order, as its leader
// says. KindUnavailable where it has no leader; KindNotFound where the meta group
// says that there is no such bucket.
func (s *Store) Nodes(ctx context.Context, t core.Table) ([]string, error) {
	info, err := s.bucketInfo(ctx, t.Bucket())
	if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
		return nil, &core.Error{Kind: core.KindNotFound, Text: "there is no bucket " + t.Bucket(), Next: "start the migration again: it creates what is missing", Err: err}
	}
	if err != nil {
		return nil, err
	}
	if info.Cluster == nil || info.Cluster.Leader == "" {
		return nil, core.Errorf(core.KindUnavailable, "%s has no leader", t.Bucket()).WithNext("see which nodes answer: `unibus-tui status`")
	}
	nodes := []string{info.Cluster.Leader}
	for _, r := range info.Cluster.Replicas {
		nodes = append(nodes, r.Name)
	}
	slices.Sort(nodes)
	return nodes, nil
}

const (
	placeTries       = 64 // with five replicas the wanted one is missed so often once in a million
	placementWorkers = 2  // tries under way at a time: each is a round of the meta group, which batches them
	maxPlacements    = 8  // of all scans: a consumer that answers late counts as none, and is created again
	placeBudget      = 20 * time.Second
	consumerIdle     = 5 * time.Second  // after which the server deletes a forgotten consumer
	scanIdle         = 30 * time.Second // likewise; a scan may wait for a pull slot meanwhile
)

type consumerInfo struct {
	Cluster *struct {
		Leader string `json:"leader"`
	} `json:"cluster"`
}

// placementRequest is where a scan wants its consumer. Two equal requests read the
// same.
type placementRequest struct {
	bucket, filter string
	keysOnly       bool
	node           string
}

func (s scan) placement(node string) placementRequest {
	return placementRequest{s.bucket, s.filter, s.keysOnly, node}
}

// placementQueue holds the scans that wait for a consumer on a certain node. The
// server places consumers where it likes, so one that was created for a scan and
// landed on another node goes to a scan that waits for that node. Of three
// replicas that are read at once, nearly every consumer is of use.
type placementQueue struct {
	mu      sync.Mutex
	waiting map[placementRequest][]chan string
}

// wait queues for a consumer. leave is called in any case, and returns a consumer
// that came and was not taken.
func (b *placementQueue) wait(at placementRequest) (reader chan string, leave func() (name string)) {
	reader = make(chan string, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = map[placementRequest][]chan string{}
	}
	b.waiting[at] = append(b.waiting[at], reader)
	return reader, func() string {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.remove(at, reader)
		select {
		case name := <-reader:
			return name
		default:
			return ""
		}
	}
}

// deliver gives a consumer to the scan that has waited longest; false where none
// waits.
func (b *placementQueue) deliver(at placementRequest, name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting[at]) == 0 {
		return false
	}
	reader := b.waiting[at][0]
	b.remove(at, reader)
	reader <- name // it has a buffer of one, and no other comes
	return true
}

func (b *placementQueue) remove(at placementRequest, reader chan string) {
	left := slices.DeleteFunc(b.waiting[at], func(c chan string) bool { return c == reader })
	if b.waiting[at] = left; len(left) == 0 {
		delete(b.waiting, at)
	}
}

// placeConsumer creates a consumer that lives on one replica and reads that
// replica's store. The server picks the replica: where a certain one is wanted,
// consumers are created until one is there. Each try has a name of its own,
// because a consumer placed on a node that has just died never answers.
func (bc *bucketClient) placeConsumer(ctx context.Context, s scan) (name string, err error) {
	limit := bc.timeout
	if s.node != "" {
		limit = max(limit, placeBudget)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if s.node != "" {
		return bc.placeConsumerOn(ctx, s)
	}
	for range placeTries {
		name, _, err := bc.createConsumer(ctx, s)
		if err == nil {
			return name, nil
		}
		bc.discard(s.bucket, name)
		if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
			return "", err
		}
		if !jsapi.Sleep(ctx, jsapi.Pause/5) {
			break
		}
	}
	return "", context.DeadlineExceeded
}

// placeConsumerOn is placeConsumer on a certain node. Consumers still being
// created when it returns go to another scan or are deleted.
func (bc *bucketClient) placeConsumerOn(ctx context.Context, s scan) (name string, err error) {
	reader, leave := bc.placements.wait(s.placement(s.node))
	defer func() {
		if unused := leave(); unused != "" {
			bc.discard(s.bucket, unused)
		}
	}()
	trying, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, placementWorkers)
	for range placementWorkers {
		go func() { ended <- bc.tryPlacements(trying, s) }()
	}
	if err := bc.checkReplica(ctx, s); err != nil {
		return "", err
	}
	for range placementWorkers {
		select {
		case name := <-reader:
			return name, nil
		case err := <-ended:
			if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
				return "", err
			}
		}
	}
	select {
	case name := <-reader: // the last try brought it
		return name, nil
	default:
	}
	return "", core.Errorf(core.KindUnavailable, "the replica of %s on %s could not be reached", s.bucket, s.node).
		WithNext("see with `unibus-tui status` whether %s is online and its replica current", s.node)
}

// tryPlacements creates consumers until the context ends, and delivers each to a
// scan that wants it where it landed.
func (bc *bucketClient) tryPlacements(ctx context.Context, s scan) error {
	for range placeTries / placementWorkers {
		select {
		case bc.placementSlots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		// A consumer that is being created is waited for, a second at most: it would be left behind.
		name, node, err := bc.createConsumer(context.WithoutCancel(ctx), s)
		<-bc.placementSlots
		if node == "" { // a single server does not say
			node = s.node
		}
		if err != nil || !bc.placements.deliver(s.placement(node), name) {
			bc.discard(s.bucket, name)
		}
		if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
			return err
		}
		if !jsapi.Sleep(ctx, jsapi.Pause/5) {
			return ctx.Err()
		}
	}
	return nil
}

// checkReplica says at once where the wanted node has no replica at all.
func (bc *bucketClient) checkReplica(ctx context.Context, s scan) error {
	if s.node == "" {
		return nil
	}
	info, err := bc.bucketInfo(ctx, s.bucket)
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

// createConsumer returns the node on which the consumer landed; "" where the
// server does not say.
func (bc *bucketClient) createConsumer(ctx context.Context, s scan) (name, leader string, err error) {
	name = "scan_" + token()
	config := map[string]any{
		"name":               name,
		"deliver_policy":     "all", // of each key the bucket keeps the newest alone
		"ack_policy":         "none",
		"replay_policy":      "instant",
		"headers_only":       s.keysOnly,
		"inactive_threshold": scanIdle,
		"num_replicas":       1,
		"mem_storage":        true,
	}
	subject := "CONSUMER.CREATE." + streamOf(s.bucket) + "." + name
	if s.filter != everything { // otherwise the server would match every key it has, at each try
		config["filter_subject"] = subjectOf(s.bucket, s.filter)
		subject += "." + subjectOf(s.bucket, s.filter)
	}
	var info consumerInfo
	try, cancel := context.WithTimeout(ctx, 2*jsapi.Attempt)
	defer cancel()
	err = bc.api.Request(try, subject, map[string]any{"stream_name": streamOf(s.bucket), "config": config}, &info)
	if err == nil && info.Cluster != nil {
		leader = info.Cluster.Leader
	}
	return name, leader, err
}

// everything is the filter of all keys of a bucket.
const everything = ">"

// discard deletes a consumer without waiting for the answer: the server deletes an
// unused one by itself.
func (bc *bucketClient) discard(bucket, name string) {
	subject := jsapi.Prefix + "CONSUMER.DELETE." + streamOf(bucket) + "." + name
	if err := bc.api.Conn.PublishRequest(subject, nats.NewInbox(), nil); err != nil {
		bc.log.Debug("a consumer was left to expire", "bucket", bucket, "consumer", name, "err", err)
	}
}
