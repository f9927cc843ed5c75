package migrate

import (
	"time"
)

// pausesPerSecond is how often a copy under a rate limit pauses.
const pausesPerSecond = 5

// rateLimiter spreads writes evenly over time.
type rateLimiter struct{ next time.Time }

// pauseAfter is how long to wait after rows were written at now, under a limit of
// rate rows a second (0: none). Unused time is not saved up: after a pause the
// copy does not exceed the rate.
func (p *rateLimiter) pauseAfter(now time.Time, rows, rate int) time.Duration {
	if rate <= 0 || rows == 0 {
		p.next = now
		return 0
	}
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(rows) * time.Second / time.Duration(rate))
	return p.next.Sub(now)
}

// meterWindow is the time over which a rate is measured: long enough to be steady,
// short enough to show a changed limit.
const meterWindow = 2 * time.Second

// rateMeter estimates how fast the copy is and how long it will take.
type rateMeter struct {
	now         func() time.Time
	left        int
	start, mid  time.Time // the rate counts from start; at the next window's end it counts from mid
	done, since int       // rows since start, and of them since mid
}

func newMeter(now func() time.Time, ps []Progress) *rateMeter {
	m := &rateMeter{now: now, start: now()}
	m.mid = m.start
	for _, p := range ps {
		m.left += p.Total - p.Done
	}
	return m
}

// add counts rows and returns rows a second and the milliseconds left. It is
// called before a limit (0: none) makes the copy wait for these rows, so the first
// batches seem faster than the limit; the rate is capped for that.
func (m *rateMeter) add(rows, limit int) (rate float64, leftMS int64) {
	now := m.now()
	if now.Sub(m.mid) > meterWindow {
		m.start, m.done, m.mid, m.since = m.mid, m.since, now, 0
	}
	m.done += rows
	m.since += rows
	m.left = max(0, m.left-rows)
	rate = float64(m.done) / max(now.Sub(m.start).Seconds(), 1e-3)
	if limit > 0 {
		rate = min(rate, float64(limit))
	}
	if rate == 0 {
		return 0, 0
	}
	return rate, int64(float64(m.left) / rate * 1000)
}
