package migrate

import (
	"context"
	"strings"
	"time"

	"unibus/core"
)

// explainTimeout bounds the request behind an explanation.
const explainTimeout = 5 * time.Second

// explainJetStreamOff adds to an error without an answer that JetStream has turned
// itself off on a node. It stays off until that node is restarted.
func (j *Job) explainJetStreamOff(ctx context.Context, in State, err error) error {
	why := core.AsError(err)
	if in == StatePreflight || why.Kind != core.KindUnavailable && why.Kind != core.KindFailed {
		return err // preflight lists it as a problem
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	c, cerr := j.cfg.Cluster(ctx)
	var off []string
	for _, p := range c.Peers {
		if p.JetStreamOff {
			off = append(off, p.Name)
		}
	}
	if cerr != nil || len(off) == 0 {
		return err
	}
	then := "`unibusd migration resume`"
	if why.Next != "" {
		then = why.Next
	}
	return core.Errorf(why.Kind, "%w; %s", err, jetStreamOffText(off)).
		WithNext("free disk space in the data directory of %s, restart unibusd there; then %s", strings.Join(off, " and "), then)
}

func jetStreamOffText(nodes []string) string {
	return "JetStream has turned itself off on " + strings.Join(nodes, " and ") + ", as it does where a disk is full"
}
