package client

import (
	"context"
	"testing"

	"unibus/core/control"
)

// TestKeyIsOwedToWhoJoined: a user who has joined is given the key. A member whose
// role changed has it already.
func TestKeyIsOwedToWhoJoined(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { // nothing is given meanwhile
		for _, joined := range []bool{false, true} {
			p.bobs.noteEvent(control.Event{Kind: control.EventMember, Room: p.room.ID(), User: p.ann.User(), Joined: joined})
			if err := w.refreshMembers(ctx); err != nil {
				return err
			}
			owed := false
			inLoop(t, p.bobs, func(l *roomLoop) { _, owed = l.keyRequests[p.ann.User()] })
			if owed != joined {
				t.Errorf("joined %v: the key is owed: %v", joined, owed)
			}
		}
		return nil
	}))
}
