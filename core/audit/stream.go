package audit

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
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
}

func streamConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: Stream, Subjects: []string{Subjects}, Description: "what operators did; append-only",
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, Replicas: replicas,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: -1,
		DenyDelete: true, DenyPurge: true, Duplicates: 2 * time.Minute,
	}
}

// repair returns the configuration that an existing stream should have. What lets
// records vanish or be replaced is put right; KindRefused where that is not possible.
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
	want.MaxMsgsPerSubject = -1
	return want, nil
}

// ensure makes the stream exist as streamConfig wants it, once; the caller tries again.
func (s *stream) ensure(ctx context.Context) error {
	exists, err := s.api.EnsureStream(ctx, streamConfig(s.replicas), jsapi.Attempt, func(have jetstream.StreamConfig) (jetstream.StreamConfig, error) {
		return repair(have, s.replicas)
	})
	if exists && jsapi.Answered(err, jsapi.CodeNoPeers) { // it keeps the replicas that it has
		return nil
	}
	return err
}

// append writes an entry after the one that its subject had at sequence after (0:
// none), once. It may be tried again: if the first try got through without an
// answer, the second finds the entry there. Without an answer until ctx ends the
// outcome is unknown.
func (s *stream) append(ctx context.Context, node string, e entry, after uint64) (seq uint64, err error) {
	msg := nats.NewMsg(subjectOf(node, e.ID))
	msg.Data = e.encode()
	msg.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(after, 10))
	msg.Header.Set("Nats-Expected-Stream", Stream)
	for {
		try, cancel := context.WithTimeout(ctx, jsapi.Attempt)
		seq, err := s.api.Publish(try, msg)
		cancel()
		switch {
		case err == nil && seq > 0:
			return seq, nil
		case jsapi.IsConflict(err):
			if seq, known, err := s.found(ctx, node, e, after); known || err != nil {
				return seq, err
			}
		}
		if !jsapi.Sleep(ctx, jsapi.Pause) {
			return 0, core.Errorf(core.KindUnavailable, "the audit did not take a record in time")
		}
	}
}

// found looks for an entry that is there already: ids are random, so one of this
// id and phase is this one. known is false where an earlier try is still under
// way: the leader refuses a second one before it has the first.
func (s *stream) found(ctx context.Context, node string, e entry, after uint64) (seq uint64, known bool, err error) {
	last, seq, err := s.last(ctx, node, e.ID)
	switch {
	case err != nil:
		return 0, false, err
	case last == nil && after == 0, last != nil && seq == after:
		return 0, false, nil
	case last == nil, last.Phase != e.Phase:
		return 0, false, core.Errorf(core.KindConflict, "the audit has another record under the id %s", e.ID)
	}
	return seq, true, nil
}

// last is the newest entry of an action, nil where there is none.
func (s *stream) last(ctx context.Context, node, id string) (*entry, uint64, error) {
	m, found, err := s.api.Message(ctx, Stream, map[string]any{"last_by_subj": subjectOf(node, id)})
	switch {
	case err != nil:
		return nil, 0, unreadable(err)
	case !found:
		return nil, 0, nil
	}
	e, err := decodeEntry(m.Data)
	return &e, m.Sequence, err
}

func unreadable(err error) error {
	if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
		return core.Errorf(core.KindUnavailable, "the audit is not there yet").WithNext("wait for a majority of the nodes")
	}
	return core.Errorf(core.KindUnavailable, "the audit cannot be read just now: %w", err).
		WithNext("it needs a majority of the nodes; `unibus-tui status` names the missing ones")
}
