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
// says. KindUnavailable where nobody leads it; KindNotFound where the meta group
// itself says that there is no such bucket.
func (s *Store) Nodes(ctx context.Context, t core.Table) ([]string, error) {
	info, err := s.bucketInfo(ctx, t.Bucket())
	if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
		return nil, &core.Error{Kind: core.KindNotFound, Text: "there is no bucket " + t.Bucket(), Next: "start the move again: it makes what is missing", Err: err}
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
	placeTries   = 64 // of five replicas the wanted one is missed so often once in a million
	placeLanes   = 2  // tries under way at a time: each is a round through the meta group, which takes them together
	placesAtOnce = 8  // of all scans: one that answers late counts as none, and is made again
	placeBudget  = 20 * time.Second
	consumerIdle = 5 * time.Second  // after which the server removes a forgotten consumer
	scanIdle     = 30 * time.Second // likewise; a scan may wait for its turn meanwhile
)

type consumerInfo struct {
	Cluster *struct {
		Leader string `json:"leader"`
	} `json:"cluster"`
}

// berth is where a scan wants its reader: two of the same kind read the same.
type placementRequest struct {
	bucket, filter string
	keysOnly       bool
	node           string
}

func (s scan) placement(node string) placementRequest {
	return placementRequest{s.bucket, s.filter, s.keysOnly, node}
}

// berths are the scans that wait for a reader at a certain node. The server
// places readers where it likes, so one that was made for a scan and landed on
// another node goes to whoever waits for that one: of three replicas that are
// read at once, nearly every reader that is made is of use.
type placementQueue struct {
	mu      sync.Mutex
	waiting map[placementRequest][]chan string
}

// want waits for a reader; leave is called in any case, and returns one that came and was not taken.
func (b *placementQueue) wait(at placementRequest) (seat chan string, leave func() (name string)) {
	seat = make(chan string, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = map[placementRequest][]chan string{}
	}
	b.waiting[at] = append(b.waiting[at], seat)
	return seat, func() string {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.remove(at, seat)
		select {
		case name := <-seat:
			return name
		default:
			return ""
		}
	}
}

// bring gives a reader to the one who has waited longest; false where nobody does.
func (b *placementQueue) deliver(at placementRequest, name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting[at]) == 0 {
		return false
	}
	seat := b.waiting[at][0]
	b.remove(at, seat)
	seat <- name // it holds one, and no other comes
	return true
}

func (b *placementQueue) remove(at placementRequest, seat chan string) {
	left := slices.DeleteFunc(b.waiting[at], func(c chan string) bool { return c == seat })
	if b.waiting[at] = left; len(left) == 0 {
		delete(b.waiting, at)
	}
}

// place creates a consumer that lives on one replica and reads that replica's
// store. The server picks the replica: where a certain one is wanted, consumers
// are made until one is there. Each try has a name of its own, because a consumer
// placed on a node that has just died never answers.
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

// placeAt is place at a certain node. What is still being made when it returns
// goes to another scan or is removed again.
func (bc *bucketClient) placeConsumerOn(ctx context.Context, s scan) (name string, err error) {
	seat, leave := bc.placements.wait(s.placement(s.node))
	defer func() {
		if unused := leave(); unused != "" {
			bc.discard(s.bucket, unused)
		}
	}()
	trying, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, placeLanes)
	for range placeLanes {
		go func() { ended <- bc.tryPlacements(trying, s) }()
	}
	if err := bc.checkReplica(ctx, s); err != nil {
		return "", err
	}
	for range placeLanes {
		select {
		case name := <-seat:
			return name, nil
		case err := <-ended:
			if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
				return "", err
			}
		}
	}
	select {
	case name := <-seat: // the last try brought it
		return name, nil
	default:
	}
	return "", core.Errorf(core.KindUnavailable, "the replica of %s on %s could not be reached", s.bucket, s.node).
		WithNext("see with `unibus-tui status` whether %s is online and its replica current", s.node)
}

// try makes readers until the context ends, and brings each to whoever wants it where it landed.
func (bc *bucketClient) tryPlacements(ctx context.Context, s scan) error {
	for range placeTries / placeLanes {
		select {
		case bc.placementSlots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		// One that is being made is waited for, for a second at the most: it would be left behind.
		name, node, err := bc.createConsumer(context.WithoutCancel(ctx), s)
		<-bc.placementSlots
		if node == "" { // a server that stands alone does not say
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

// createConsumer says on which node it landed; "" where the server does not say.
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

// discard removes a consumer without waiting for the answer: left alone, the server removes it by itself.
func (bc *bucketClient) discard(bucket, name string) {
	subject := jsapi.Prefix + "CONSUMER.DELETE." + streamOf(bucket) + "." + name
	if err := bc.api.Conn.PublishRequest(subject, nats.NewInbox(), nil); err != nil {
		bc.log.Debug("a consumer was left to expire", "bucket", bucket, "consumer", name, "err", err)
	}
}
