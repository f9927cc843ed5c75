package admin

import (
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
)

// message is a request for a verb, signed where the verb is an act.
func (c *Client) message(subject string, v Verb, body []byte) (*nats.Msg, error) {
	msg := nats.NewMsg(subject)
	msg.Data = body
	if !Rules()[v].Acts() {
		return msg, nil
	}
	cluster, err := c.signsFor()
	if err != nil {
		return nil, err
	}
	s := auth.NewSigned(cluster, subject, body, core.MillisOf(time.Now()))
	signature, err := auth.Sign(s, c.cfg.Identity.Sign)
	if err != nil {
		return nil, err
	}
	msg.Header = auth.Headers(s, signature)
	return msg, nil
}

// signsFor is the cluster that requests are signed for: the one that the
// connected server says it belongs to, or the node's own name where it stands
// alone. A server that lies gets a signature that its own cluster refuses, and
// that no other takes under this operator's subjects but from this operator's connection.
func (c *Client) signsFor() (string, error) {
	name := c.nc.ConnectedClusterName()
	if name == "" {
		name = c.nc.ConnectedServerName()
	}
	switch {
	case c.cfg.Cluster == "" && name == "":
		return "", core.Errorf(core.KindUnavailable, "there is no connection to a node just now; nothing was sent").WithNext("try again")
	case c.cfg.Cluster != "" && name != "" && name != c.cfg.Cluster:
		return "", core.Errorf(core.KindRefused, "the node belongs to the cluster %q, and this is for %q; nothing was sent", name, c.cfg.Cluster).
			WithNext("look at --server")
	case c.cfg.Cluster != "":
		return c.cfg.Cluster, nil
	}
	return name, nil
}
