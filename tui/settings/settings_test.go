package settings_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"unibus/core"
	"unibus/tui/settings"
)

const whole = `# mine
theme = "light"
bell = false
context = "ops"

[keys]
filter = "f5"
"user revoke" = "ctrl+r"

[contexts.ops]
server = ["tls://n1:4222", "tls://n2:4222"]
identity = "ana.nk"
color = "#ff0000"
`

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := settings.Parse("/c/console.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := settings.File{
		Path: "/c/console.toml", Theme: new("light"), Bell: new(false), Context: new("ops"),
		Keys:     map[string]string{"filter": "f5", "user revoke": "ctrl+r"},
		Contexts: map[string]settings.Context{"ops": {Servers: []string{"tls://n1:4222", "tls://n2:4222"}, Identity: "/c/ana.nk", Color: "#ff0000"}},
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(settings.File{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for name, where := range map[string]string{
		"theme": "/c/console.toml:2", "keys.filter": "/c/console.toml:7", "keys.user revoke": "/c/console.toml:8",
		"contexts.ops": "/c/console.toml:10", "contexts.ops.color": "/c/console.toml:13", "mouse": "/c/console.toml",
	} {
		if got.Where(name) != where || got.Has(name) != strings.Contains(where, ":") {
			t.Errorf("%s is at %q, want %q", name, got.Where(name), where)
		}
	}
}

// TestBadFilesAreRefusedByLine: each says where, and never repeats the value.
func TestBadFilesAreRefusedByLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\nthem = \"dark\"":                        `f:2: there is no setting "them"`,
		"bell = \"SECRET\"":                        `f:1: the value of "bell" is of the wrong kind`,
		"theme = \"a\"\ntheme = \"b\"":             `f:2: "theme" is there twice`,
		"theme = dark":                             "f:1:9: this is not TOML",
		"[contexts.a]\nidentity = \"x\"":           "f:1: the context a names no server",
		"\n[contexts.\"a/b\"]\nserver = [\"x\"]":   `f:2: "a/b" is no name of a context`,
		"[contexts.a]\nserver = [\"x\"]\nseed = 1": `f:3: there is no setting "contexts.a.seed"`,
	} {
		_, err := settings.Parse("f", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if core.KindOf(err) != core.KindInvalid || core.AsError(err).Next == "" {
			t.Errorf("%q: the error has the kind %s and the step %q", text, core.KindOf(err), core.AsError(err).Next)
		}
	}
}
