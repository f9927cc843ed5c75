package client

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"unibus/core"
)

// TestClusterKeyOfAContext: the context's key counts unless Config has one, and
// a text that is not a cluster's public key is refused before the connection.
func TestClusterKeyOfAContext(t *testing.T) {
	const inContext = "CBZNG2PTIOYOXGX4NJNS7U7OBETMANVONFN3I7Q3QB2XCNAKFJH3UDK3"
	const inConfig = "CBIVWT662735WXQUWIYW5GP7BF344N5VKXGS3C3XDCC365BCH2XYYD3J"
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	ok(t, os.MkdirAll(filepath.Join(dir, "nats", "context"), 0o700))
	write := func(key string) {
		t.Helper()
		text := fmt.Sprintf(`{"url":"nats://127.0.0.1:1","unibus_cluster_key":%q}`, key)
		ok(t, os.WriteFile(filepath.Join(dir, "nats", "context", "prod.json"), []byte(text), 0o600))
	}
	for _, c := range []struct{ context, config, want string }{
		{inContext, "", inContext},
		{inContext, inConfig, inConfig},
		{"", inConfig, inConfig},
		{"", "", ""},
	} {
		write(c.context)
		got, err := Config{Context: "prod", Seed: "user.nk", Dir: dir, ClusterKey: c.config}.resolved()
		if ok(t, err); got.ClusterKey != c.want {
			t.Errorf("context %q, Config %q: the cluster must prove %q, want %q", c.context, c.config, got.ClusterKey, c.want)
		}
	}
	write("no key")
	want(t, "a context's key that is none", second(Config{Context: "prod", Seed: "user.nk", Dir: dir}.resolved()), core.KindInvalid, nil)
	write("")
	want(t, "a key of Config that is none", second(Config{Context: "prod", Seed: "user.nk", Dir: dir, ClusterKey: "no key"}.resolved()), core.KindInvalid, nil)
}
