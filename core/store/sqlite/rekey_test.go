package sqlite

import (
	"fmt"
	"testing"
	"time"

	"unibus/core"
)

// TestStagesAreBounded: by bytes and by time; the user with the largest stages loses
// boxes first, and no user waits for another one's rekey to end.
func TestStagesAreBounded(t *testing.T) {
	t.Parallel()
	var s stagedRekeys
	now := time.Unix(1, 0)
	at := func(room, rec string) stagedRekeyKey { return stagedRekeyKey{epochOf{core.RoomID(room), 1}, rec} }
	add := func(k stagedRekeyKey, by string, size int) error {
		box := make([]byte, size)
		return s.add(k, []core.SealedKey{{User: core.UserID(by), Box: box, SealedBy: &by}}, now)
	}
	const large = maxStageBytes / 8
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(add(at("r", "1"), "ann", 1000))
	for i := range 20 {
		now = now.Add(time.Second)
		must(add(at("s", fmt.Sprint(i)), "eve", large))
	}
	must(add(at("q", "1"), "bob", large))
	if len(s.keysOf(at("r", "1"))) != 1 || len(s.keysOf(at("q", "1"))) != 1 || s.size > maxStageBytes {
		t.Errorf("%d bytes in %d stages, ann's %d", s.size, len(s.all), len(s.keysOf(at("r", "1"))))
	}
	if s.keysOf(at("s", "0")) != nil || s.keysOf(at("s", "19")) == nil {
		t.Error("of who has the most the oldest are forgotten")
	}
	if err := add(at("big", "1"), "bob", maxStageBytes+1); core.KindOf(err) != core.KindInvalid {
		t.Errorf("more than there is room for: %v", err)
	}
	if s.all[at("big", "1")] != nil || len(s.keysOf(at("q", "1"))) != 1 {
		t.Error("what was refused has taken room")
	}
	now = now.Add(stageLife)
	must(add(at("r", "1"), "ann", 1000))
	now = now.Add(time.Second)
	must(add(at("r", "2"), "ann", 1))
	if len(s.all) != 2 || s.size != 1001 {
		t.Errorf("after its time: %d bytes in %d stages", s.size, len(s.all))
	}
}
