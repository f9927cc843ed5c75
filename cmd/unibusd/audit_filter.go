package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
	"unibus/core/control"
)

// auditFilter selects actions. A value that is "" selects all.
type auditFilter struct {
	operator, userAdmin, verb, target, outcome, since, until string

	from, to core.Millis // from on, and before to; 0: no bound
}

func (f *auditFilter) flags(fs *pflag.FlagSet) {
	fs.StringVar(&f.operator, "operator", "", "only actions of the operator with this NAME or public key")
	fs.StringVar(&f.userAdmin, "user-admin", "", "only actions of the user-admin with this NAME or public key")
	fs.StringVar(&f.verb, "verb", "", "only this action, as user-revoke")
	fs.StringVar(&f.target, "target", "", "only actions about this: a VALUE of the column ABOUT, or name=value")
	fs.StringVar(&f.outcome, "outcome", "", "only actions that ended so: ok, unknown, or a kind of error, as refused")
	fs.StringVar(&f.since, "since", "", "only actions since this TIME (UTC): 2027-01-31, 2027-01-31T17:00:00Z, or 36h or 7d ago")
	fs.StringVar(&f.until, "until", "", "only actions before this TIME; a day is the last one")
}

func (f *auditFilter) given() bool {
	return *f != auditFilter{}
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
	if f.outcome != "" && !slices.Contains(outcomes(), f.outcome) {
		return core.Errorf(core.KindInvalid, "--outcome names no outcome").WithNext("--outcome takes one of %s", strings.Join(outcomes(), ", "))
	}
	return nil
}

// auditedVerbs are those of operators and of user-admins, in order.
func auditedVerbs() []string {
	out := control.AuditedVerbs()
	for v, r := range admin.Rules() {
		if r.Acts() {
			out = append(out, string(v))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func outcomes() []string {
	return []string{
		audit.OutcomeOK, audit.OutcomeUnknown, string(core.KindInvalid), string(core.KindNotFound), string(core.KindExists),
		string(core.KindConflict), string(core.KindRefused), string(core.KindUnavailable), string(core.KindFailed),
	}
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
	case f.operator != "" && !isBy(r, false, f.operator),
		f.userAdmin != "" && !isBy(r, true, f.userAdmin),
		f.outcome != "" && r.Outcome != f.outcome,
		f.verb != "" && r.Verb != f.verb,
		f.target != "" && !about(r.Args, f.target),
		f.from > 0 && r.At < f.from,
		f.to > 0 && r.At >= f.to:
		return false
	}
	return true
}

// isBy says whether an operator, or a user-admin, of that name or key acted: a user may have
// an operator's name.
func isBy(r admin.AuditRecord, userAdmin bool, who string) bool {
	return r.ByUserAdmin() == userAdmin && (r.Name == who || r.Key == who)
}

// about is true where one of the words name=value has the value, or is the target.
func about(args, target string) bool {
	return slices.ContainsFunc(audit.Arguments(args), func(a audit.Argument) bool {
		return a.Text == target || a.Name != "" && (a.Value == target || a.Name+"="+a.Value == target)
	})
}
