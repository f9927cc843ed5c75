package jsapi

import (
	"context"
	"encoding/json"
	"time"

	"unibus/core"
)

const replicasPoll = 50 * time.Millisecond

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

// SetReplicas gives a stream so many replicas, more or fewer than it has, in place, and
// returns once these are all and all are current. The server drops a replica only after
// those that stay have everything. refused is asked about an answer of the meta group: true
// ends the wait with that answer. ctx is the only other bound: KindUnavailable.
func (c Client) SetReplicas(ctx context.Context, stream string, replicas int, refused func(error) bool) error {
	for {
		info, err := c.StreamInfo(ctx, stream, Attempt)
		switch {
		case err == nil && info.Config.Replicas == replicas && info.HasCurrent(replicas):
			return nil
		case err == nil && info.Config.Replicas != replicas:
			cfg := info.Config
			cfg.Replicas = replicas
			if err := c.UpdateStream(ctx, cfg); refused(err) {
				return err
			}
		}
		if !Sleep(ctx, replicasPoll) {
			return core.Errorf(core.KindUnavailable, "%s does not have %d current replicas yet%s", stream, replicas, info.waitsFor()).
				WithNext("the cluster continues by itself; see the buckets with `unibus-tui status`")
		}
	}
}

// waitsFor is what the server says that a change of the replicas waits for.
func (i StreamInfo) waitsFor() string {
	var d struct {
		Status *struct {
			Description string `json:"description"`
		} `json:"status"`
	}
	if i.Cluster == nil || json.Unmarshal(i.Cluster.Desired, &d) != nil || d.Status == nil || d.Status.Description == "" {
		return ""
	}
	return ": the server is " + d.Status.Description
}
