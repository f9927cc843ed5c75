package kv

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// A replica that sends nothing but heartbeats is left for another one, also by the
// watch of a large table, which others wait for meanwhile.
func TestHeartbeatsAloneAreNoProgress(t *testing.T) {
	t.Parallel()
	wb := newWatchedBucket(&bucketClient{log: slog.New(slog.DiscardHandler)}, core.TableUsers, "n1", func(Change) {}, func(*core.Error) {})
	n := wb.newWatch()
	n.large = true
	n.setTarget(5)
	life, end := context.WithTimeout(t.Context(), 30*time.Second)
	defer end()
	over := make(chan error, 1)
	go func() { over <- n.caughtUp(life) }()
	beats := time.NewTicker(heartbeat / 4)
	defer beats.Stop()
	for {
		select {
		case <-beats.C:
			n.beat(&nats.Msg{Header: nats.Header{"Status": {"100"}}})
		case err := <-over:
			if !errors.Is(err, context.DeadlineExceeded) || life.Err() != nil {
				t.Errorf("it ended with %v", err)
			}
			return
		}
	}
}
