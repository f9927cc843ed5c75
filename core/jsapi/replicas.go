package jsapi

import (
	"context"
	"time"

	"unibus/core"
)

const raisePoll = 50 * time.Millisecond

// HasCurrent is true where a stream has at least so many replicas, and its leader
// reports every one of them as current.
func (i StreamInfo) HasCurrent(replicas int) bool {
	c := i.Cluster
	if c == nil {
		return replicas == 1
	}
	if i.Config.Replicas < replicas || c.Leader == "" || len(c.Replicas) != i.Config.Replicas-1 || len(c.Desired) > 0 {
		return false
	}
	for _, r := range c.Replicas {
		if !r.Current || r.Offline {
			return false
		}
	}
	return true
}

// RaiseReplicas gives a stream at least so many replicas, in place, and returns once
// all are current. It never lowers them. ctx is the only bound: KindUnavailable.
func (c Client) RaiseReplicas(ctx context.Context, stream string, replicas int) error {
	for {
		info, err := c.StreamInfo(ctx, stream, Attempt)
		switch {
		case err == nil && info.HasCurrent(replicas):
			return nil
		case err == nil && info.Config.Replicas < replicas:
			cfg := info.Config
			cfg.Replicas = replicas
			if err := c.UpdateStream(ctx, cfg); Answered(err, CodeReplicasFixed, CodeNotClustered) {
				return err
			}
		}
		if !Sleep(ctx, raisePoll) {
			return core.Errorf(core.KindUnavailable, "%s does not have %d current replicas yet", stream, replicas).
				WithNext("they catch up by themselves; see the buckets with `unibus-tui status`")
		}
	}
}
