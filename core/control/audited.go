package control

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/auth"
)

// auditor records what user-admins do, beside what operators do; core/node has one.
type auditor interface {
	// Begin records an intent; with an error nothing may be done. end records the outcome.
	Begin(ctx context.Context, in AuditIntent) (end func(ctx context.Context, result error), err error)
}

// AuditIntent is what a user-admin is about to do.
type AuditIntent struct {
	By   core.User
	Verb string
	Args string // in a few words, never a secret

	WorksWithoutQuorum bool
}

// recorded does what a user-admin asks for between the records of intent and outcome. A
// restored backup undoes such acts: only the audit can tell which they were.
func (s *Service) recorded(ctx context.Context, a *actor, body []byte, f methodFunc) (any, error) {
	if err := s.records.count(s.cfg.Now().Time(), a.id()); err != nil {
		return nil, err
	}
	end, err := s.cfg.Audit.Begin(ctx, AuditIntent{By: a.user, Verb: a.rule.AuditedAs, Args: auditArgs(body), WorksWithoutQuorum: a.rule.WorksWithoutQuorum})
	if err != nil {
		return nil, err
	}
	out, err := f(ctx, a, body)
	end(ctx, err)
	return out, err
}

// auditArgs are the words that the audit shows of a request. A user that a request is about
// is its id, as in what operators do; beside a room it is the user.
func auditArgs(body []byte) string {
	var r struct {
		Room, User, Role string
		Name             *string
		Expires          core.Millis
	}
	var outer question // read in two steps, as decode does: of a field that is there twice, both take the same one
	if json.Unmarshal(body, &outer) != nil || json.Unmarshal(outer.Req, &r) != nil {
		return "a request that cannot be read"
	}
	var words []string
	add := func(name, value string) {
		if value != "" {
			words = append(words, name+"="+core.SummaryWord(value))
		}
	}
	if r.Room == "" {
		add("id", r.User)
	} else {
		add("room", r.Room)
		add("user", r.User)
	}
	if r.Name != nil {
		add("name", *r.Name)
	}
	add("role", r.Role)
	if r.Expires != 0 && core.CheckExpiry(r.Expires) == nil {
		add("expires", r.Expires.Time().Format(time.RFC3339))
	}
	return strings.Join(words, " ")
}

// recordLimit bounds what user-admins put into the audit through one node. User-admins can
// make more of themselves, so that a bound for each alone is none. All of them together fill
// it no faster than one operator can, and one of them leaves room for the others.
type recordLimit struct {
	mu    sync.Mutex
	since time.Time
	all   int
	by    map[core.UserID]int
}

const (
	recordPeriod = auth.NonceLife
	maxRecords   = auth.MaxRequestsOfKey
	maxRecordsOf = maxRecords / 2
)

// count counts an act, and refuses one that is too many without counting it.
func (l *recordLimit) count(now time.Time, user core.UserID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil || now.Sub(l.since) >= recordPeriod || now.Before(l.since) {
		l.since, l.all, l.by = now, 0, map[core.UserID]int{}
	}
	switch {
	case l.by[user] >= maxRecordsOf:
		return core.Errorf(core.KindRefused, "nothing was done: %s has changed users and rooms as a user-admin %d times within %s, and may do so no more often", user.Short(), maxRecordsOf, recordPeriod).
			WithNext("wait a minute or two, and send fewer")
	case l.all >= maxRecords:
		return core.Errorf(core.KindUnavailable, "nothing was done: user-admins have changed users and rooms %d times within %s through this node, and it accepts no more", maxRecords, recordPeriod).
			WithOutcome(core.OutcomeNone).WithNext("try again in a minute, or at another node; an operator can act now: unibusd user revoke NKEY")
	}
	l.all++
	l.by[user]++
	return nil
}
