package kv

import "time"

// instant is a moment by two clocks: the monotonic one, which may stand still
// while the machine sleeps, and where there is one the clock since boot, which does not.
type instant struct {
	mono time.Time
	boot time.Duration
}

func now() instant { return instant{time.Now(), sinceBoot()} }

// age is the time since i by the clock that says more.
func (i instant) age() time.Duration {
	return max(time.Since(i.mono), sinceBoot()-i.boot)
}
