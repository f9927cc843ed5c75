package clitest

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// PlantedConfig says which program is given secrets where it wants something else.
type PlantedConfig struct {
	Program string            // the path of the real binary
	Root    *cobra.Command    // its commands, as they are built
	Given   map[string]string // values of flags that make a command work, by name; a planted one takes their place
	Args    map[string]string // arguments that make a command work, by the word in its usage: NKEY
	Turn    int               // which kind of secret comes first
	Brief   []string          // commands that run until they are ended, by path
}

// A Secret is put where it does not belong; no part of it may come out again.
type Secret struct {
	Name, Value string
	Parts       []string // what may not be seen
}

// Secrets are one of each kind, made of a seed that is used here only.
func Secrets(seed string) []Secret {
	encoded := base64.StdEncoding.EncodeToString([]byte(seed + "\n"))
	return []Secret{
		{"a seed", seed, parts(seed)},
		{"a URL with a password", "nats://planted:hunter2,quokka'horse$battery@127.0.0.1:1", []string{"hunter2", "quokka", "horse", "battery"}},
		{"a context's nkey", "data:;base64," + encoded, parts(encoded)},
		{"a private key", "-----BEGIN PRIVATE KEY-----\n" + encoded + "\n-----END PRIVATE KEY-----\n", parts(encoded)},
	}
}

// parts are all pieces of ten characters.
func parts(secret string) []string {
	var out []string
	for i := 0; i+10 <= len(secret); i++ {
		out = append(out, secret[i:i+10])
	}
	return out
}

// Found returns the first part of any secret that text shows.
func Found(text string, secrets []Secret) string {
	for _, s := range secrets {
		for _, p := range s.Parts {
			if strings.Contains(text, p) {
				return fmt.Sprintf("%s (%s)", s.Name, p)
			}
		}
	}
	return ""
}

// Planted runs every command of a program with a secret in each of its flags and
// arguments, and fails the test for each that repeats one. The commands are those
// that the program has: a new one is in it by itself.
func Planted(t *testing.T, cfg PlantedConfig, secrets []Secret) {
	t.Helper()
	var calls []call
	every(cfg.Root, func(c *cobra.Command) { calls = append(calls, cfg.calls(c, cfg.Turn+len(calls), secrets)...) })
	if len(calls) < 10 {
		t.Fatalf("only %d calls: the commands were not found", len(calls))
	}
	var all sync.WaitGroup
	next := make(chan call)
	for range 4 {
		all.Go(func() {
			for c := range next {
				out := Run(t, cfg.Program, c.brief, nil, c.args...)
				if found := Found(out, secrets); found != "" {
					t.Errorf("%s shows %s:\n%s", c.what, found, out)
				}
			}
		})
	}
	for _, c := range calls {
		next <- c
	}
	close(next)
	all.Wait()
	t.Logf("%d calls", len(calls))
}

// call is one run of the program.
type call struct {
	what  string
	args  []string
	brief bool
}

// every visits the commands that do something.
func every(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		every(sub, f)
	}
}

// calls plants secrets in each flag and in each argument of a command: two kinds in its own.
// Flags that select the cluster are the same code in every command, so one gets one secret,
// and one mistake gets one. The kinds take turns, so that all of them come everywhere.
func (cfg PlantedConfig) calls(c *cobra.Command, turn int, secrets []Secret) []call {
	var out []call
	words := strings.Fields(c.Use)[1:]
	add := func(where string, secret Secret, flags map[string]string, args []string) {
		line := append(strings.Fields(c.CommandPath())[1:], args...)
		for name, value := range flags {
			line = append(line, "--"+name+"="+value)
		}
		if c.Flag("json") != nil && (turn+len(out))%2 == 0 {
			line = append(line, "--json")
		}
		out = append(out, call{fmt.Sprintf("%s with %s in %s", c.CommandPath(), secret.Name, where), line, slices.Contains(cfg.Brief, c.CommandPath())})
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Value.Type() == "bool" {
			return
		}
		kinds := 2
		if c.Flag("identity") != nil && slices.Contains([]string{"server", "identity", "tls-ca", "context"}, f.Name) {
			kinds = 1
		}
		for i := range kinds {
			s := secrets[(turn+len(out)+i)%len(secrets)]
			add("--"+f.Name, s, cfg.with(c, f.Name, s.Value), cfg.arguments(words, -1, ""))
		}
	})
	for i := range words {
		for _, s := range secrets {
			add(words[i], s, cfg.with(c, "", ""), cfg.arguments(words, i, s.Value))
		}
	}
	switch turn % 3 {
	case 0:
		add("an argument too many", secrets[0], cfg.with(c, "", ""), append(cfg.arguments(words, -1, ""), secrets[0].Value))
	case 1:
		add("an unknown flag", secrets[0], map[string]string{secrets[0].Value: secrets[0].Value}, nil)
	case 2:
		add("a short flag", secrets[1], nil, []string{"-phunter2"})
	}
	return out
}

// with are the flags that a command needs, one of them planted.
func (cfg PlantedConfig) with(c *cobra.Command, planted, value string) map[string]string {
	flags := map[string]string{}
	for name, v := range cfg.Given {
		if c.Flag(name) != nil {
			flags[name] = v
		}
	}
	if planted != "" {
		flags[planted] = value
	}
	if planted == "context" {
		delete(flags, "server")
		delete(flags, "identity")
	}
	return flags
}

func (cfg PlantedConfig) arguments(words []string, planted int, value string) []string {
	var out []string
	for i, w := range words {
		if i == planted {
			w = value
		} else if given, ok := cfg.Args[w]; ok {
			w = given
		}
		out = append(out, w)
	}
	return out
}

// Run returns what a program writes to both of its streams. One that is brief is
// ended soon; all others have half a minute.
func Run(t *testing.T, program string, brief bool, environ []string, args ...string) string {
	t.Helper()
	limit := 30 * time.Second
	if brief {
		limit = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), environ...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() != nil && !brief {
		t.Errorf("%s did not end by itself", strings.Join(args, " "))
	}
	return string(out)
}

// ContextDir makes a directory for XDG_CONFIG_HOME with these contexts of the NATS CLI, by name.
func ContextDir(t *testing.T, contexts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	at := filepath.Join(dir, "nats", "context")
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range contexts {
		if err := os.WriteFile(filepath.Join(at, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
