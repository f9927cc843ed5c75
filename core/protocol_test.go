package core

import "testing"

// TestProtocols: two releases that follow each other work together, and a release that
// says no protocol speaks the first one.
func TestProtocols(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b Protocols
		want bool
	}{
		{Protocols{}, Protocols{}, true},
		{Protocols{}, Protocols{2, 1}, true},
		{Protocols{}, Protocols{3, 2}, false},
		{Protocols{2, 1}, Protocols{3, 2}, true},
		{Protocols{2, 1}, Protocols{4, 3}, false},
		{OwnProtocols(), OwnProtocols(), true},
		{OwnProtocols(), Protocols{ProtocolVersion + 1, ProtocolVersion}, true},
		{OwnProtocols(), Protocols{ProtocolVersion + 2, ProtocolVersion + 1}, false},
	} {
		if c.a.WorkWith(c.b) != c.want || c.b.WorkWith(c.a) != c.want {
			t.Errorf("%v with %v: want %v", c.a, c.b, c.want)
		}
	}
	if s := (Protocols{}).String() + ", " + (Protocols{3, 2}).String(); s != "protocol 1, protocols 2 to 3" {
		t.Errorf("they are %q", s)
	}
}
