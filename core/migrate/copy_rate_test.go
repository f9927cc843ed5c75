package migrate

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"unibus/core"
)

// TestPacerHoldsTheRate: whenever rows are written, no more than the rate pass in
// any time that begins with the first row. A pause is not saved up.
func TestPacerHoldsTheRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.IntRange(1, 50_000).Draw(rt, "rate")
		start := time.Unix(1_000_000, 0)
		now, total := start, 0
		var p rateLimiter
		for range rapid.IntRange(1, 30).Draw(rt, "batches") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3_000).Draw(rt, "idle ms")) * time.Millisecond)
			rows := rapid.IntRange(1, 1000).Draw(rt, "rows")
			total += rows
			before := now
			now = now.Add(p.pauseAfter(now, rows, rate))
			if took := now.Sub(before).Seconds() * float64(rate); took < float64(rows)-1 {
				rt.Fatalf("%d rows passed in the time of %.1f", rows, took)
			}
			if allowed := now.Sub(start).Seconds()*float64(rate) + 1; float64(total) > allowed {
				rt.Fatalf("%d rows, %.1f were allowed", total, allowed)
			}
		}
		if d := p.pauseAfter(now, 1000, 0); d != 0 {
			rt.Fatalf("without a limit: waits %s", d)
		}
	})
}

func TestMeterShowsAChangedRate(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	m := newMeter(func() time.Time { return now }, []Progress{{Table: core.TableUsers, Total: 100_000}})
	if rate, left := m.add(1000, 500); rate != 500 || left != 198_000 {
		t.Errorf("the first batch under a limit of 500: %.0f /s, %d ms left", rate, left)
	}
	var rate float64
	for range 50 { // 1,000 rows a second for 5 s, then 100
		now = now.Add(100 * time.Millisecond)
		rate, _ = m.add(100, 0)
	}
	if rate < 900 || rate > 1100 {
		t.Errorf("%.0f /s, not 1,000", rate)
	}
	for range 50 {
		now = now.Add(100 * time.Millisecond)
		rate, _ = m.add(10, 0)
	}
	if rate < 90 || rate > 110 {
		t.Errorf("%.0f /s after it became slower, not 100", rate)
	}
}
