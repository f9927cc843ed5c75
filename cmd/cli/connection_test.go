package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"unibus/core"
)

// TestContextFillsWhatIsOpen: flags win over the context, and one that cannot be read is said.
func TestContextFillsWhatIsOpen(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	at := filepath.Join(dir, "nats", "context")
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "demo.json"), []byte(`{"url":"tls://a:1,tls://b:2","nkey":"/k/op.nk","ca":"/k/ca.crt"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Connection{Context: "demo"}
	if err := c.fromContext(); err != nil || !slices.Equal(c.Servers, []string{"tls://a:1", "tls://b:2"}) || c.Identity != "/k/op.nk" || c.CA != "/k/ca.crt" {
		t.Errorf("all of it: %+v, %v", c, err)
	}
	c = Connection{Context: "demo", Servers: []string{"nats://c:3"}, Identity: "/mine.nk", CA: "/mine.crt"}
	if err := c.fromContext(); err != nil || c.Servers[0] != "nats://c:3" || c.Identity != "/mine.nk" || c.CA != "/mine.crt" {
		t.Errorf("beside flags: %+v, %v", c, err)
	}
	for _, name := range []string{"missing", "../context/demo"} {
		c = Connection{Context: name}
		if _, err := c.Config("x"); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
