package auth_test

import (
	"testing"

	"unibus/core"
	"unibus/core/auth"
)

// TestReasons: each way to be denied has a word of its own, for those who count.
func TestReasons(t *testing.T) {
	t.Parallel()
	type world = func(t *testing.T) (auth.Request, auth.Directory)
	known := func(change func(*auth.Request)) world {
		return func(t *testing.T) (auth.Request, auth.Directory) {
			r := signed(newWorld(t, core.BusAuthEnforce).active)
			change(&r)
			return r, lagging{}
		}
	}
	user := func(a core.Admission, err error) world {
		return func(t *testing.T) (auth.Request, auth.Directory) {
			return signed(newWorld(t, core.BusAuthEnforce).active), lagging{stale: a, fresh: a, err: err}
		}
	}
	seen := map[auth.Reason]bool{auth.ReasonLimit: true, auth.ReasonOther: true, auth.ReasonRemoved: true} // not of users' keys
	for name, c := range map[string]struct {
		of   world
		want auth.Reason
	}{
		"a password":        {known(func(r *auth.Request) { r.HasOtherCredentials = true }), auth.ReasonCredentials},
		"an account":        {known(func(r *auth.Request) { r.WantAccount = "CONTROL" }), auth.ReasonCredentials},
		"no key":            {known(func(r *auth.Request) { *r = auth.Request{} }), auth.ReasonNoIdentity},
		"a key that is not": {known(func(r *auth.Request) { r.Key = "U123" }), auth.ReasonCredentials},
		"another signature": {known(func(r *auth.Request) { r.Nonce = []byte("another") }), auth.ReasonSignature},
		"no nonce":          {known(func(r *auth.Request) { r.Nonce = nil }), auth.ReasonSignature},
		"unknown":           {user(core.Admission{}, nil), auth.ReasonUser},
		"revoked":           {user(core.Admission{Status: core.UserRevoked}, nil), auth.ReasonUser},
		"expired":           {user(core.Admission{Status: core.UserActive, Expires: 5}, nil), auth.ReasonExpired},
		"no quorum":         {user(core.Admission{}, core.Errorf(core.KindUnavailable, "there is no quorum")), auth.ReasonUndecided},
	} {
		r, users := c.of(t)
		a := auth.New(auth.Config{Mode: core.BusAuthEnforce, Users: users})
		_, err := a.Decide(t.Context(), r)
		if got := auth.ReasonOf(err); err == nil || got != c.want {
			t.Errorf("%s: %q (%v), want %q", name, got, err, c.want)
		}
		seen[c.want] = true
	}
	for _, r := range auth.Reasons() {
		if !seen[r] {
			t.Errorf("no case is denied for %q", r)
		}
	}
}
