package client

import (
	"testing"
	"time"

	"unibus/core"
)

// TestFreshness: when a room is stale, with clocks that are right and that are wrong.
func TestFreshness(t *testing.T) {
	t.Parallel()
	const limit, step = 30 * time.Minute, time.Minute
	now := time.Now()
	type heard struct{ after, at time.Duration } // the time that is signed, from the moment at which it comes
	for name, c := range map[string]struct {
		heard         []heard
		asleep        bool // the machine: no time is counted
		stale, clocks bool
		newest        time.Duration
	}{
		"nothing is heard":                       {stale: true},
		"others are heard":                       {heard: []heard{{10 * step, 0}, {25 * step, -step}}, newest: 24 * step},
		"the last was held back for 28 minutes":  {heard: []heard{{29 * step, -28 * step}}, stale: true, newest: step},
		"a silence after the last":               {heard: []heard{{step, 0}}, stale: true, newest: step},
		"this clock is hours ahead":              {heard: []heard{{10 * step, -2 * time.Hour}, {28 * step, -2 * time.Hour}}, stale: true, clocks: true, newest: 28*step - 2*time.Hour},
		"a node holds all back for two hours":    {heard: []heard{{28 * step, -2 * time.Hour}}, stale: true, clocks: true, newest: 28*step - 2*time.Hour},
		"one clock is behind, the others' right": {heard: []heard{{10 * step, -2 * time.Hour}, {20 * step, 0}}, newest: 20 * step},
		"this clock is hours behind":             {heard: []heard{{10 * step, 2 * time.Hour}}, newest: 10 * step},
		"a laptop sleeps":                        {asleep: true},
	} {
		var f freshness
		f.look(now, limit, 2*step)
		stale := false
		for at := step; at <= 31*step; at += step {
			for _, h := range c.heard {
				if h.after == at {
					f.note("ann", core.MillisOf(now.Add(at+h.at)), now.Add(at))
				}
			}
			if !c.asleep {
				stale = f.look(now.Add(at), limit, 2*step) || stale && f.stale
			}
		}
		if c.asleep {
			stale = f.look(now.Add(31*step), limit, 2*step)
		}
		if stale != c.stale || f.stale != c.stale || f.clocks(now.Add(31*step)) && f.stale != c.clocks {
			t.Errorf("%s: stale %v (%v), clocks %v", name, stale, f.stale, f.clocks(now.Add(31*step)))
		}
		if want := core.MillisOf(now.Add(c.newest)); c.newest != 0 && f.newest != want || c.newest == 0 && f.newest != 0 {
			t.Errorf("%s: the newest is of %d, want %d", name, f.newest, want)
		}
		over := f.note("ann", core.MillisOf(now.Add(32*step)), now.Add(32*step))
		if over != c.stale || f.stale {
			t.Errorf("%s: something new ends it: %v", name, over)
		}
	}
	var alone freshness
	alone.look(now, 0, time.Hour)
	if alone.look(now.Add(time.Hour), 0, time.Hour) || alone.stale {
		t.Error("a member who is alone in the room is told that nobody is heard")
	}
}
