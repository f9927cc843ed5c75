package core

import (
	"fmt"
	"strings"
	"time"
)

// DailyTime is a time of each day, in a time zone.
type DailyTime struct {
	Hour, Minute int
	Zone         *time.Location
}

// ParseDailyTime reads HH:MM and the name of a zone, "" for UTC. "Local" is refused: nodes of one
// cluster would mean different moments.
func ParseDailyTime(at, zone string) (DailyTime, error) {
	if zone == "" {
		zone = "UTC"
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || strings.EqualFold(zone, "local") {
		return DailyTime{}, Errorf(KindInvalid, "%.40q is not the name of a time zone", zone).WithNext("give a name as Europe/Berlin, or leave it out for UTC")
	}
	t, err := time.Parse("15:04", at)
	if err != nil || len(at) != len("15:04") {
		return DailyTime{}, Errorf(KindInvalid, "%.40q is not a time of day", at).WithNext("give hours and minutes, for example 03:00")
	}
	return DailyTime{Hour: t.Hour(), Minute: t.Minute(), Zone: loc}, nil
}

// String is the time with its zone: 03:00 UTC.
func (d DailyTime) String() string { return fmt.Sprintf("%02d:%02d %s", d.Hour, d.Minute, d.Zone) }

// Latest is when it was last, at or before now. A time that a change of the clocks leaves out is
// an hour later on that day, and one that comes twice counts once.
func (d DailyTime) Latest(now time.Time) time.Time {
	at := d.on(now, 0)
	if at.After(now) {
		return d.on(now, -1)
	}
	return at
}

// Next is when it is next, after now.
func (d DailyTime) Next(now time.Time) time.Time {
	at := d.on(now, 0)
	if !at.After(now) {
		return d.on(now, 1)
	}
	return at
}

func (d DailyTime) on(now time.Time, days int) time.Time {
	y, m, day := now.In(d.Zone).Date()
	return time.Date(y, m, day+days, d.Hour, d.Minute, 0, 0, d.Zone)
}
