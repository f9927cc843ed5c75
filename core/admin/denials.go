package admin

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/auth"
)

// Denial is what the audit says of a user whom an action denies, now or from a time on. A
// control plane that is restored from an older backup does not know it.
type Denial struct {
	User      core.UserID `json:"user"`
	Expires   core.Millis `json:"expires,omitempty"`   // the end that the user was given; 0: the user was revoked
	Uncertain bool        `json:"uncertain,omitempty"` // no record says whether it was done
	Record    AuditRecord `json:"record"`
}

// ClockMargin is how far apart the clocks of two nodes may be, in milliseconds: either is within the window of
// the operator whose requests both accept.
const ClockMargin = core.Millis(2 * auth.Window / time.Millisecond)

// Denials returns the users whom the audit has as revoked or with an end, by the last action
// about each that was done at or after since, the oldest first. A failed action does not
// count. An action that may have been done denies the user, and admits none. The sequence of
// the records says which action was the last one. Where two have none in common, clocks cannot
// tell unless they are further apart than ClockMargin. Then the denial counts: a user who is
// denied without need can be activated, and one who is admitted without right is not noticed.
func Denials(records []AuditRecord, since core.Millis) []Denial {
	acts := map[subject][]Denial{}
	for _, r := range records {
		if s, d, ok := denialOf(r); ok {
			acts[s] = append(acts[s], d)
		}
	}
	out := []Denial{}
	for _, all := range acts {
		if d, ok := strictestDenial(latestActions(all), since-ClockMargin); ok {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b Denial) int {
		return cmp.Or(cmp.Compare(a.Record.At, b.Record.At), cmp.Compare(a.Record.Seq, b.Record.Seq), cmp.Compare(a.User, b.User), cmp.Compare(a.Expires, b.Expires))
	})
	return out
}

// AuditedUsers are the users whom the audit knows by successful actions. Users who were added
// at or after since, if it is not 0, are left out: a backup of that moment has all the
// others.
func AuditedUsers(records []AuditRecord, since core.Millis) []core.UserID {
	users := map[core.UserID]bool{} // true: added since
	for _, r := range records {
		id, err := core.ParseUserID(r.Argument("id"))
		if err == nil && effectOf(r, id) == effectDone {
			added := since > 0 && Verb(r.Verb) == verbUserAdd && completedAt(r) >= since-ClockMargin
			users[id] = users[id] || added
		}
	}
	maps.DeleteFunc(users, func(_ core.UserID, added bool) bool { return added })
	return slices.Sorted(maps.Keys(users))
}

// subject is what an action replaces: the status of a user, or the user's end.
type subject struct {
	user core.UserID
	end  bool
}

// noEnd is the end of an action that admits a user.
const noEnd core.Millis = math.MaxInt64

// denialOf is what an action did to a user; false for one that did not, or nothing of this kind.
func denialOf(r AuditRecord) (subject, Denial, bool) {
	id, err := core.ParseUserID(r.Argument("id"))
	done := effectOf(r, id)
	if err != nil || done == effectNone {
		return subject{}, Denial{}, false
	}
	d := Denial{User: id, Uncertain: done == effectUnknown, Record: r}
	switch Verb(r.Verb) {
	case verbUserRevoke, verbUserReplace:
		return subject{user: id}, d, true
	case verbUserActivate:
		d.Expires = noEnd
		return subject{user: id}, d, true
	case verbUserExtend:
		text := r.Argument("expires")
		at, err := time.Parse(time.RFC3339, text)
		if d.Expires = core.MillisOf(at); err != nil {
			d.Expires = noEnd
		}
		return subject{user: id, end: true}, d, err == nil || text == "never"
	}
	return subject{}, Denial{}, false
}

// source is where the sequence of a record comes from: two of one source have its order.
// Records that a node added to the stream afterwards have the order of that node's file.
func source(r AuditRecord) string {
	if r.Late {
		return r.Source + "\x00" + r.Node
	}
	return r.Source
}

// latestActions are the actions without one that certainly came later.
func latestActions(all []Denial) (out []Denial) {
	type last struct {
		seq uint64
		at  core.Millis
	}
	lasts := map[string]last{}
	for _, d := range all {
		if r := d.Record; !d.Uncertain {
			l := lasts[source(r)]
			lasts[source(r)] = last{max(l.seq, r.Seq), max(l.at, r.At)}
		}
	}
	for _, d := range all {
		over := false
		for from, l := range lasts {
			if from == source(d.Record) {
				over = over || l.seq > d.Record.Seq
			} else {
				over = over || l.at > completedAt(d.Record)+ClockMargin
			}
		}
		if !over {
			out = append(out, d)
		}
	}
	return out
}

// strictestDenial is the action with the earliest end for the user; false where no action since
// then denies the user.
func strictestDenial(all []Denial, since core.Millis) (Denial, bool) {
	all = slices.DeleteFunc(all, func(d Denial) bool { return d.Expires == noEnd || completedAt(d.Record) < since })
	if len(all) == 0 {
		return Denial{}, false
	}
	return slices.MinFunc(all, func(a, b Denial) int {
		return cmp.Or(cmp.Compare(a.Expires, b.Expires), compareCertain(a, b), cmp.Compare(b.Record.At, a.Record.At), cmp.Compare(b.Record.Seq, a.Record.Seq))
	}), true
}

// compareCertain puts what was certainly done first.
func compareCertain(a, b Denial) int {
	switch {
	case a.Uncertain == b.Uncertain:
		return 0
	case b.Uncertain:
		return -1
	}
	return 1
}

// completedAt is the end of an action: it may have been requested before a backup, and done after that.
func completedAt(r AuditRecord) core.Millis { return r.At + core.Millis(r.TookMS) }

type effect int

const (
	effectNone effect = iota
	effectDone
	effectUnknown
)

// effectOf is what became of an action about a user. Only an error of the kind unavailable
// does not say by itself that nothing was done; a replacement revokes before the rest.
func effectOf(r AuditRecord, id core.UserID) effect {
	switch {
	case r.Outcome == audit.OutcomeOK, Verb(r.Verb) == verbUserReplace && strings.HasPrefix(r.Text, id.Short()+isRevokedAnd):
		return effectDone
	case r.Outcome == audit.OutcomeUnknown, r.Effect == core.OutcomeUnknown:
		return effectUnknown
	case r.Effect == "" && r.Outcome == string(core.KindUnavailable):
		return effectUnknown
	}
	return effectNone
}

// Admits is true for a user of a database who is admitted although the audit has a denial:
// later than it says, or at all.
func (d Denial) Admits(u core.User, now core.Millis) bool {
	if d.revokes(now) {
		return u.IsActive(now)
	}
	return u.Expires == 0 || d.Expires < u.Expires/1000*1000 // the audit has seconds
}

// revokes is true for a user who is denied by now.
func (d Denial) revokes(now core.Millis) bool { return d.Expires <= now }

// statusStore is the part of a store that denies users.
type statusStore interface {
	SetUserStatus(ctx context.Context, id core.UserID, s core.UserStatus, at core.Millis) (core.User, error)
	SetUserExpiry(ctx context.Context, id core.UserID, expires, at core.Millis) (core.User, error)
}

// Apply denies the user in a store.
func (d Denial) Apply(ctx context.Context, st statusStore, now core.Millis) (err error) {
	if d.revokes(now) {
		_, err = st.SetUserStatus(ctx, d.User, core.UserRevoked, now)
	} else {
		_, err = st.SetUserExpiry(ctx, d.User, d.Expires, now)
	}
	return err
}

// Arguments are what follows `unibusd user` to deny the user again.
func (d Denial) Arguments(now core.Millis) []string {
	if d.revokes(now) { // an end that is over cannot be given
		return []string{"revoke", string(d.User)}
	}
	return []string{"extend", string(d.User), "--expires", d.Expires.Time().UTC().Format(time.RFC3339)}
}
