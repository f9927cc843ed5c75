package admin

import (
	"context"
	"errors"
	"strings"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// isUnknownSubject is true for the error of a request that no node subscribes to, or that a node
// refuses because it is on no list of what operators may ask. Both are the answer of nodes
// that do not know a verb.
func isUnknownSubject(v Verb, err error) bool {
	return errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, nats.ErrPermissionViolation) && Rules()[v].Role == core.OperatorViewer
}

// askOrExplain is ask, and says so where the nodes do not know the verb: an error about the
// store or the identity would lead an operator astray.
func (c *Client) askOrExplain(ctx context.Context, t Target, v Verb, body []byte) (*nats.Msg, error) {
	msg, err := c.ask(ctx, t, v, body)
	if t != TargetAny || v == verbStatus || v == verbIdentify || !isUnknownSubject(v, err) {
		return msg, err
	}
	unknown := c.unknownVerb(ctx, v)
	if unknown == nil {
		return msg, err
	}
	if msg, err = c.ask(ctx, t, v, body); isUnknownSubject(v, err) { // the node may have just begun to serve
		return nil, unknown
	}
	return msg, err
}

// unknownVerb is the error of a verb that the nodes do not know, nil if none of them would
// answer it anyhow.
func (c *Client) unknownVerb(ctx context.Context, v Verb) error {
	st, err := c.Status(ctx)
	if err != nil {
		return nil
	}
	var nodes []string
	for _, n := range st.Nodes {
		if !n.Online || n.Info == nil || Rules()[v].NeedsStore && n.Info.Serving.Backend.Served() == "nothing" {
			continue
		}
		nodes = append(nodes, n.Name+" ("+n.Info.Version+")")
	}
	if len(nodes) == 0 {
		return nil
	}
	return core.Errorf(core.KindUnavailable, "no node knows the request %s, so it was not done: %s of another release", v, strings.Join(nodes, ", ")+countNodes(len(nodes))).
		WithOutcome(core.OutcomeNone).
		WithNext("upgrade the nodes, or use the unibusd and unibus-tui of their release")
}

func countNodes(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}
