package feed

import "time"

// UntilNext is untilNext.
func (f *Feed) UntilNext(interval time.Duration, now time.Time) time.Duration {
	return f.untilNext(interval, now)
}
