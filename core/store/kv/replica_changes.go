package kv

import (
	"context"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/jsapi"
)

// LastSequence is the last sequence of a table's leader, and the number of keys
// that it keeps, including removed rows and internal keys. KindUnavailable if no
// leader answers.
func (s *Store) LastSequence(ctx context.Context, t core.Table) (sequence uint64, kept int, err error) {
	info, err := s.bucketInfo(ctx, t.Bucket())
	return info.State.LastSeq, info.State.Messages, err
}

// ReplicaChanges returns what one node's own replica has that was written after a
// sequence, in its present form: rows in the order of their writes, a removed one
// with a nil value. It also returns how many internal keys the replica keeps, and
// how many rows that were not written since, including removed ones. It waits
// until the replica has what the leader had at the start; node "" reads any. It
// reads only the new part, however large the table is. Rows that are written
// meanwhile lower the counts by as many. KindConflict if the table's stream ends
// before that sequence: it is another stream.
func (s *Store) ReplicaChanges(ctx context.Context, t core.Table, node string, after uint64) (rows []core.Row, internal, older int, err error) {
	q := scan{bucket: t.Bucket(), filter: everything, node: node}
	end, err := s.newestSince(ctx, q, after)
	if err != nil {
		return nil, 0, 0, err
	}
	kept, internal, err := s.countReplica(ctx, q)
	if err != nil {
		return nil, 0, 0, err
	}
	name, _, err := s.placeReader(ctx, q, startingAfter(after, end, consumerIdle))
	if err != nil {
		return nil, 0, 0, explain(err, q.doing())
	}
	defer s.discard(q.bucket, name)
	late := latestRows{at: map[string]int{}}
	err = s.pull(ctx, q, name, end, s.timeout, func(e entry) error {
		if e.rev > after {
			late.add(t, e)
		}
		return nil
	})
	return late.rows, internal, kept - len(late.rows), explain(err, q.doing())
}

// newestSince is the sequence that a table has come to, which must not lie before
// after. The last message is not asked for by its subject: for that the server
// goes through all subjects.
func (s *Store) newestSince(ctx context.Context, q scan, after uint64) (uint64, error) {
	info, err := s.bucketInfo(ctx, q.bucket)
	if err != nil {
		return 0, err
	}
	end := info.State.LastSeq
	if info.State.Messages == 0 || end < after {
		return 0, core.Errorf(core.KindConflict, "%s has come to %d, and was at %d before: it was created again, or restored from an older backup", q.bucket, end, after).
			WithNext("find out how before anything is migrated; then start again")
	}
	return end, nil
}

// startingAfter configures a reader of what comes after a sequence, or from the
// last message on at the latest: having that, the replica has everything.
func startingAfter(after, end uint64, idle time.Duration) map[string]any {
	return map[string]any{"deliver_policy": "by_start_sequence", "opt_start_seq": min(after+1, end), "inactive_threshold": idle}
}

// latestRows keeps the newest of each row that comes.
type latestRows struct {
	at   map[string]int
	rows []core.Row
}

func (l *latestRows) add(t core.Table, e entry) {
	if strings.HasPrefix(e.key, "_") {
		return
	}
	row := core.Row{Table: t, Key: e.key}
	if !e.deleted {
		row.Value = append([]byte{}, e.value...)
	}
	if i, again := l.at[e.key]; again {
		l.rows[i] = row
		return
	}
	l.at[e.key] = len(l.rows)
	l.rows = append(l.rows, row)
}

// internalKeyFilters match all internal keys: every key of a bucket that begins
// with _ is of one of them.
func internalKeyFilters() []string {
	return []string{keyGuard, keyAdmins, barrierKey("*"), writeKey("*"), watchKey("*")}
}

// countReplica is how many rows one replica keeps, removed ones included: all its
// keys without the internal ones, which are counted too. No filter matches the
// rows alone. A consumer that is placed on the replica is told how many messages
// are pending; none is fetched. Internal keys are counted by the leader: another
// consumer would have to be placed, and each leaves the servers work for the time
// of the fence. They are counted last, and only become more: a new one, or one
// that the replica lacks, looks like a missing row, which is looked at again. The
// other way round it takes a leader that was deposed just then. An overwritten one
// changes nothing.
func (s *Store) countReplica(ctx context.Context, q scan) (rows, internal int, err error) {
	name, waiting, err := s.placeReader(ctx, q, map[string]any{"deliver_policy": "all"})
	if err != nil {
		return 0, 0, explain(err, q.doing())
	}
	s.discard(q.bucket, name)
	if internal, err = s.countInternalKeys(ctx, q.bucket); err != nil {
		return 0, 0, explain(err, "counting the keys of "+q.bucket)
	}
	return waiting - internal, internal, nil
}

// countInternalKeys asks the leader for the keys of each kind: a few of each.
func (bc *bucketClient) countInternalKeys(ctx context.Context, bucket string) (n int, err error) {
	ctx, cancel, err := bc.bound(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	for _, keys := range internalKeyFilters() {
		var info struct {
			State struct {
				Subjects map[string]int `json:"subjects"`
			} `json:"state"`
		}
		err := bc.api.RequestUntil(ctx, "STREAM.INFO."+streamOf(bucket), map[string]any{"subjects_filter": subjectOf(bucket, keys)}, &info)
		if err != nil {
			return 0, err
		}
		n += len(info.State.Subjects)
	}
	return n, nil
}

// placeReader is placeConsumer for a consumer that begins elsewhere than at every
// key's newest; waiting is how many messages it found when it was created.
func (bc *bucketClient) placeReader(ctx context.Context, q scan, begin map[string]any) (name string, waiting int, err error) {
	ctx, cancel := context.WithTimeout(ctx, max(bc.timeout, placeBudget))
	defer cancel()
	if err := bc.checkReplica(ctx, q); err != nil {
		return "", 0, err
	}
	for range placeTries {
		name, leader, waiting, err := bc.createReader(ctx, q, begin)
		if err == nil && (q.node == "" || leader == "" || leader == q.node) {
			return name, waiting, nil
		}
		bc.discard(q.bucket, name)
		if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
			return "", 0, err
		}
		if !jsapi.Sleep(ctx, jsapi.Pause/5) {
			break
		}
	}
	if q.node == "" {
		return "", 0, context.DeadlineExceeded
	}
	return "", 0, core.Errorf(core.KindUnavailable, "the replica of %s on %s could not be reached", q.bucket, q.node).
		WithNext("see with `unibus-tui status` whether %s is online and its replica current", q.node)
}

// createReader sets no filter: one that matches everything makes the server go
// through all subjects.
func (bc *bucketClient) createReader(ctx context.Context, q scan, begin map[string]any) (name, leader string, waiting int, err error) {
	name = "since_" + token()
	config := map[string]any{
		"name": name, "ack_policy": "none", "replay_policy": "instant",
		"inactive_threshold": consumerIdle, "num_replicas": 1, "mem_storage": true,
	}
	for k, v := range begin {
		config[k] = v
	}
	var info struct {
		consumerInfo
		Waiting int `json:"num_pending"`
	}
	try, cancel := context.WithTimeout(ctx, 2*jsapi.Attempt)
	defer cancel()
	body := map[string]any{"stream_name": streamOf(q.bucket), "config": config}
	err = bc.api.Request(try, "CONSUMER.CREATE."+streamOf(q.bucket)+"."+name, body, &info)
	if err == nil && info.Cluster != nil {
		leader = info.Cluster.Leader
	}
	return name, leader, info.Waiting, err
}
