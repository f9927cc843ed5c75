package kv

import "context"

// scan asks for the current keys of a bucket.
type scan struct {
	bucket   string
	filter   string // of keys, with NATS wildcards
	keysOnly bool   // no values, keys only
	node     string // whose replica to read; "": any that has what the leader has
	exact    bool   // end at one revision; node must be the leader's
	messages *int   // set by an exact scan: how many messages the leader counted there
}

// run calls each for every current key, in the order of writing. Deleted ones come
// too, and a key that is changed meanwhile comes again. It ends when nothing is
// left and everything was seen that the leader had at the start: it waits for a
// replica that lags. It fails when nothing arrives for some operation timeouts;
// there is no bound on the whole.
func (bc *bucketClient) run(ctx context.Context, s scan, each func(entry) error) error {
	newest, found, err := bc.newest(ctx, s)
	if err != nil || !found {
		return err
	}
	return bc.runTo(ctx, s, newest.rev, each)
}

// newest asks the leader for the last write that a scan would see.
func (bc *bucketClient) newest(ctx context.Context, s scan) (e entry, found bool, err error) {
	ctx, cancel, err := bc.bound(ctx)
	if err != nil {
		return entry{}, false, err
	}
	defer cancel()
	e, found, err = bc.last(ctx, s.bucket, s.filter)
	return e, found, explain(err, "asking how far "+s.bucket+" goes")
}

func (s scan) doing() string {
	if s.node == "" {
		return "reading " + s.bucket
	}
	return "reading " + s.bucket + " from the replica of " + s.node
}

// runTo is run once the last sequence of the scan is known.
func (bc *bucketClient) runTo(ctx context.Context, s scan, targetSeq uint64, each func(entry) error) error {
	name, err := bc.placeConsumer(ctx, s)
	if err != nil {
		return explain(err, s.doing())
	}
	defer bc.discard(s.bucket, name)
	return explain(bc.pull(ctx, s, name, targetSeq, scanPatience*bc.timeout, each), s.doing())
}
