package core

import (
	"strconv"
	"strings"
	"time"
)

// ParseExpiry reads the end of a user as a person types it: so long from now (90d, 12h), a
// day at whose end in UTC it ends, or a moment as RFC 3339 has it. "never" is 0. KindInvalid,
// also for an end that is over at now.
func ParseExpiry(text string, now time.Time) (Millis, error) {
	if text == "never" {
		return 0, nil
	}
	at, err := expiryTime(text, now)
	if err != nil || at.UnixMilli() <= 0 {
		return 0, Errorf(KindInvalid, "this is no time at which a user can end").
			WithNext("give 90d, 12h, a day such as 2027-01-31, which is the last one, a moment such as 2027-01-31T17:00:00Z, or never")
	}
	return MillisOf(at), CheckNewExpiry(MillisOf(at), MillisOf(now))
}

func expiryTime(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return now.AddDate(0, 0, int(n)), err
	}
	if span, err := time.ParseDuration(text); err == nil {
		return now.Add(span), nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	return time.Parse(time.RFC3339, text)
}
