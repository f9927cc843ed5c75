package admin

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/binding"
)

// message is a signed request for a verb. What only reads is signed too: who
// relayed a login must not read by it either. Nothing is sent in a session in
// which the cluster has not proven its key, and no answer believed. Only a cluster
// of which no key is known may prove none: it has not founded it yet, and
// operators must see why. What reads is then signed for none.
func (c *Client) message(ctx context.Context, subject string, v Verb, body []byte) (*nats.Msg, error) {
	msg := nats.NewMsg(subject)
	msg.Data = body
	if v == VerbIdentify {
		return msg, nil
	}
	if !c.bind.Proven() {
		if err := c.identifyFor(ctx, v); err != nil {
			return nil, err
		}
	}
	return msg, c.bind.Sign(msg, time.Now())
}

// identifyFor has the cluster prove its key for a verb. A cluster that was just
// started founds its key within a second or so; what changes something waits for that.
func (c *Client) identifyFor(ctx context.Context, v Verb) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	for {
		err := c.identify(ctx)
		switch {
		case err == nil, core.KindOf(err) != core.KindUnavailable:
			return err
		case !Rules()[v].Acts() && c.bind.Key() == "":
			return nil
		case !Rules()[v].Acts():
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(identifyEvery):
		}
	}
}

const identifyEvery = 200 * time.Millisecond

// identify has the cluster prove its key over this connection.
func (c *Client) identify(ctx context.Context) error {
	return c.bind.Prove(ctx, func(ctx context.Context, req binding.Request) (binding.Proof, error) {
		return call[binding.Proof](ctx, c, TargetAny, VerbIdentify, req)
	})
}

// Proven says whether the cluster proved its key in the present session.
func (c *Client) Proven() bool { return c.bind != nil && c.bind.Proven() }

// ClusterKey is the cluster's public key: the pinned one, or the one that the
// cluster proved; "" where it has none yet.
func (c *Client) ClusterKey() string {
	if c.bind == nil {
		return c.cfg.ClusterKey
	}
	return c.bind.Key()
}
