package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/jsapi"
)

// Stream keeps the audit of the cluster, and Subjects are its subjects:
// unibus.audit.<node>.<id>, once with an intent and once with its outcome.
const (
	Stream   = "UNIBUS_audit"
	Subjects = "unibus.audit.>"
)

func subjectOf(node, id string) string { return "unibus.audit." + node + "." + id }

// stream speaks to the stream's leader by plain requests.
type stream struct {
	api      jsapi.Client
	replicas int

	keep func([]stored) // gets the records that were written, in their order, under the copy turn

	queue    recordQueue
	turn     chan struct{} // of one: held during one append
	copyTurn chan struct{} // of one: held while records are kept; taken under turn, so that the order stays
	last     *position     // the stream's last record; nil: not known; guarded by turn
}

func streamConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: Stream, Subjects: []string{Subjects}, Description: "what operators did; append-only",
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, Replicas: replicas,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: -1,
		DenyDelete: true, DenyPurge: true, Duplicates: 2 * time.Minute, AllowAtomicPublish: true,
	}
}

// repair returns the configuration that an existing stream should have. Settings that
// let records vanish or be replaced are corrected; KindRefused if that is not possible.
func repair(have jetstream.StreamConfig, replicas int) (jetstream.StreamConfig, error) {
	why := jsapi.Unusable(have, Subjects)
	if why == "" && have.AllowMsgTTL {
		why = "its records may say when they shall end"
	}
	if why != "" {
		return have, core.Errorf(core.KindRefused, "the stream %s cannot keep the audit: %s", Stream, why).
			WithNext("save what is in it, remove it, and start the nodes again")
	}
	want := jsapi.Repair(have, replicas)
	want.DenyDelete, want.DenyPurge, want.AllowRollup = true, true, false
	want.AllowAtomicPublish = true
	want.MaxMsgsPerSubject = -1
	return want, nil
}

// ensure makes the stream exist as streamConfig wants it, once; the caller tries again.
func (s *stream) ensure(ctx context.Context) error {
	return s.api.EnsureKept(ctx, streamConfig(s.replicas), repair)
}

// position is a record of the stream: its sequence, 0 before the first, and its hash.
type position struct {
	seq  uint64
	hash string
}

// noRecord is the hash before the first record.
const noRecord = "0000000000000000000000000000000000000000000000000000000000000000"

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// maxConflicts bounds the tries of one record. At each conflict a record of another
// node was added, which takes milliseconds.
const maxConflicts = 200

// append writes an entry after the one that its subject had at sequence after (0:
// none), once, as the successor of the stream's last record. If another node was
// faster, the entry follows the record of that node: every such try has the whole
// timeout, because the stream answers. A try without an answer is repeated: if it got
// through, the next one finds the entry. Without an answer the outcome is unknown.
func (s *stream) append(ctx context.Context, timeout time.Duration, node string, e entry, after uint64) (stored, error) {
	for range maxConflicts {
		done, err := s.appendNext(ctx, timeout, node, e, after)
		if done.seq > 0 || err != nil {
			return done, err
		}
		if !jsapi.Sleep(ctx, rand.N(conflictPause)) { // or nodes in step would meet again
			break
		}
	}
	return stored{}, core.Errorf(core.KindUnavailable, "the audit did not take a record: other nodes were faster each time")
}

const conflictPause = 5 * time.Millisecond

// stored is a record as the stream has it.
type stored struct {
	seq  uint64
	data []byte
}

// appendCheckpoint writes what sign makes of the stream's last record. Nothing is
// returned where another node was faster.
func (s *stream) appendCheckpoint(ctx context.Context, node string, sign func(end position) (entry, error)) (done stored, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return stored{}, tooLate()
	}
	end, err := s.end(ctx)
	if err != nil {
		return stored{}, err
	}
	e, err := sign(end)
	if err != nil {
		return stored{}, err
	}
	done, err = s.publish(ctx, node, e, 0, end)
	if done.seq > 0 {
		s.copyTurn <- struct{}{}
		s.keep([]stored{done})
		<-s.copyTurn
	}
	return done, err
}

// publish writes an entry after a record of the stream, as append does.
func (s *stream) publish(ctx context.Context, node string, e entry, after uint64, end position) (stored, error) {
	msg := encodeRecord(node, e, after, end.hash)
	msg.Header.Set("Nats-Expected-Last-Sequence", strconv.FormatUint(end.seq, 10))
	for {
		try, cancel := context.WithTimeout(ctx, jsapi.Attempt)
		seq, err := s.api.Publish(try, msg)
		cancel()
		switch {
		case err == nil && seq > 0:
			s.last = &position{seq: seq, hash: hashOf(msg.Data)}
			return stored{seq: seq, data: msg.Data}, nil
		case jsapi.IsConflict(err):
			s.last = nil
			return s.found(ctx, node, e, after)
		}
		if !jsapi.Sleep(ctx, jsapi.Pause) {
			s.last = nil
			return stored{}, tooLate()
		}
	}
}

// awaitTurn waits until no append is under way, and appended records are kept.
func (s *stream) awaitTurn() {
	s.turn <- struct{}{}
	s.copyTurn <- struct{}{}
	<-s.copyTurn
	<-s.turn
}

// forget has the next append read the last record of a stream that was created anew: its
// sequence may be the same.
func (s *stream) forget() {
	s.turn <- struct{}{}
	s.last = nil
	<-s.turn
}

// end is the stream's last record, as far as this node knows: a wrong one is a conflict.
func (s *stream) end(ctx context.Context) (position, error) {
	for s.last == nil {
		m, found, err := s.api.Message(ctx, Stream, map[string]any{"last_by_subj": Subjects})
		if err != nil {
			return position{}, unreadable(err)
		}
		if found {
			s.last = &position{seq: m.Sequence, hash: hashOf(m.Data)}
			break
		}
		info, err := s.api.StreamInfoUntil(ctx, Stream) // a stream without records still counts those that it had
		if err != nil {
			return position{}, unreadable(err)
		}
		if info.State.Messages == 0 { // else the first one was added meanwhile
			s.last = &position{seq: info.State.LastSeq, hash: noRecord}
		}
	}
	return *s.last, nil
}

// found looks for an entry that is there already: ids are random, so one of this
// id and phase is this one. Nothing is returned where another record has the place, or
// an earlier try is still under way: the leader refuses a second one before it has the
// first.
func (s *stream) found(ctx context.Context, node string, e entry, after uint64) (stored, error) {
	last, at, err := s.newest(ctx, node, e.ID)
	switch {
	case err != nil:
		return stored{}, err
	case last == nil && after == 0, last != nil && at.seq == after:
		return stored{}, nil
	case last == nil, last.Phase != e.Phase:
		return stored{}, core.Errorf(core.KindConflict, "the audit has another record under the id %s", e.ID)
	}
	return at, nil
}

// newest is the newest entry of an action, nil where there is none.
func (s *stream) newest(ctx context.Context, node, id string) (*entry, stored, error) {
	m, found, err := s.api.Message(ctx, Stream, map[string]any{"last_by_subj": subjectOf(node, id)})
	switch {
	case err != nil:
		return nil, stored{}, unreadable(err)
	case !found:
		return nil, stored{}, nil
	}
	e, err := decodeEntry(m.Data)
	return &e, stored{seq: m.Sequence, data: m.Data}, err
}

func unreadable(err error) error {
	if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
		return core.Errorf(core.KindUnavailable, "the audit is not there yet").WithNext("wait for a majority of the nodes")
	}
	return core.Errorf(core.KindUnavailable, "the audit cannot be read just now: %w", err).
		WithNext("run it again; it needs a majority of the nodes: `unibus-tui status` shows which answer")
}
