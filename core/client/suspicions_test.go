package client

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"unibus/core/control"
	"unibus/core/seal"
)

// TestSuspicionsAreKept: a program that reads no events, or begins to later, sees what was
// suspected of a room; one that comes again is counted, and the number of them is bounded.
func TestSuspicionsAreKept(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Room.Epoch-- } })
	p.caught(t, seal.ErrRollback)
	p.liar.lie(func(l *lyingAPI) { l.room = nil })
	all := p.bobs.Suspicions()
	if len(all) != 1 || !errors.Is(all[0].Err, seal.ErrRollback) || all[0].Times < 1 || all[0].Last.Before(all[0].First) {
		t.Errorf("%+v", all)
	}
	l, begin := &suspicionLog{}, time.Now()
	for i := range 3 * maxSuspicions {
		l.note("lobby", fmt.Errorf("number %d", i), begin.Add(time.Duration(i)))
	}
	l.note("lobby", fmt.Errorf("number %d", 2*maxSuspicions), begin.Add(time.Hour))
	if now := l.of["lobby"]; len(now) != maxSuspicions || now[len(now)-1].Times != 2 || !now[len(now)-1].Last.Equal(begin.Add(time.Hour)) {
		t.Errorf("%d are kept, the newest is %+v", len(now), now[len(now)-1])
	}
	for i := range maxSuspectedRooms + 10 {
		l.note(p.room.ID()+"x", errors.New("x"), begin)
		l.note(control.NewRoomID(), fmt.Errorf("x%d", i), begin)
	}
	if len(l.of) > maxSuspectedRooms {
		t.Errorf("of %d rooms", len(l.of))
	}
}
