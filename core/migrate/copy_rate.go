package migrate

import (
	"time"
)

// pausesPerSecond is how often a copy under a rate limit stops to breathe.
const pausesPerSecond = 5

// rateLimiter spreads what is written over time.
type rateLimiter struct{ next time.Time }

// pauseAfter says how long to wait once rows were written at now, under a limit of
// rate rows a second (0: none). Time that was not used is not saved up: after a
// pause the copy does not rush.
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

// meterWindow is what a rate is measured over: long enough to be calm, short
// enough to show a limit that was changed.
const meterWindow = 2 * time.Second

// rateMeter estimates how fast the copy goes and how long it will take.
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

// add counts rows and returns rows a second and the milliseconds left. It is told
// of rows before a limit (0: none) makes the copy wait for them: at first they
// seem to go faster than they may.
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
