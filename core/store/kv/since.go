package kv

import (
	"context"
	"strings"
	"time"

	"unibus/core"
)

// Mark is the place that a table's history has come to, as its leader says: the
// last sequence, and how many keys are kept up to it, those of removed rows and
// of the mechanism included. KindUnavailable where nobody says.
func (s *Store) Mark(ctx context.Context, t core.Table) (sequence uint64, kept int, err error) {
	info, err := s.infoAgain(ctx, t.Bucket())
	return info.State.LastSeq, info.State.Messages, err
}

// ReplicaSince returns what one node's own replica has that was written after a
// sequence, as the keys are now: rows in the order of their writes, a removed one
// with a nil Value; how many keys of the mechanism were written; and how many
// keys it keeps that were not. It waits until the replica has what the leader
// had at the start; node "" reads any. It reads the new part alone, however large
// the table is. Writes meanwhile make the three disagree by as many keys.
// KindConflict where the table has not come to that sequence: it is not the one that had.
func (s *Store) ReplicaSince(ctx context.Context, t core.Table, node string, after uint64) (rows []core.Row, mechanism, older int, err error) {
	q := scan{bucket: t.Bucket(), filter: ">", node: node}
	end, err := s.newestSince(ctx, q, after)
	if err != nil {
		return nil, 0, 0, err
	}
	kept, err := s.countReplica(ctx, q)
	if err != nil {
		return nil, 0, 0, err
	}
	name, _, err := s.placeReader(ctx, q, startingAfter(after, end, consumerIdle))
	if err != nil {
		return nil, 0, 0, fault(err, q.doing())
	}
	defer s.discard(q.bucket, name)
	late := latest{at: map[string]int{}}
	err = s.pull(ctx, q, name, end, func(e entry) error {
		if e.rev > after {
			late.add(t, e)
		}
		return nil
	})
	return late.rows, late.mechanism(), kept - len(late.at), fault(err, q.doing())
}

// newestSince is the place that a table has come to, which must not lie before after.
func (s *Store) newestSince(ctx context.Context, q scan, after uint64) (uint64, error) {
	end, found, err := s.newest(ctx, q)
	if err == nil && (!found || end.rev < after) {
		err = core.Errorf(core.KindConflict, "%s has come to %d, and was at %d before: it was made anew, or restored from something older", q.bucket, end.rev, after).
			WithNext("look at who did that before anything is moved; then start again")
	}
	return end.rev, err
}

// startingAfter is a reader of what comes after a place, or from the last message
// on at the latest: having that, the replica has everything.
func startingAfter(after, end uint64, idle time.Duration) map[string]any {
	return map[string]any{"deliver_policy": "by_start_sequence", "opt_start_seq": min(after+1, end), "inactive_threshold": idle}
}

// latest keeps the newest of each key that comes.
type latest struct {
	at   map[string]int // -1: of the mechanism
	rows []core.Row
}

func (l *latest) add(t core.Table, e entry) {
	if strings.HasPrefix(e.key, "_") {
		l.at[e.key] = -1
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

func (l *latest) mechanism() int { return len(l.at) - len(l.rows) }

// countReplica is how many keys one replica keeps: a reader that is placed on it
// is told how many messages await it. None is fetched.
func (s *Store) countReplica(ctx context.Context, q scan) (int, error) {
	name, waiting, err := s.placeReader(ctx, q, map[string]any{"deliver_policy": "all"})
	if err != nil {
		return 0, fault(err, q.doing())
	}
	s.discard(q.bucket, name)
	return waiting, nil
}

// placeReader is place for a consumer that begins elsewhere than at every key's
// newest; waiting is how many messages it found when it was made.
func (w *wire) placeReader(ctx context.Context, q scan, begin map[string]any) (name string, waiting int, err error) {
	ctx, cancel := context.WithTimeout(ctx, max(w.timeout, placeBudget))
	defer cancel()
	if err := w.checkReplica(ctx, q); err != nil {
		return "", 0, err
	}
	for range placeTries {
		name, leader, waiting, err := w.createReader(ctx, q, begin)
		if err == nil && (q.node == "" || leader == "" || leader == q.node) {
			return name, waiting, nil
		}
		w.discard(q.bucket, name)
		if answered(err, codeStreamNotFound) {
			return "", 0, err
		}
		if !sleep(ctx, pause/5) {
			break
		}
	}
	if q.node == "" {
		return "", 0, context.DeadlineExceeded
	}
	return "", 0, core.Errorf(core.KindUnavailable, "the replica of %s on %s could not be reached", q.bucket, q.node).
		WithNext("see with `unibus-tui status` whether %s is online and its replica current", q.node)
}

func (w *wire) createReader(ctx context.Context, q scan, begin map[string]any) (name, leader string, waiting int, err error) {
	name = "since_" + token()
	config := map[string]any{
		"name": name, "ack_policy": "none", "replay_policy": "instant", "filter_subject": subjectOf(q.bucket, q.filter),
		"inactive_threshold": consumerIdle, "num_replicas": 1, "mem_storage": true,
	}
	for k, v := range begin {
		config[k] = v
	}
	var info struct {
		consumerInfo
		Waiting int `json:"num_pending"`
	}
	try, cancel := context.WithTimeout(ctx, 2*attempt)
	defer cancel()
	body := map[string]any{"stream_name": streamOf(q.bucket), "config": config}
	err = w.ask(try, "CONSUMER.CREATE."+streamOf(q.bucket)+"."+name+"."+subjectOf(q.bucket, q.filter), body, &info)
	if err == nil && info.Cluster != nil {
		leader = info.Cluster.Leader
	}
	return name, leader, info.Waiting, err
}
