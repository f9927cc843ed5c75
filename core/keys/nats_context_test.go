package keys_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"unibus/core"
	"unibus/core/keys"
)

func TestReadContext(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	contexts := filepath.Join(dir, "nats", "context")
	if err := os.MkdirAll(contexts, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"demo":  `{"url":"tls://a:1,tls://b:2","nkey":"/k/ann.nk","ca":"/k/ca.crt","user":"x"}`,
		"empty": `{}`, "broken": `{`,
	} {
		if err := os.WriteFile(filepath.Join(contexts, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := keys.ReadContext("demo")
	if err != nil || !slices.Equal(got.Servers, []string{"tls://a:1", "tls://b:2"}) || got.Seed != "/k/ann.nk" || got.CA != "/k/ca.crt" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := keys.ReadContext("empty"); err != nil || len(got.Servers) != 0 {
		t.Errorf("an empty one: %+v, %v", got, err)
	}
	for _, name := range []string{"broken", "missing", "../context/demo", `a\b`} {
		if _, err := keys.ReadContext(name); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
