package events

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/jsapi"
)

// Stream keeps the events of the cluster, and Subjects are its subjects: unibus.history.<node>.
const (
	Stream   = "UNIBUS_events"
	Subjects = "unibus.history.>"
)

// The stream's bounds: the oldest records go.
const (
	MaxAge   = 90 * 24 * time.Hour
	MaxBytes = 8 << 20
)

func subjectOf(node string) string { return "unibus.history." + node }

// stream speaks to the stream's leader by plain requests.
type stream struct {
	api      jsapi.Client
	replicas int
	created  string // of the stream that is read
	seen     uint64 // the last sequence that was read or written
	base     uint64 // is added to the sequences of a stream that was created anew
}

func streamConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: Stream, Subjects: []string{Subjects}, Description: "what happened in the cluster; the oldest records go",
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, Replicas: replicas,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: MaxBytes, MaxAge: MaxAge, MaxMsgSize: -1, MaxMsgsPerSubject: -1,
		DenyDelete: true, DenyPurge: true, Duplicates: 2 * time.Minute,
	}
}

// repair returns the configuration that an existing stream should have; KindRefused where
// it cannot have it.
func repair(have jetstream.StreamConfig, replicas int) (jetstream.StreamConfig, error) {
	if why := jsapi.Unusable(have, Subjects); why != "" {
		return have, core.Errorf(core.KindRefused, "the stream %s cannot keep events: %s", Stream, why).
			WithNext("save what is in it, remove it, and start the nodes again")
	}
	want := jsapi.Repair(have, replicas)
	want.Discard, want.MaxBytes, want.MaxAge = jetstream.DiscardOld, MaxBytes, MaxAge
	want.DenyDelete, want.DenyPurge, want.AllowRollup = true, true, false
	want.MaxMsgsPerSubject = -1
	return want, nil
}

// ensure makes the stream exist as streamConfig wants it, once; the caller tries again.
func (s *stream) ensure(ctx context.Context) error {
	return s.api.EnsureKept(ctx, streamConfig(s.replicas), repair)
}

// readAtOnce bounds one call of readNew: an observation waits for it.
const readAtOnce = 500

// readNew reads what was written since the last time. done is true at the end of the stream.
func (s *stream) readNew(ctx context.Context, each func(seq uint64, data []byte)) (done bool, err error) {
	info, err := s.api.StreamInfo(ctx, Stream, jsapi.Attempt)
	if err != nil {
		return false, err
	}
	if s.created != info.Created {
		s.created, s.base, s.seen = info.Created, s.base+s.seen, 0
	}
	s.seen = min(s.seen, info.State.LastSeq) // a leader may have lost its end
	for range readAtOnce {
		if s.seen >= info.State.LastSeq {
			return true, nil
		}
		try, cancel := context.WithTimeout(ctx, jsapi.Attempt)
		m, found, err := s.api.Message(try, Stream, map[string]any{"seq": s.seen + 1, "next_by_subj": Subjects})
		cancel()
		switch {
		case err != nil:
			return false, err
		case !found: // the last ones are too old
			s.seen = info.State.LastSeq
			return true, nil
		}
		s.seen = m.Sequence
		each(s.base+m.Sequence, m.Data)
	}
	return false, nil
}

// write appends a record after the last one that was read. A conflict means that another node
// wrote meanwhile; after any other error it is unknown whether it was written.
func (s *stream) write(ctx context.Context, r record) (seq uint64, err error) {
	msg := nats.NewMsg(subjectOf(r.Node))
	if msg.Data, err = json.Marshal(r); err != nil {
		return 0, err
	}
	msg.Header.Set("Nats-Expected-Last-Sequence", strconv.FormatUint(s.seen, 10))
	ctx, cancel := context.WithTimeout(ctx, jsapi.Attempt)
	defer cancel()
	seq, err = s.api.Publish(ctx, msg)
	if err == nil {
		s.seen = seq
	}
	return s.base + seq, err
}
