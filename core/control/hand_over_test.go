package control

import (
	"strings"
	"testing"

	"unibus/core"
)

// TestTwoHandOversAtOnce: an owner who gives a room to two members at once gives it
// to one. The second one would take the room from its new owner.
func TestTwoHandOversAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.room(t, true)
	w.join(t, w.owner, r, w.other)
	first := true
	between := func(bucket, _ string) error {
		if first && strings.HasSuffix(bucket, "rooms") { // the first one has read the room and writes it next
			first = false
			w.must(t, w.owner, methodRole, roleRequest{Room: r, User: string(w.other), Role: core.MemberOwner})
		}
		return nil
	}
	w.onWrite.Store(&between)
	_, err := w.do(w.owner, methodRole, roleRequest{Room: r, User: string(w.member), Role: core.MemberOwner})
	w.onWrite.Store(nil)
	wantKind(t, "a hand-over by a former owner", err, core.KindConflict)
	room, err := w.store.Room(t.Context(), core.RoomID(r))
	if err != nil || room.Owner != w.other || first {
		t.Errorf("the room's owner is %s, %v, want %s", room.Owner, err, w.other)
	}
}
