package admin

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/audit"
)

// Denial is what the audit says of a user whom an action denies, now or from a time on. A
// control plane that is restored from an older backup does not know it.
type Denial struct {
	User      core.UserID `json:"user"`
	Expires   core.Millis `json:"expires,omitempty"`   // the end that the user was given; 0: the user was revoked
	Uncertain bool        `json:"uncertain,omitempty"` // no record says whether it was done
	Record    AuditRecord `json:"record"`
}

// Denials returns the users whom the audit has as revoked or with an end, by the last action
// about each that was done at or after since, the oldest first. What failed is no action;
// what may have been done denies the user, and admits none.
func Denials(records []AuditRecord, since core.Millis) []Denial {
	f := denialFold{revoked: map[core.UserID]Denial{}, ends: map[core.UserID]Denial{}}
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b AuditRecord) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Seq, b.Seq)) })
	for _, r := range records {
		if r.At+core.Millis(r.TookMS) >= since { // it was asked for before, and done after that
			f.add(r)
		}
	}
	out := slices.AppendSeq(slices.AppendSeq([]Denial{}, maps.Values(f.revoked)), maps.Values(f.ends))
	slices.SortFunc(out, func(a, b Denial) int {
		return cmp.Or(cmp.Compare(a.Record.At, b.Record.At), cmp.Compare(a.Record.Seq, b.Record.Seq), cmp.Compare(a.User, b.User), cmp.Compare(a.Expires, b.Expires))
	})
	return out
}

// denialFold is what the actions so far came to.
type denialFold struct{ revoked, ends map[core.UserID]Denial }

func (f denialFold) add(r AuditRecord) {
	id, err := core.ParseUserID(r.Argument("id"))
	done := effectOf(r, id)
	if err != nil || done == effectNone {
		return
	}
	d := Denial{User: id, Uncertain: done == effectUnknown, Record: r}
	switch Verb(r.Verb) {
	case verbUserRevoke, verbUserReplace:
		if had, ok := f.revoked[id]; !ok || had.Uncertain || !d.Uncertain {
			f.revoked[id] = d
		}
	case verbUserActivate:
		if !d.Uncertain {
			delete(f.revoked, id)
		}
	case verbUserExtend:
		f.extend(d)
	}
}

// extend takes another end. One that may not be in force does not take the place of an
// earlier one.
func (f denialFold) extend(d Denial) {
	had, ok := f.ends[d.User]
	text := d.Record.Argument("expires")
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err == nil:
		d.Expires = core.MillisOf(at)
		if !d.Uncertain || !ok || d.Expires < had.Expires {
			f.ends[d.User] = d
		}
	case text == "never" && !d.Uncertain:
		delete(f.ends, d.User)
	}
}

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
