package auth_test

import (
	"slices"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
)

// TestSubjectsAreTheProtocols: this package may not import core/admin and repeats its prefix and the shape of its subjects.
func TestSubjectsAreTheProtocols(t *testing.T) {
	t.Parallel()
	if auth.AdminPrefix != admin.Prefix {
		t.Errorf("prefix %q, the protocol's is %q", auth.AdminPrefix, admin.Prefix)
	}
	w := newWorld(t, core.BusAuthEnforce)
	w.cfg.ViewerVerbs = []string{string(admin.VerbStatus)}
	g, err := w.decide(signed(w.viewer))
	if err != nil {
		t.Fatal(err)
	}
	if s := admin.Subject(pub(w.viewer), admin.TargetAny, admin.VerbStatus); !slices.Contains(g.Publish, s) {
		t.Errorf("a viewer may not publish %s, only %v", s, g.Publish)
	}
	if want := admin.InboxPrefix(pub(w.viewer)) + ".>"; !slices.Equal(g.Subscribe, []string{want}) {
		t.Errorf("a viewer's inbox is %v, want %s", g.Subscribe, want)
	}
}
