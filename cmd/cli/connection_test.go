package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"unibus/cmd/cli/clitest"
	"unibus/core"
	"unibus/core/keys"
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
		if _, err := c.Config(t.Context(), "x"); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPlantedSecretsInContexts: nothing of a context of the NATS CLI that cannot be used is repeated.
func TestPlantedSecretsInContexts(t *testing.T) {
	seed, _, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	secrets := clitest.Secrets(string(seed))
	contexts := map[string]string{}
	for _, field := range []string{"url", "nkey", "ca", "creds", "token", "user", "password", "user_seed", "nsc"} {
		for i, s := range secrets {
			text, err := json.Marshal(map[string]string{"url": "nats://127.0.0.1:1", field: s.Value})
			if err != nil {
				t.Fatal(err)
			}
			contexts[fmt.Sprint(field, i)] = string(text)
			contexts[fmt.Sprint(field, i, "broken")] = string(text) + "," + s.Value
			contexts[fmt.Sprint(field, i, "nested")] = `{"` + field + `": [` + string(text) + `]}`
		}
	}
	for scheme, want := range map[string]string{"op://vault/item": "op:", "nsc://o/a/u": "nsc:", "VAULT:x": "vault:"} {
		contexts[want[:2]] = fmt.Sprintf(`{"url":"nats://127.0.0.1:1","nkey":%q}`, scheme)
		contexts["ca"+want[:2]] = fmt.Sprintf(`{"url":"nats://127.0.0.1:1","ca":%q}`, scheme)
	}
	t.Setenv("XDG_CONFIG_HOME", clitest.ContextDir(t, contexts))
	for name := range contexts {
		_, err := (&Connection{Context: name}).Config(t.Context(), "x")
		if (err == nil) != (name == "nkey2") {
			t.Errorf("%s: %v", name, err)
		}
		if found := clitest.Found(fmt.Sprintf("%v %v", err, core.AsError(err)), secrets); found != "" {
			t.Errorf("%s: %v shows %s", name, err, found)
		}
	}
	for _, scheme := range []string{"op", "nsc", "vault"} {
		for _, name := range []string{scheme[:2], "ca" + scheme[:2]} {
			if _, err := (&Connection{Context: name}).Config(t.Context(), "x"); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), scheme+":") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestContextWithASeedIsPrivate: a context that holds the seed is kept as a seed file is.
func TestContextWithASeedIsPrivate(t *testing.T) {
	seed, public, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	dir := clitest.ContextDir(t, map[string]string{"own": `{"url":"nats://127.0.0.1:1","nkey":"` + clitest.Secrets(string(seed))[2].Value + `"}`})
	t.Setenv("XDG_CONFIG_HOME", dir)
	cfg, err := (&Connection{Context: "own"}).Config(t.Context(), "x")
	if err != nil || cfg.Identity.Public() != public {
		t.Fatalf("%v", err)
	}
	if err := os.Chmod(filepath.Join(dir, "nats", "context", "own.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Connection{Context: "own"}).Config(t.Context(), "x"); core.KindOf(err) != core.KindRefused || !strings.Contains(core.AsError(err).Next, "chmod 600") {
		t.Errorf("others can read it: %v", err)
	}
}

// TestCommandFlagsAreThoseGiven: a command that a program shows acts on the same cluster as the same
// operator. Each flag overrides the context, and values that the context fills in stay with the
// context.
func TestCommandFlagsAreThoseGiven(t *testing.T) {
	seed, _, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ana lee.nk")
	if err := os.WriteFile(file, append(seed, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CONFIG_HOME", clitest.ContextDir(t, map[string]string{"ops": `{"url":"nats://127.0.0.1:1","nkey":"/k/op.nk","tls_first":true}`}))
	for _, c := range []struct {
		given Connection
		want  string
	}{
		{
			Connection{Context: "ops", Servers: []string{"nats://127.0.0.1:2", "nats://127.0.0.1:3"}, Identity: file},
			"--context ops --server nats://127.0.0.1:2,nats://127.0.0.1:3 --identity '" + file + "'",
		},
		{Connection{Context: "ops", Identity: file}, "--context ops --identity '" + file + "'"},
		{
			Connection{Servers: []string{"nats://10.0.0.1:2"}, Identity: file, Plaintext: true, TLSFirst: true},
			"--server nats://10.0.0.1:2 --identity '" + file + "' --insecure-plaintext --tls-first",
		},
	} {
		for range 2 { // a program may connect again
			if _, err := c.given.Config(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			if got := c.given.CommandFlags(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		}
	}
	c := Connection{Context: "two words", CA: "it's/ca.pem", ClusterKey: "XKEY"}
	if got, want := c.CommandFlags(), `--context 'two words' --tls-ca 'it'\''s/ca.pem' --cluster-key XKEY`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestGivenSeesEveryFlag: a flag that a command would ignore is refused with it.
func TestGivenSeesEveryFlag(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(Connection).Flags(fs)
	fs.VisitAll(func(f *pflag.Flag) {
		var c Connection
		own := pflag.NewFlagSet("", pflag.ContinueOnError)
		c.Flags(own)
		if c.Given() {
			t.Fatal("nothing was given")
		}
		value := map[string]string{"bool": "true", "int": "3"}[f.Value.Type()]
		if err := own.Set(f.Name, cmp.Or(value, "x")); err != nil || !c.Given() {
			t.Errorf("--%s is not seen (%v)", f.Name, err)
		}
	})
}
