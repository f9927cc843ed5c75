package migrate

import (
	"context"
	"slices"
	"strings"
	"time"
)

// awaitReadyNodes waits, before the fence, until every node has the target's rows
// in memory: without them a node serves nothing after the cutover. After limit the
// migration continues, and the status names the late nodes.
func (j *Job) awaitReadyNodes(ctx context.Context, limit time.Duration) error {
	end := time.Now().Add(limit)
	for {
		late := j.unreadyNodes(ctx)
		if !slices.Equal(late, j.Status().UnreadyNodes) {
			j.updateStatus(func(s *Status) { s.UnreadyNodes = late })
		}
		if len(late) == 0 {
			return nil
		}
		if time.Now().After(end) {
			j.cfg.Log.Warn("after a cutover not every node serves at once", "still_reading", strings.Join(late, ", "))
			return nil
		}
		if err := j.checkInterrupted(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, j.cfg.Limits.PollInterval); err != nil {
			return err
		}
	}
}

// unreadyNodes names the nodes that are still loading rows. If the cluster does
// not answer, it names none.
func (j *Job) unreadyNodes(ctx context.Context) (late []string) {
	c, err := j.cfg.Cluster(ctx)
	if err != nil {
		return nil
	}
	for _, p := range c.Peers {
		if !p.Ready {
			late = append(late, p.Name)
		}
	}
	return late
}
