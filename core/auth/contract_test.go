package auth_test

import (
	"slices"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
	"unibus/core/control"
)

// TestSubjectsAreTheProtocols: this package may not import core/admin and repeats the shape of its subjects.
func TestSubjectsAreTheProtocols(t *testing.T) {
	t.Parallel()
	w := newWorld(t, core.BusAuthEnforce)
	w.cfg.ViewerVerbs = []string{"status"}
	g, err := w.decide(signed(w.viewer))
	if err != nil {
		t.Fatal(err)
	}
	if s := admin.Subject(pub(w.viewer), admin.TargetAny, "status"); !slices.Contains(g.Publish, s) {
		t.Errorf("a viewer may not publish %s, only %v", s, g.Publish)
	}
	if want := auth.InboxPrefix(pub(w.viewer)) + ".>"; !slices.Equal(g.Subscribe, []string{want}) {
		t.Errorf("a viewer's inbox is %v, want %s", g.Subscribe, want)
	}
}

// TestControlServiceGrant: its subjects are the protocol's, it cannot speak in rooms as a user, and a review leaves it alone.
func TestControlServiceGrant(t *testing.T) {
	t.Parallel()
	g := auth.GrantControlService()
	if s := control.Subject(pub(newKey(t)), "rooms"); !slices.Contains(g.Subscribe, auth.ControlPrefix+">") || !strings.HasPrefix(s, auth.ControlPrefix) {
		t.Errorf("the service hears %v, a request goes to %q", g.Subscribe, s)
	}
	if want := []string{"_INBOX.>", "unibus.room.*._control"}; !slices.Equal(g.Publish, want) {
		t.Errorf("the service may publish %v, want %v", g.Publish, want)
	}
	w := newWorld(t, core.BusAuthEnforce)
	g.Identity = pub(w.viewer)
	if ok, err := auth.New(w.cfg).Current(t.Context(), g); !ok || err != nil {
		t.Errorf("a review would end the service's own session: %v, %v", ok, err)
	}
}
