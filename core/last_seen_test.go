package core_test

import (
	"slices"
	"testing"

	"unibus/core"
	"unibus/core/keys"
)

const hour = core.Millis(3_600_000)

func newUserID(t *testing.T) core.UserID {
	t.Helper()
	_, public, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return core.UserID(public)
}

// TestLastSeenNeverGoesBack: neither a clock that was set back nor an older part takes an hour away.
func TestLastSeenNeverGoesBack(t *testing.T) {
	t.Parallel()
	var l core.LastSeen
	a, b := newUserID(t), newUserID(t)
	if l.Of(a) != 0 || l.Mark([]core.UserID{a, "nonsense"}, 100*hour+5) != 1 || l.Of(a) != 100*hour {
		t.Errorf("a was seen %d", l.Of(a))
	}
	if l.Mark([]core.UserID{a}, 100*hour+50) != 0 || l.Mark([]core.UserID{a}, 7*hour) != 0 || l.Mark([]core.UserID{a}, -5) != 0 || l.Of(a) != 100*hour {
		t.Errorf("it went to %d", l.Of(a))
	}
	var older core.LastSeen
	older.Mark([]core.UserID{a}, 90*hour)
	for _, shard := range older.Dirty() {
		data, _ := older.EncodeShard(shard)
		if err := l.Merge(shard, data); err != nil || l.Of(a) != 100*hour || !slices.Equal(l.Dirty(), []int{shard}) {
			t.Errorf("%v, %d, %v", err, l.Of(a), l.Dirty())
		}
		l.Mark([]core.UserID{b}, 101*hour)
		mine, written := l.EncodeShard(shard)
		if err := older.Merge(shard, mine); err != nil || older.Of(a) != 100*hour || len(older.Dirty()) != 0 {
			t.Errorf("%v, %d, %v", err, older.Of(a), older.Dirty())
		}
		l.Mark([]core.UserID{a}, 102*hour)
		if written(); !slices.Contains(l.Dirty(), shard) {
			t.Error("what came while a part was written is not written any more")
		}
	}
}

// TestLastSeenRefuses parts that it did not make.
func TestLastSeenRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shard int
		data  string
	}{{0, ""}, {0, "\x02"}, {0, "\x01x"}, {-1, "\x01"}, {256, "\x01"}} {
		var l core.LastSeen
		if err := l.Merge(c.shard, []byte(c.data)); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
	var l core.LastSeen
	if err := l.Merge(3, append([]byte{1, 9}, make([]byte, 35)...)); err != nil || len(l.Dirty()) != 0 {
		t.Errorf("a user of another part: %v, %v", err, l.Dirty())
	}
}

// TestInactiveSince: a user is inactive for a time that was recorded as a whole, and no other.
func TestInactiveSince(t *testing.T) {
	t.Parallel()
	var l core.LastSeen
	seen, never := core.User{ID: newUserID(t), Created: hour}, core.User{ID: newUserID(t), Created: 50 * hour}
	if l.InactiveSince(&never, 99*hour) {
		t.Error("nothing is recorded, and a user is called inactive")
	}
	l.Begin(20 * hour)
	l.Begin(30 * hour)
	l.Mark([]core.UserID{seen.ID}, 40*hour+hour/2)
	for _, c := range []struct {
		user   *core.User
		before core.Millis
		want   bool
	}{
		{&seen, 40 * hour, false},
		{&seen, 41*hour - 1, false},
		{&seen, 41 * hour, true},
		{&never, 49 * hour, false},
		{&never, 50 * hour, true},
	} {
		if got := l.InactiveSince(c.user, c.before); got != c.want {
			t.Errorf("before hour %d: %v", c.before/hour, got)
		}
	}
	old := core.User{ID: newUserID(t), Created: hour}
	if l.Began() != 20*hour || l.InactiveSince(&old, 19*hour) || !l.InactiveSince(&old, 20*hour) {
		t.Errorf("recording began %d", l.Began()/hour)
	}
}

// BenchmarkLastSeenMark is what an hour costs a node with a hundred thousand users at once.
func BenchmarkLastSeenMark(b *testing.B) {
	var ids []core.UserID
	for range 1000 {
		_, public, err := keys.Generate()
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, core.UserID(public))
	}
	var l core.LastSeen
	now := core.Millis(0)
	for b.Loop() {
		now += hour
		l.Mark(ids, now)
	}
}
