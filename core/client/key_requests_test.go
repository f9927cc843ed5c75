package client

import (
	"context"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
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

// TestRekeyDoesNotWaitForOtherKeys: a call for a new key comes between two members who
// are being given the present one, however many of them there are.
func TestRekeyDoesNotWaitForOtherKeys(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	const waiting = 300
	ok(t, runJob(t, p.bobs, func(context.Context, *reconciler) error { // nothing is given meanwhile
		inLoop(t, p.bobs, func(l *roomLoop) {
			for range waiting {
				l.keyRequests[newID(t)] = keyRequest{at: time.Now()}
			}
		})
		return nil
	}))
	left := func() (n int) {
		inLoop(t, p.bobs, func(l *roomLoop) { n = len(l.keyRequests) })
		return n
	}
	p.bobs.wake()
	nodetest.Wait(t, wait, func() error {
		if left() == waiting {
			return core.Errorf(core.KindUnavailable, "no member is being given the key yet")
		}
		return nil
	})
	ok(t, p.bobs.Rekey(ctx(t)))
	if left := left(); left < waiting/2 {
		t.Errorf("the new key was made after %d of %d members had been given the old one", waiting-left, waiting)
	}
}

func newID(t *testing.T) core.UserID {
	t.Helper()
	return core.UserID(must[keys.Identity](t)(keys.GenerateIdentity()).Public())
}
