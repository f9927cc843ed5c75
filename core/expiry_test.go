package core_test

import (
	"testing"
	"time"

	"unibus/core"
)

func TestParseExpiry(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 20, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"90d": now.AddDate(0, 0, 90), "12h": now.Add(12 * time.Hour), "2027-01-31": time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC),
		"2027-01-20": time.Date(2027, 1, 21, 0, 0, 0, 0, time.UTC), "2027-01-31T17:00:00+01:00": time.Date(2027, 1, 31, 16, 0, 0, 0, time.UTC),
	} {
		if got, err := core.ParseExpiry(text, now); err != nil || got != core.MillisOf(want) {
			t.Errorf("%s: %s, %v", text, got.Time(), err)
		}
	}
	if got, err := core.ParseExpiry("never", now); got != 0 || err != nil {
		t.Errorf("never: %d, %v", got, err)
	}
	for _, text := range []string{"", "soon", "90", "0d", "-1d", "-1h", "70000d", "2027-01-19", "2027-02-30", "2026-01-31T17:00:00Z", "1969-12-31", "0", "99999999h"} {
		if got, err := core.ParseExpiry(text, now); core.KindOf(err) != core.KindInvalid || core.AsError(err).Next == "" {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}
