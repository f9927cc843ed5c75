package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"unibus/core"
	"unibus/core/admin"
)

// auditFilter selects actions. A value that is "" selects all.
type auditFilter struct {
	operator, verb, target, since, until string

	from, to core.Millis // from on, and before to; 0: no bound
}

func (f *auditFilter) flags(fs *pflag.FlagSet) {
	fs.StringVar(&f.operator, "operator", "", "only actions of the operator with this NAME or public key")
	fs.StringVar(&f.verb, "verb", "", "only this action, as user-revoke")
	fs.StringVar(&f.target, "target", "", "only actions about this: a VALUE of the column ABOUT, or name=value")
	fs.StringVar(&f.since, "since", "", "only actions since this TIME (UTC): 2027-01-31, 2027-01-31T17:00:00Z, or 36h or 7d ago")
	fs.StringVar(&f.until, "until", "", "only actions before this TIME; a day is the last one")
}

func (f *auditFilter) given() bool {
	return f.operator != "" || f.verb != "" || f.target != "" || f.since != "" || f.until != ""
}

// parse checks the values. KindInvalid.
func (f *auditFilter) parse(now time.Time) (err error) {
	if f.from, err = parseMoment("--since", f.since, now, 0); err != nil {
		return err
	}
	if f.to, err = parseMoment("--until", f.until, now, 1); err != nil {
		return err
	}
	if f.from > 0 && f.to > 0 && f.from >= f.to {
		return core.Errorf(core.KindInvalid, "--until is not after --since").WithNext("exchange them")
	}
	if f.verb != "" && !slices.Contains(auditedVerbs(), f.verb) {
		return core.Errorf(core.KindInvalid, "--verb names no action").WithNext("--verb takes one of %s", strings.Join(auditedVerbs(), ", "))
	}
	return nil
}

func auditedVerbs() (out []string) {
	for _, v := range slices.Sorted(maps.Keys(admin.Rules())) {
		if admin.Rules()[v].Acts() {
			out = append(out, string(v))
		}
	}
	return out
}

// parseMoment reads a day, a moment, or how long ago something was. days is added to a day.
func parseMoment(flag, text string, now time.Time, days int) (core.Millis, error) {
	if text == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime} {
		if at, err := time.Parse(layout, text); err == nil && at.UnixMilli() > 0 {
			return core.MillisOf(at), nil
		}
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil && day.UnixMilli() > 0 {
		return core.MillisOf(day.AddDate(0, 0, days)), nil
	}
	ago, err := time.ParseDuration(text)
	if count, ok := strings.CutSuffix(text, "d"); ok {
		n, derr := strconv.ParseUint(count, 10, 16)
		ago, err = time.Duration(n)*24*time.Hour, derr
	}
	if at := now.Add(-ago); err == nil && ago >= 0 && at.UnixMilli() > 0 {
		return core.MillisOf(at), nil
	}
	return 0, core.Errorf(core.KindInvalid, "%s is not a time", flag).
		WithNext("give a day, a moment in UTC, or how long ago: 2027-01-31, 2027-01-31T17:00:00Z, 36h or 7d")
}

func (f *auditFilter) matches(r admin.AuditRecord) bool {
	switch {
	case f.operator != "" && r.Name != f.operator && r.Key != f.operator,
		f.verb != "" && r.Verb != f.verb,
		f.target != "" && !about(r.Args, f.target),
		f.from > 0 && r.At < f.from,
		f.to > 0 && r.At >= f.to:
		return false
	}
	return true
}

// about is true where one of the words name=value has the value, or is the target.
func about(args, target string) bool {
	for args != "" {
		name, rest, ok := strings.Cut(args, "=")
		if !ok {
			return args == target
		}
		var value, quoted string
		if q, err := strconv.QuotedPrefix(rest); err == nil {
			quoted = q
			value, _ = strconv.Unquote(q)
			args = strings.TrimPrefix(rest[len(q):], " ")
		} else {
			value, args, _ = strings.Cut(rest, " ")
			quoted = value
		}
		if value == target || name+"="+value == target || name+"="+quoted == target {
			return true
		}
	}
	return false
}
