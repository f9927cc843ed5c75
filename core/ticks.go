package core

import "time"

// UntilTick is how long it is until the clock shows a multiple of every. Parts that repeat
// their work at these moments wake an idle process together: to wake it costs more than most
// of them do. It is at least an eighth of every, so that a moment is not met twice.
func UntilTick(every time.Duration) time.Duration {
	now := time.Now()
	wait := now.Truncate(every).Add(every).Sub(now)
	if wait < every/8 {
		wait += every
	}
	return wait
}

// TickAfter is how long it is until the first such moment that is not before a time from now.
func TickAfter(wait, every time.Duration) time.Duration {
	now := time.Now()
	at := now.Add(max(0, wait))
	tick := at.Truncate(every)
	if tick.Before(at) {
		tick = tick.Add(every)
	}
	return tick.Sub(now)
}
