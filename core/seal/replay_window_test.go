package seal

import (
	"testing"

	"pgregory.net/rapid"
)

// model remembers every counter.
type model struct {
	seen map[uint64]bool
	high uint64
}

func (m *model) check(c uint64) Fault {
	switch {
	case len(m.seen) > 0 && c+windowSize <= m.high:
		return ErrTooOld
	case m.seen[c]:
		return ErrReplay
	}
	return ""
}

func (m *model) add(c uint64) (missing uint64, late bool) {
	late = len(m.seen) > 0 && c < m.high
	if len(m.seen) > 0 && c > m.high {
		missing = c - m.high - 1
	}
	m.seen[c], m.high = true, max(m.high, c)
	return missing, late
}

func TestWindowAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, w := model{seen: map[uint64]bool{}}, window{}
		at := rapid.Uint64Range(0, maxCounter-1).Draw(t, "start")
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			step := rapid.OneOf(
				rapid.Int64Range(-3, 3), rapid.Int64Range(-70, 70), rapid.Int64Range(-1030, 1030),
				rapid.SampledFrom([]int64{-1025, -1024, -1023, -64, -63, 63, 64, 1023, 1024, 1025, 5000}),
			).Draw(t, "step")
			c := uint64(min(max(0, int64(at)+step), maxCounter-1))
			want := m.check(c)
			if got := w.check(c); got != want {
				t.Fatalf("counter %d, highest %d: %q, want %q", c, m.high, got, want)
			}
			if want != "" {
				continue
			}
			wantMissing, wantLate := m.add(c)
			if missing, late := w.add(c); missing != wantMissing || late != wantLate {
				t.Fatalf("counter %d: %d missing, late %v; want %d, %v", c, missing, late, wantMissing, wantLate)
			}
			at = c
		}
	})
}
