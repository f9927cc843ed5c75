package cluster

import (
	"context"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// Requester asks one question of many and hears every answer.
type Requester interface {
	// RequestMany publishes a request and hands each reply to each, one at a
	// time, until each returns false or ctx ends. The end of ctx is no error:
	// nothing says when the last reply has come.
	RequestMany(ctx context.Context, subject string, payload []byte, each func(reply []byte) bool) error
}

// maxReplies bounds how many replies to one request wait to be read.
const maxReplies = 256

// Conn is a Requester over a NATS connection.
type Conn struct{ NATS *nats.Conn }

// RequestMany implements Requester. KindUnavailable where the connection is closed or no server listens.
func (c Conn) RequestMany(ctx context.Context, subject string, payload []byte, each func([]byte) bool) error {
	inbox := c.NATS.NewInbox()
	replies := make(chan *nats.Msg, maxReplies)
	sub, err := c.NATS.ChanSubscribe(inbox, replies)
	if err != nil {
		return core.Errorf(core.KindUnavailable, "the other nodes cannot be asked: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection, where it is gone anyway
	if err := c.NATS.PublishRequest(subject, inbox, payload); err != nil {
		return core.Errorf(core.KindUnavailable, "the other nodes cannot be asked: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-replies:
			if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
				return core.Errorf(core.KindUnavailable, "no server answers %s", subject)
			}
			if !each(m.Data) {
				return nil
			}
		}
	}
}
