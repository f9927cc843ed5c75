package jsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// configureTimeout bounds the request that creates or updates a stream.
const configureTimeout = 2 * time.Second

// StreamInfo is the answer to STREAM.INFO.
type StreamInfo struct {
	Config  jetstream.StreamConfig `json:"config"`
	Created string                 `json:"created"`
	Cluster *clusterInfo           `json:"cluster"`
	State   struct {
		Messages int    `json:"messages"`
		FirstSeq uint64 `json:"first_seq"`
		LastSeq  uint64 `json:"last_seq"`
	} `json:"state"`
}

// clusterInfo names the replicas of a stream.
type clusterInfo struct {
	Leader   string `json:"leader"`
	Replicas []struct {
		Name    string `json:"name"`
		Current bool   `json:"current"`
		Offline bool   `json:"offline"`
	} `json:"replicas"`
	Desired json.RawMessage `json:"desired"` // present while the server is still changing the replicas
}

// Leader is "" where a server stands alone.
func (i StreamInfo) Leader() string {
	if i.Cluster == nil {
		return ""
	}
	return i.Cluster.Leader
}

// StreamInfo asks once about a stream, within the given time.
func (c Client) StreamInfo(ctx context.Context, stream string, within time.Duration) (info StreamInfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err = c.Request(ctx, "STREAM.INFO."+stream, nil, &info)
	return info, err
}

// StreamInfoUntil asks about a stream until the context ends.
func (c Client) StreamInfoUntil(ctx context.Context, stream string) (info StreamInfo, err error) {
	err = c.RequestUntil(ctx, "STREAM.INFO."+stream, nil, &info)
	return info, err
}

// CreateStream creates a stream.
func (c Client) CreateStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	return c.configure(ctx, "STREAM.CREATE.", cfg)
}

// UpdateStream changes the configuration of a stream.
func (c Client) UpdateStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	return c.configure(ctx, "STREAM.UPDATE.", cfg)
}

func (c Client) configure(ctx context.Context, verb string, cfg jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, configureTimeout)
	defer cancel()
	return c.Request(ctx, verb+cfg.Name, cfg, nil)
}

// EnsureStream is one try to make a stream exist as it should be: it creates the
// stream, or updates its configuration to the one that repair returns. exists is true
// where the stream was found; err says whether the configuration is right then.
//
// If there are too few nodes for more replicas, the rest of the update is done
// without them, because it must not wait for nodes. The error is CodeNoPeers then.
func (c Client) EnsureStream(ctx context.Context, create jetstream.StreamConfig, within time.Duration,
	repair func(have jetstream.StreamConfig) (jetstream.StreamConfig, error),
) (exists bool, err error) {
	info, err := c.StreamInfo(ctx, create.Name, within)
	if Answered(err, CodeStreamNotFound) {
		err = c.CreateStream(ctx, create)
		if Answered(err, CodeStreamExists) {
			return true, fmt.Errorf("another node created %s meanwhile: %w", create.Name, err)
		}
		return false, err
	}
	if err != nil {
		return false, err
	}
	want, err := repair(info.Config)
	if err != nil || SameConfig(want, info.Config) {
		return true, err
	}
	err = c.UpdateStream(ctx, want)
	if Answered(err, CodeNoPeers) && want.Replicas > info.Config.Replicas {
		want.Replicas = info.Config.Replicas
		if !SameConfig(want, info.Config) {
			if rest := c.UpdateStream(ctx, want); rest != nil {
				return true, rest
			}
		}
	}
	return true, err
}

// EnsureKept is EnsureStream within Attempt for a stream that works with fewer replicas than
// create asks for: while it cannot have more, it keeps those that it has.
func (c Client) EnsureKept(ctx context.Context, create jetstream.StreamConfig,
	repair func(have jetstream.StreamConfig, replicas int) (jetstream.StreamConfig, error),
) error {
	exists, err := c.EnsureStream(ctx, create, Attempt, func(have jetstream.StreamConfig) (jetstream.StreamConfig, error) {
		return repair(have, create.Replicas)
	})
	if exists && Answered(err, CodeNoPeers) {
		return nil
	}
	return err
}

// SameConfig compares as the server does: by what is sent.
func SameConfig(a, b jetstream.StreamConfig) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// Unusable says why no update can make a stream keep records that were
// acknowledged; "" where nothing is wrong. subject is what it has to listen to.
func Unusable(have jetstream.StreamConfig, subject string) string {
	switch {
	case have.Storage != jetstream.FileStorage:
		return "it is kept in memory, and would be lost when the nodes stop"
	case have.Retention != jetstream.LimitsPolicy:
		return "it drops what was read"
	case len(have.Subjects) != 1 || have.Subjects[0] != subject:
		return "it listens to other subjects than its own"
	case have.Mirror != nil || len(have.Sources) > 0 || have.SubjectTransform != nil:
		return "it copies or renames what others write"
	case have.Sealed:
		return "it is sealed"
	case have.PersistMode == jetstream.AsyncPersistMode:
		return "it acknowledges writes before they are on disk"
	}
	return ""
}

// Repair returns the configuration with at least so many replicas, reads by the
// leader alone, an answer to every message, and no limit that lets one vanish.
func Repair(have jetstream.StreamConfig, replicas int) jetstream.StreamConfig {
	want := have
	want.Replicas = max(have.Replicas, replicas)
	want.AllowDirect, want.MirrorDirect = false, false
	want.NoAck = false
	want.RePublish = nil
	want.Discard, want.DiscardNewPerSubject = jetstream.DiscardNew, false
	want.MaxMsgs, want.MaxBytes, want.MaxMsgSize = -1, -1, -1
	want.MaxAge = 0
	return want
}

// Message is one message of a stream, as its leader has it.
type Message struct {
	Subject  string `json:"subject"`
	Sequence uint64 `json:"seq"`
	Header   []byte `json:"hdrs"`
	Data     []byte `json:"data"`
	Time     string `json:"time"` // when it was written, as the server writes times
}

// Message asks the leader of a stream for one message, by the fields of
// STREAM.MSG.GET, until the context ends. found is false where there is none.
func (c Client) Message(ctx context.Context, stream string, which map[string]any) (m Message, found bool, err error) {
	var answer struct {
		Message Message `json:"message"`
	}
	err = c.RequestUntil(ctx, "STREAM.MSG.GET."+stream, which, &answer)
	if Answered(err, CodeNoMessage) {
		return Message{}, false, nil
	}
	return answer.Message, err == nil, err
}
