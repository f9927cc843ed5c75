package migrate

import (
	"context"
	"slices"
	"strings"
	"time"
)

// awaitReadyNodes waits, before anything is fenced, until every node has the target's
// rows in memory: one that has not serves nobody from the cutover until it has.
// After limit the move goes on without, and names those that are late.
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

// unreadyNodes names the nodes that still read; where nobody could be asked, nobody is named.
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
