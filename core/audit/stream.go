package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
)

// Stream is the stream of the cluster that keeps the audit, and Subjects what it
// listens to: unibus.audit.<node>.<id>, once with an intent and once with its outcome.
const (
	Stream   = "UNIBUS_audit"
	Subjects = "unibus.audit.>"
)

func subjectOf(node, id string) string { return "unibus.audit." + node + "." + id }

const (
	attempt = 500 * time.Millisecond // of a request that may be sent again
	pause   = 25 * time.Millisecond
)

// stream speaks to the stream's leader by plain requests.
type stream struct {
	nc       *nats.Conn
	replicas int
}

// The answers of nats-server that mean something of their own here.
const (
	codeNoPeers        = 10005
	codeNoMessage      = 10037
	codeStreamNotFound = 10059
	codeWrongLast      = 10071
	codeWrongConstant  = 10164
)

type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

func answered(err error, codes ...int) bool {
	e, ok := errors.AsType[*apiError](err)
	for _, c := range codes {
		if ok && e.ErrCode == c {
			return true
		}
	}
	return false
}

// request sends once, apart from what nobody received, and decodes the answer.
func (s *stream) request(ctx context.Context, msg *nats.Msg, out any) error {
	for {
		reply, err := s.nc.RequestMsgWithContext(ctx, msg)
		if errors.Is(err, nats.ErrNoResponders) && sleep(ctx, pause) {
			continue
		}
		if err != nil {
			return err
		}
		var failed struct {
			Error *apiError `json:"error"`
		}
		if err := json.Unmarshal(reply.Data, &failed); err != nil {
			return errors.New("an answer that cannot be read")
		}
		if failed.Error != nil {
			return failed.Error
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(reply.Data, out)
	}
}

func (s *stream) api(ctx context.Context, verb string, body, out any) error {
	msg := nats.NewMsg("$JS.API." + verb + "." + Stream)
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		msg.Data = data
	}
	return s.request(ctx, msg, out)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func streamConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: Stream, Subjects: []string{Subjects}, Description: "what operators did; append-only",
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, Replicas: replicas,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: -1,
		DenyDelete: true, DenyPurge: true, Duplicates: 2 * time.Minute,
	}
}

// mend returns the configuration that an existing stream should have. What lets
// records vanish or be replaced is put right; KindRefused where that is not possible.
func mend(have jetstream.StreamConfig, replicas int) (jetstream.StreamConfig, error) {
	ideal := streamConfig(replicas)
	for why, wrong := range map[string]bool{
		"it is kept in memory":                    have.Storage != jetstream.FileStorage,
		"it drops what was read":                  have.Retention != jetstream.LimitsPolicy,
		"it listens to other subjects":            len(have.Subjects) != 1 || have.Subjects[0] != Subjects,
		"it copies or renames what others write":  have.Mirror != nil || len(have.Sources) > 0 || have.SubjectTransform != nil,
		"it takes no more records":                have.Sealed,
		"it acknowledges before it is on disk":    have.PersistMode == jetstream.AsyncPersistMode,
		"its records may say when they shall end": have.AllowMsgTTL,
	} {
		if wrong {
			return have, core.Errorf(core.KindRefused, "the stream %s cannot keep the audit: %s", Stream, why).
				WithNext("save what is in it, remove it, and start the nodes again")
		}
	}
	want := have
	want.Replicas = max(have.Replicas, replicas)
	want.DenyDelete, want.DenyPurge, want.AllowRollup = true, true, false
	want.AllowDirect, want.MirrorDirect, want.NoAck = false, false, false
	want.RePublish = nil
	want.Discard, want.DiscardNewPerSubject = ideal.Discard, false
	want.MaxMsgs, want.MaxBytes, want.MaxMsgSize, want.MaxMsgsPerSubject, want.MaxAge = -1, -1, -1, -1, 0
	return want, nil
}

func same(a, b jetstream.StreamConfig) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// ensure makes the stream exist as streamConfig wants it, once; the caller tries again.
func (s *stream) ensure(ctx context.Context) error {
	look, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	var info struct {
		Config jetstream.StreamConfig `json:"config"`
	}
	ctx, end := context.WithTimeout(ctx, 4*attempt)
	defer end()
	err := s.api(look, "STREAM.INFO", nil, &info)
	if answered(err, codeStreamNotFound) {
		return s.api(ctx, "STREAM.CREATE", streamConfig(s.replicas), nil)
	}
	if err != nil {
		return err
	}
	want, err := mend(info.Config, s.replicas)
	if err != nil || same(want, info.Config) {
		return err
	}
	err = s.api(ctx, "STREAM.UPDATE", want, nil)
	if answered(err, codeNoPeers) && want.Replicas > info.Config.Replicas {
		want.Replicas = info.Config.Replicas // the rest must not wait for nodes
		if same(want, info.Config) {
			return nil
		}
		return s.api(ctx, "STREAM.UPDATE", want, nil)
	}
	return err
}

// append writes an entry behind the one that its subject had at sequence after
// (0: none), once: it may be tried again, and where the first try got through
// without an answer the second finds it there. Without an answer until ctx ends
// nobody knows.
func (s *stream) append(ctx context.Context, node string, e entry, after uint64) (seq uint64, err error) {
	msg := nats.NewMsg(subjectOf(node, e.ID))
	msg.Data = e.encode()
	msg.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(after, 10))
	msg.Header.Set("Nats-Expected-Stream", Stream)
	for {
		var ack struct {
			Seq uint64 `json:"seq"`
		}
		try, cancel := context.WithTimeout(ctx, attempt)
		err := s.request(try, msg, &ack)
		cancel()
		switch {
		case err == nil && ack.Seq > 0:
			return ack.Seq, nil
		case answered(err, codeWrongLast, codeWrongConstant):
			if seq, known, err := s.found(ctx, node, e, after); known || err != nil {
				return seq, err
			}
		}
		if !sleep(ctx, pause) {
			return 0, core.Errorf(core.KindUnavailable, "the audit did not take a record in time")
		}
	}
}

// found looks for an entry that is there already: ids are random, so one of this
// id and phase is this one. Not known is an earlier try that is still under way:
// the leader refuses a second one before it has the first.
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

type stored struct {
	Message struct {
		Seq  uint64 `json:"seq"`
		Data []byte `json:"data"`
	} `json:"message"`
}

// last is the newest entry of an action, nil where there is none.
func (s *stream) last(ctx context.Context, node, id string) (*entry, uint64, error) {
	var m stored
	err := s.get(ctx, map[string]any{"last_by_subj": subjectOf(node, id)}, &m)
	if answered(err, codeNoMessage) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, unreadable(err)
	}
	e, err := decodeEntry(m.Message.Data)
	return &e, m.Message.Seq, err
}

// get reads one message from the leader.
func (s *stream) get(ctx context.Context, body map[string]any, m *stored) error {
	return s.ask(ctx, "STREAM.MSG.GET", body, m)
}

// ask is api in short attempts until ctx ends, for what does no harm twice.
func (s *stream) ask(ctx context.Context, verb string, body, out any) error {
	for {
		try, cancel := context.WithTimeout(ctx, attempt)
		err := s.api(try, verb, body, out)
		cancel()
		if _, said := errors.AsType[*apiError](err); err == nil || said || !sleep(ctx, pause) {
			return err
		}
	}
}

func unreadable(err error) error {
	if answered(err, codeStreamNotFound) {
		return core.Errorf(core.KindUnavailable, "the audit is not there yet").WithNext("wait for a majority of the nodes")
	}
	return core.Errorf(core.KindUnavailable, "the audit cannot be read just now: %w", err).
		WithNext("it needs a majority of the nodes; `unibus-tui status` says who is missing")
}
