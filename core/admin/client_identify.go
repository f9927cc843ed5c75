package admin

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/binding"
	"unibus/core/request"
)

// message is a request for a verb, signed for all but verbIdentify: a server that
// relayed a login must not read by it either. Only a cluster of which no key is
// known may prove none, because it has not founded it yet and operators must see
// why. A reading request is then signed for none.
func (c *Client) message(subject string, v Verb, body []byte) request.Message {
	if v == verbIdentify {
		return request.Message{Subject: subject, Body: body}
	}
	return request.Message{
		Subject: subject, Body: body, Signed: true,
		Prove: func(ctx context.Context) error { return c.identifyFor(ctx, v) },
	}
}

// identifyFor has the cluster prove its key for a verb. A cluster that was just started
// founds its key within a second or so; a verb that changes something waits for that.
func (c *Client) identifyFor(ctx context.Context, v Verb) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	for {
		err := c.identify(ctx)
		switch {
		case err == nil, core.KindOf(err) != core.KindUnavailable:
			return err
		case !Rules()[v].Acts() && c.session.Load().requests.ClusterKey() == "":
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
	return c.session.Load().requests.Identify(ctx, func(ctx context.Context, req binding.Request) (binding.Proof, error) {
		return call[binding.Proof](ctx, c, TargetAny, verbIdentify, req)
	})
}

// Proven says whether the cluster proved its key in the present session.
func (c *Client) Proven() bool {
	s := c.session.Load()
	return s != nil && s.requests.Proven()
}

// ClusterKey is the cluster's public key: the pinned one, or the one that the
// cluster proved; "" where it has none yet.
func (c *Client) ClusterKey() string {
	s := c.session.Load()
	if s == nil {
		return c.cfg.ClusterKey
	}
	return s.requests.ClusterKey()
}
