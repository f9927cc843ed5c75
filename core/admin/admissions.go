package admin

import (
	"cmp"
	"slices"
	"time"

	"unibus/core"
)

// Admission is a user whom a restored backup denies although the audit has them as admitted:
// activated after it, or given a later end.
type Admission struct {
	User      core.UserID `json:"user"`
	Activated bool        `json:"activated,omitempty"` // a revoked user was activated; else the user was given an end
	Expires   core.Millis `json:"expires,omitempty"`   // that end; 0: none
	Record    AuditRecord `json:"record"`
}

// Admissions returns the users whom the audit has as activated or with another end, by the
// last action about each that was done at or after since, the oldest first. An action counts
// only if it was certainly done, and if no denial may have come after it: Denials lists that.
func Admissions(records []AuditRecord, since core.Millis) []Admission {
	acts := map[subject][]Denial{}
	for _, r := range records {
		if s, d, ok := denialOf(r); ok {
			acts[s] = append(acts[s], d)
		}
	}
	out := []Admission{}
	for s, all := range acts {
		all = latestActions(all)
		last := slices.MaxFunc(all, func(a, b Denial) int {
			return cmp.Or(compareCertain(b, a), cmp.Compare(b.Expires, a.Expires), cmp.Compare(a.Record.At, b.Record.At))
		})
		denied := slices.ContainsFunc(all, func(d Denial) bool { return d.Expires < last.Expires })
		if last.Uncertain || denied || last.Expires == 0 || completedAt(last.Record) < since-ClockMargin {
			continue
		}
		a := Admission{User: s.user, Activated: !s.end, Expires: last.Expires, Record: last.Record}
		if a.Expires == noEnd {
			a.Expires = 0
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Admission) int {
		return cmp.Or(cmp.Compare(a.Record.At, b.Record.At), cmp.Compare(a.Record.Seq, b.Record.Seq), cmp.Compare(a.User, b.User))
	})
	return out
}

// Denies is true for a user of a database who is denied although the audit has an admission:
// a user who is revoked there, or ends earlier than it says.
func (a Admission) Denies(u core.User, now core.Millis) bool {
	if a.Activated {
		return u.Status == core.UserRevoked
	}
	if u.Expires == 0 || a.Expires != 0 && a.Expires <= now { // an end that is over admits nobody
		return false
	}
	return a.Expires == 0 || u.Expires/1000*1000 < a.Expires // the audit has seconds
}

// Arguments are what follows `unibusd user` to admit the user again.
func (a Admission) Arguments() []string {
	if a.Activated {
		return []string{"activate", string(a.User)}
	}
	end := "never"
	if a.Expires != 0 {
		end = a.Expires.Time().UTC().Format(time.RFC3339)
	}
	return []string{"extend", string(a.User), "--expires", end}
}
