package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

const (
	alice = "UAYJUJOE7P27HPWNRMQSFCUXPU6OV7EZEVZEJRNSX7IULWUEJIBUL6JR"
	bob   = "UBLM56RDK3XWEO7OLQ3IB3SIDFIED44B4HLNUN2OBLGF7T7Q4SQD4RVM"
)

// write puts text into a file of its own directory and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "unibusd.toml")
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	n, err := Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	wd, _ := os.Getwd()
	want := Node{
		Name: "n1", Data: filepath.Join(wd, "data"), DB: filepath.Join(wd, "data", "unibus.db"),
		Listen: "127.0.0.1:4222", Store: core.BackendSQLite, Replicas: 1,
		BusAuth: core.BusAuthOff, LogFormat: "text", LogLevel: "info",
	}
	if d := cmp.Diff(want, n); d != "" {
		t.Error(d)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	t.Parallel()
	file := write(t, `
name = "file"
data = "here"
listen = "127.0.0.1:1"
log-level = "debug"
log-format = "json"
[[operator]]
key = "`+strings.ToLower(alice)+`"
role = "viewer"
name = "alice"
`)
	env := []string{"UNIBUS_NAME=env", "UNIBUS_LISTEN=127.0.0.1:2", "UNIBUS_LOG_LEVEL=warn", "UNIBUS_LOG_FORMAT=", "UNIBUS_PORT=tcp://1.2.3.4:5", "UNIBUS_NATS_DEBUG=1"}
	flags := map[string][]string{"name": {"flag"}, "operator": {bob + ":admin:bob:the first"}}
	n, err := Load(file, env, flags)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	want := Node{
		Name: "flag", Data: filepath.Join(dir, "here"), DB: filepath.Join(dir, "here", "unibus.db"),
		Listen: "127.0.0.1:2", Store: core.BackendSQLite, Replicas: 1, BusAuth: core.BusAuthOff,
		LogFormat: "json", LogLevel: "warn", NatsDebug: true,
		Operators: []core.Operator{{Key: bob, Role: core.OperatorAdmin, Name: "bob:the first"}},
	}
	if d := cmp.Diff(want, n); d != "" {
		t.Error(d)
	}
}

func TestFileNamedByTheEnvironment(t *testing.T) {
	t.Parallel()
	file := write(t, "name = \"env-file\"\n[[operator]]\nkey = \""+strings.ToLower(alice)+"\"\nrole = \"viewer\"\nname = \"alice\"\n")
	n, err := Load("", []string{"UNIBUS_CONFIG=" + file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n.Name != "env-file" || len(n.Operators) != 1 || n.Operators[0].Key != alice {
		t.Errorf("got %+v", n)
	}
}

func TestACluster(t *testing.T) {
	t.Parallel()
	n, err := Load("", []string{"UNIBUS_ROUTES=127.0.0.1:6001, 127.0.0.1:6002,127.0.0.1:6003"}, map[string][]string{
		"name": {"n1"}, "cluster-name": {"c"}, "cluster-listen": {"127.0.0.1:6001"}, "replicas": {"3"}, "store": {"kv"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !n.Clustered() || n.Size() != 3 {
		t.Errorf("size %d of %v, want 3", n.Size(), n.Routes)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		listen string
		routes []string
		want   int
	}{
		{"", nil, 1},
		{"10.0.0.1:6222", []string{"10.0.0.2:6222", "10.0.0.3:6222"}, 3},
		{"10.0.0.1:6222", []string{"10.0.0.3:6222", "10.0.0.1:6222", "10.0.0.2:6222", "10.0.0.2:6222"}, 3},
		{"0.0.0.0:6222", []string{"10.0.0.1:6222", "10.0.0.2:6222", "10.0.0.3:6222"}, 3},
		{":6222", []string{"10.0.0.1:6222", "10.0.0.2:6222"}, 2},
	} {
		if got := (Node{ClusterListen: c.listen, Routes: c.routes}).Size(); got != c.want {
			t.Errorf("Size of %s with %v: %d, want %d", c.listen, c.routes, got, c.want)
		}
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":   {"name = \"a\"\nlisen = \"x\"", `line 2: there is no setting "lisen"`},
		"unknown table": {"[cluster]\nname = \"x\"", `line 1: there is no setting "cluster"`},
		"operator key":  {"[[operator]]\nkey = \"x\"\nrank = 1", `line 3: there is no setting "operator.rank"`},
		"debug":         {"nats-debug = true", `there is no setting "nats-debug"`},
		"type":          {"\nreplicas = \"three\"", `line 2: the value of "replicas" is not a whole number`},
		"text":          {"listen = 4222", `line 1: the value of "listen" is not a text`},
		"list":          {"routes = \"a:1\"", `line 1: the value of "routes" is not a list of texts`},
		"one operator":  {"operator = \"a\"", `line 1: the value of "operator" is not a table`},
		"syntax":        {"name = ", "line 1, column "},
		"two cases":     {"name = \"a\"\nName = \"b\"", `line 2: "name" is there twice`},
		"another case":  {"\nREPLICAS = \"x\"", `line 2: the value of "replicas" is not a whole number`},
		"both together": {"\nReplicas = 3", `line 2: replicas 3 is given without routes`},
		"no name":       {"[[operator]]\nkey = \"x\"", `line 1: operator 1: "X" is not a public nkey`},
		"twice":         {"name = \"a\"\nname = \"b\"", `line 2: "name" is there twice`},
		"binary":        {"\x00\x01", "line 1, column "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, c.text)
			_, err := Load(file, nil, nil)
			invalid(t, err, c.want)
			if !strings.Contains(err.Error(), file) {
				t.Errorf("the error does not name the file: %v", err)
			}
			if strings.Contains(err.Error(), "Go") || strings.Contains(err.Error(), "config.Node") {
				t.Errorf("the error speaks of the program's insides: %v", err)
			}
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.toml"), nil, nil)
	invalid(t, err, "none.toml does not exist")
	_, err = Load(dir, nil, nil)
	invalid(t, err, "cannot be read")
	_, err = Load(write(t, strings.Repeat("#\n", maxFile)), nil, nil)
	invalid(t, err, "larger than 1 MiB")
}

func TestBadFlagsAndVariables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env   string
		flag  string
		value string
		want  string
	}{
		{flag: "lisen", value: "x", want: "there is no flag --lisen"},
		{flag: "replicas", value: "three", want: `--replicas: "three" is not a number`},
		{flag: "max-connections", value: "many", want: `--max-connections: "many" is not a number`},
		{env: "UNIBUS_BUS_AUHT=enforce", want: "the environment sets UNIBUS_BUS_AUHT, which is no setting"},
		{env: "UNIBUS_REPLICAS=x", want: `UNIBUS_REPLICAS: "x" is not a number`},
		{flag: "operator", value: "alice", want: `--operator: "alice" has not the form NKEY:ROLE:NAME`},
		{env: "UNIBUS_OPERATOR=x:y", want: `UNIBUS_OPERATOR: "x:y" has not the form`},
		{env: "UNIBUS_NATS_DEBUG=yes", want: `UNIBUS_NATS_DEBUG is "yes"`},
	} {
		flags := map[string][]string{}
		if c.flag != "" {
			flags[c.flag] = []string{c.value}
		}
		_, err := Load("", []string{c.env}, flags)
		invalid(t, err, c.want)
	}
}

// TestEverySettingHasThreeNames keeps file, environment and flags from drifting apart.
func TestEverySettingHasThreeNames(t *testing.T) {
	t.Parallel()
	samples := map[string]string{"backup-keep": "3", "replicas": "2", "max-connections": "20", "quota-invitations": "7", "quota-rooms": "8", "quota-members": "9", "quota-rekeys": "10", "quota-megabytes": "11", "max-connections-per-address": "3", "tls-first": "true", "webhook-allow-private": "true", "routes": "h:1", "operator": alice + ":viewer:a"}
	seen := map[string]bool{}
	for _, s := range settings() {
		value := samples[s.Name]
		if value == "" {
			value = "value"
		}
		var byFlag, byEnv, byFile Node
		if err := applyFlags(&byFlag, map[string][]string{s.Name: {value}}); err != nil {
			t.Errorf("--%s: %v", s.Name, err)
		}
		if err := applyEnv(&byEnv, environment([]string{s.Env() + "=" + value})); err != nil {
			t.Errorf("%s: %v", s.Env(), err)
		}
		if err := decode("f", []byte(asTOML(s.Name, value)), &byFile); err != nil {
			t.Errorf("%s in a file: %v", s.Name, err)
		}
		if cmp.Equal(byFlag, Node{}) || !cmp.Equal(byFlag, byEnv) || !cmp.Equal(byFlag, byFile) {
			t.Errorf("%s: flag %+v, environment %+v, file %+v", s.Name, byFlag, byEnv, byFile)
		}
		if s.Usage == "" || seen[s.Name] {
			t.Errorf("%s has no usage text, or is there twice", s.Name)
		}
		seen[s.Name] = true
	}
	if len(Settings()) != len(seen) {
		t.Errorf("Settings has %d entries, want %d", len(Settings()), len(seen))
	}
}

func asTOML(name, value string) string {
	switch name {
	case "backup-keep", "quota-invitations", "quota-rooms", "quota-members", "quota-rekeys", "quota-megabytes",
		"replicas", "max-connections", "max-connections-per-address", "tls-first", "webhook-allow-private":
		return name + " = " + value
	case "routes", "nodes", "backup-recipient":
		return name + ` = ["` + value + `"]`
	case "operator":
		return "[[operator]]\nkey = \"" + alice + "\"\nrole = \"viewer\"\nname = \"a\""
	}
	return name + ` = "` + value + `"`
}

func TestDeclaredFlags(t *testing.T) {
	t.Parallel()
	want := Flags{BusAuth: core.BusAuthEnforce, BusTLS: true, Decentralized: true}
	if got := Declared(); got != want {
		t.Errorf("declared %+v, want %+v", got, want)
	}
	if d := cmp.Diff([]Flag{{"bus-auth", "enforce"}, {"bus-tls", "true"}, {"decentralized", "true"}}, want.List()); d != "" {
		t.Error(d)
	}
	active := Node{BusAuth: core.BusAuthEnforce, TLSCert: "c", TLSKey: "k", Store: core.BackendKV}.Active()
	if active != want {
		t.Errorf("active %+v, want %+v", active, want)
	}
	if _, err := parseFlags([]byte(`{"bus-atuh":"off"}`)); err == nil {
		t.Error("an unknown flag was accepted")
	}
}

// invalid fails unless err is KindInvalid, says want and what to do next.
func invalid(t *testing.T, err error, want string) {
	t.Helper()
	if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %q (%v), want an invalid error with %q", err, core.KindOf(err), want)
	}
	if core.AsError(err).Next == "" {
		t.Errorf("%q does not say what to do", err)
	}
}

func FuzzFile(f *testing.F) {
	f.Add("name = \"a\"\nroutes = [\"a:1\"]\n")
	f.Add("[[operator]]\nkey = \"x\"")
	f.Add("replicas = 99999999999999999999999")
	f.Fuzz(func(t *testing.T, text string) {
		n := Default()
		if err := decode("f", []byte(text), &n); err != nil {
			if core.KindOf(err) != core.KindInvalid {
				t.Fatalf("%q: kind %s", text, core.KindOf(err))
			}
			return
		}
		n.complete()
		if err := n.Validate(); err != nil && (core.KindOf(err) != core.KindInvalid || core.AsError(err).Next == "") {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func TestEncodeReadsBack(t *testing.T) {
	t.Parallel()
	want := clustered()
	want.Data, want.Operators[1].Name = "/d/\"quoted\" ü", "Zoë \\ 1"
	text, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(write(t, string(text)), nil, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
