package migrate

import (
	"context"
	"slices"
	"strings"
	"time"
)

// awaitReady waits, before anything is fenced, until every node has the target's
// rows in memory: one that has not serves nobody from the cutover until it has.
// After limit the move goes on without, and names those that are late.
func (j *Job) awaitReady(ctx context.Context, limit time.Duration) error {
	end := time.Now().Add(limit)
	for {
		late := j.unready(ctx)
		if !slices.Equal(late, j.Status().Unready) {
			j.note(func(s *Status) { s.Unready = late })
		}
		if len(late) == 0 {
			return nil
		}
		if time.Now().After(end) {
			j.cfg.Log.Warn("after a cutover not every node serves at once", "still_reading", strings.Join(late, ", "))
			return nil
		}
		if err := j.breathe(ctx); err != nil {
			return err
		}
		if err := wait(ctx, j.cfg.Limits.Poll); err != nil {
			return err
		}
	}
}

// unready names the nodes that still read; where nobody could be asked, nobody is named.
func (j *Job) unready(ctx context.Context) (late []string) {
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
