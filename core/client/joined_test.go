package client

import (
	"testing"

	"unibus/core/control"
)

// TestKeyIsOwedToWhoJoined: somebody who joined is given the key. A member whose
// role changed has it already.
func TestKeyIsOwedToWhoJoined(t *testing.T) {
	t.Parallel()
	p := twoInARoom(t)
	ok(t, p.bobs.take(ctx(t))) // nothing is given meanwhile
	defer p.bobs.pass()
	for _, joined := range []bool{false, true} {
		p.bobs.hint(control.Event{Kind: control.EventMember, Room: p.room.ID(), User: p.ann.User(), Joined: joined})
		ok(t, p.bobs.inform(ctx(t)))
		p.bobs.mu.Lock()
		_, owed := p.bobs.pleas[p.ann.User()]
		p.bobs.mu.Unlock()
		if owed != joined {
			t.Errorf("joined %v: the key is owed: %v", joined, owed)
		}
	}
}
