package core

import (
	"testing"
	"time"
)

func TestDailyTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ at, zone, now, latest, next string }{
		{"03:00", "", "2026-11-29T02:59:59Z", "2026-11-28T03:00:00Z", "2026-11-29T03:00:00Z"},
		{"03:00", "UTC", "2026-11-29T03:00:00Z", "2026-11-29T03:00:00Z", "2026-11-30T03:00:00Z"},
		{"03:00", "Europe/Berlin", "2026-11-29T01:59:00Z", "2026-11-28T02:00:00Z", "2026-11-29T02:00:00Z"},
		{"23:30", "America/New_York", "2026-11-29T04:29:00Z", "2026-11-28T04:30:00Z", "2026-11-29T04:30:00Z"},
		{"02:30", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}, // 02:30 does not exist on that day
	} {
		d, err := ParseDailyTime(c.at, c.zone)
		now, _ := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if latest, next := d.Latest(now).UTC().Format(time.RFC3339), d.Next(now).UTC().Format(time.RFC3339); latest != c.latest || next != c.next {
			t.Errorf("%s at %s: %s and %s, want %s and %s", d, c.now, latest, next, c.latest, c.next)
		}
	}
	for _, bad := range [][2]string{{"3:00", ""}, {"24:00", ""}, {"03:60", ""}, {"03:00:00", ""}, {"", ""}, {"noon", ""}, {"03:00", "Mars/Olympus"}, {"03:00", "Local"}, {"03:00", "../etc/passwd"}} {
		if d, err := ParseDailyTime(bad[0], bad[1]); KindOf(err) != KindInvalid {
			t.Errorf("%q: %v, %v", bad, d, err)
		}
	}
}
