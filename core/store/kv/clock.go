package kv

import "time"

// instant is a moment by two clocks: the monotonic one, which may stand still
// while the machine sleeps, and where there is one the clock since boot, which does not.
type instant struct {
	mono time.Time
	boot time.Duration
}

func now() instant { return instant{time.Now(), sinceBoot()} }

// since is the time from before to i, by the clock that says more. An instant
// without a boot clock counts by the monotonic one.
func (i instant) since(before instant) time.Duration {
	return max(i.mono.Sub(before.mono), i.boot-before.boot)
}
