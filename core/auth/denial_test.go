package auth_test

import (
	"context"
	"testing"

	"unibus/core"
)

// lagging is a directory that has not heard of a change yet, unless it is asked as of now.
type lagging struct {
	stale, fresh core.Admission
	err          error // of a fresh answer
}

func (l lagging) Admit(ctx context.Context, _ core.UserID) (core.Admission, error) {
	if _, fresh := core.AsOfTime(ctx); !fresh {
		return l.stale, nil
	}
	return l.fresh, l.err
}

// TestRefusalIsProven: a refusal is final to many clients, so it rests on an answer that
// is not older than the question. Where there is none, nothing is decided.
func TestRefusalIsProven(t *testing.T) {
	t.Parallel()
	active := core.Admission{Status: core.UserActive}
	noQuorum := core.Errorf(core.KindUnavailable, "there is no quorum")
	for name, c := range map[string]struct {
		users lagging
		kind  core.Kind
	}{
		"added a moment ago":     {lagging{fresh: active}, ""},
		"activated a moment ago": {lagging{stale: core.Admission{Status: core.UserRevoked}, fresh: active}, ""},
		"unknown":                {lagging{}, core.KindRefused},
		"revoked":                {lagging{stale: core.Admission{Status: core.UserRevoked}, fresh: core.Admission{Status: core.UserRevoked}}, core.KindRefused},
		"expired":                {lagging{stale: core.Admission{Status: core.UserActive, Expires: 5}, fresh: core.Admission{Status: core.UserActive, Expires: 5}}, core.KindRefused},
		"unknown, no quorum":     {lagging{err: noQuorum}, core.KindUnavailable},
		"active, no quorum":      {lagging{stale: active, err: noQuorum}, ""}, // an admission may rest on the lease
	} {
		w := newWorld(t, core.BusAuthEnforce)
		w.cfg.Users = c.users
		if _, err := w.decide(signed(w.active)); core.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want the kind %q", name, err, c.kind)
		}
	}
}
