package auth_test

import (
	"testing"
	"time"

	"unibus/core"
	"unibus/core/auth"
)

// TestExpiredUser: a user is denied from its end on, as a revoked one is, and the
// reason names the time.
func TestExpiredUser(t *testing.T) {
	t.Parallel()
	now := time.Now()
	past, future := core.MillisOf(now.Add(-time.Millisecond)), core.MillisOf(now.Add(time.Hour))
	for _, mode := range []core.BusAuth{core.BusAuthEnforce, core.BusAuthSoft} {
		w := newWorld(t, mode)
		d := w.cfg.Users.(directory)
		d.expires = future
		w.cfg.Users = d
		was, err := w.decide(signed(w.active))
		if err != nil || was.Kind != auth.KindUser {
			t.Errorf("%s, before the end: %+v, %v", mode, was, err)
		}
		d.expires = past
		w.cfg.Users = d
		g, err := w.decide(signed(w.active))
		refused(t, g, err, core.KindRefused, "ended at "+past.Time().Format(time.DateTime))
		if next := core.AsError(err).Next; next == "" {
			t.Errorf("%s: no next step", mode)
		}
		g, err = w.decide(signed(w.revoked))
		refused(t, g, err, core.KindRefused, "revoked")
		if len(w.soft) > 0 {
			t.Errorf("%s recorded %v as admitted", mode, w.soft)
		}
		a := auth.New(w.cfg)
		if yes, err := a.WouldAdmit(t.Context(), core.UserID(pub(w.active))); yes || err != nil {
			t.Errorf("%s: WouldAdmit says %v, %v", mode, yes, err)
		}
		for name, ask := range map[string]func() (bool, error){
			"Current": func() (bool, error) { return a.Current(t.Context(), was) },
			"Covers":  func() (bool, error) { return a.Covers(t.Context(), was) },
		} {
			if yes, err := ask(); yes || err != nil {
				t.Errorf("%s: %s says %v, %v", mode, name, yes, err)
			}
		}
	}
	w := newWorld(t, core.BusAuthSoft)
	stranger, err := w.decide(signed(w.active))
	if err != nil {
		t.Fatal(err)
	}
	stranger.Kind = auth.KindAnonymous // admitted in soft mode before it was a user
	d := w.cfg.Users.(directory)
	d.expires = past
	w.cfg.Users = d
	if yes, err := auth.New(w.cfg).Current(t.Context(), stranger); yes || err != nil {
		t.Errorf("an anonymous session of an expired user: %v, %v", yes, err)
	}
	w = newWorld(t, core.BusAuthOff)
	w.cfg.Users = d
	g, err := w.decide(signed(w.active))
	anonymous(t, g, err, pub(w.active))
}
