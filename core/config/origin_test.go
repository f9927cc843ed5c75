package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
)

// TestErrorsNameWhereTheValueIs: a value of the file is named with file, line and key, one
// of the environment with its variable, and one of the command line with its flag.
func TestErrorsNameWhereTheValueIs(t *testing.T) {
	t.Parallel()
	operator := "[[operator]]\nkey = \"" + alice + "\"\nrole = \"admin\"\nname = \"ana\"\n"
	for _, c := range []struct {
		text, env, flag string // flag: name=value
		want            string // with FILE for the path
		absent          string
	}{
		{text: "name = \"n1\"\n\nstore = \"mysql\"\n", want: `FILE, line 3: store: there is no "mysql"`, absent: "--"},
		{text: "# a comment\nlog-level = \"Debug\"", want: `FILE, line 2: log-level: there is no "Debug"`, absent: "--"},
		{text: "name = \"n1\"\ntls-cert = \"a.crt\"\n", want: "FILE, line 2: tls-cert is given without tls-key", absent: "--"},
		{text: "replicas = 9\n", want: "FILE, line 1: replicas is 9", absent: "--"},
		{text: "listen = \"h\"", want: `FILE, line 1: listen: "h" is not host:port`, absent: "--"},
		{text: "quota-rooms = -1", want: "FILE, line 1: quota-rooms is -1", absent: "--"},
		{text: "name = \"n1\"\nroutes = [\n \"10.0.0.2:1\",\n]\n", want: "FILE, line 2: routes is given without cluster-name", absent: "--"},
		{text: "routes = [\"10.0.0.2:1\"]", want: "FILE, line 1: name is missing: with routes every node", absent: "--"},
		{text: operator + strings.ReplaceAll(strings.ReplaceAll(operator, "admin", "boss"), "ana", "ben"), want: `FILE, line 5: operator ben: there is no role "boss"`, absent: "--"},
		{text: operator + strings.ReplaceAll(operator, "ana", "ben"), want: "line 1: operator: ana and ben have the same key"},
		{text: operator + "not-after = \"soon\"\n", want: `FILE, line 1: operator ana: not-after "soon" is not a date`},
		{text: "max-connections = \"many\"", want: `line 1: the value of "max-connections" is not a whole number`},
		{text: operator + "[[operator]]\nkey = 3\n", want: "line 6: the value of"},
		{text: "store = \"kv\"", env: "UNIBUS_STORE=mysql", want: `UNIBUS_STORE: there is no "mysql"`, absent: "FILE"},
		{env: "UNIBUS_TLS_CERT=a.crt", want: "UNIBUS_TLS_CERT is given without UNIBUS_TLS_KEY", absent: "--"},
		{env: "UNIBUS_STORE=sqlite", text: "store = \"x\"", flag: "store=mysql", want: `--store: there is no "mysql"`, absent: "UNIBUS"},
		{text: "tls-cert = \"a.crt\"\nreplicas = 1", flag: "replicas=2", want: "FILE, line 1: tls-cert is given without tls-key"},
		{text: "listen = \"127.0.0.1:1\"", flag: "cluster-listen=127.0.0.1:1", want: "FILE, line 1: listen and --cluster-listen are both"},
	} {
		file := filepath.Join(t.TempDir(), "n.toml")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		flags := map[string][]string{}
		if name, value, ok := strings.Cut(c.flag, "="); ok {
			flags[name] = []string{value}
		}
		_, err := Load(file, []string{c.env}, flags)
		e := core.AsError(err)
		if e == nil || e.Kind != core.KindInvalid {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		got := strings.ReplaceAll(e.Text, file, "FILE")
		if !strings.HasPrefix(got, c.want) && !strings.Contains(got, ", "+c.want) || e.Next == "" || c.absent != "" && strings.Contains(got+e.Next, c.absent) {
			t.Errorf("%+v:\n got %s\nnext %s", c, got, e.Next)
		}
	}
}

// TestErrorsOfTheNodeAreExplained: an error that a node finds after the start names its setting
// likewise.
func TestErrorsOfTheNodeAreExplained(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "n.toml")
	if err := os.WriteFile(file, []byte("name = \"n1\"\nlisten = \"127.0.0.1:4222\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Source{File: file}
	cause := core.Errorf(core.KindFailed, "--listen 127.0.0.1:4222 is in use").WithNext("give another one with --listen, and look at --frobnicate")
	if got := s.Explain(cause); !errors.Is(got, cause) || got.Error() != cause.Text {
		t.Errorf("before the settings are read: %v", got)
	}
	if _, err := s.Load(); err != nil {
		t.Fatal(err)
	}
	got := core.AsError(s.Explain(cause))
	if want := file + ", line 2: listen 127.0.0.1:4222 is in use"; got.Text != want || got.Next != "give another one with listen, and look at --frobnicate" || got.Kind != core.KindFailed {
		t.Errorf("%+v, want %s", got, want)
	}
	if s.Explain(nil) != nil {
		t.Error("no error is explained")
	}
}
