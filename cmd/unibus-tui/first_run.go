package main

import (
	"context"
	"os"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/keys"
	"unibus/tui/settings"
	"unibus/tui/setup"
	"unibus/tui/theme"
)

// needsSetup is true for a person who has named no cluster, neither now nor in a file.
func (o *consoleFlags) needsSetup(f inForce) bool {
	return !o.Given() && len(knownContexts(f.file)) == 0
}

// setUp asks for a cluster and saves it as a context; false if the person left.
func (o *consoleFlags) setUp(ctx context.Context, f inForce, opts ...tea.ProgramOption) (bool, error) {
	skin := theme.Shipped(theme.Dark)
	for _, s := range f.skins {
		if string(s.Name) == o.theme {
			skin = s
		}
	}
	if slices.Contains(theme.Modes(), theme.Mode(o.theme)) && o.theme != string(theme.Auto) {
		skin = theme.Shipped(theme.Mode(o.theme))
	}
	if os.Getenv("NO_COLOR") != "" {
		skin = theme.Shipped(theme.Mono)
	}
	name, err := setup.Run(ctx, setup.Config{
		Theme: theme.NewOf(skin, o.ascii || !core.IsUTF8Locale(os.Environ())),
		Try:   tryConnection, Save: saveContext, Check: checkAnswer,
	}, opts...)
	o.Context = name
	return name != "", err
}

// checkAnswer looks at one answer as it is typed.
func checkAnswer(field, value string) error {
	switch field {
	case "servers":
		servers := setup.Answers{Servers: value}.ServerList()
		if len(servers) == 0 {
			return core.Errorf(core.KindInvalid, "no server is named").WithNext("type the URL of each node")
		}
		return keys.CheckServers("servers", servers)
	case "identity":
		return checkIdentity(value)
	case "ca":
		if value == "" {
			return nil
		}
		_, err := keys.OpenAuthorities(expandHome(value), nil)
		return err
	}
	switch {
	case !settings.ValidName(value):
		return core.Errorf(core.KindInvalid, "a name has letters, digits, dots, dashes and underscores").WithNext("for example: ops")
	case slices.Contains(keys.Contexts(), value):
		return core.Errorf(core.KindExists, "there is a context %s already, and it is not overwritten", value).WithNext("choose another name")
	}
	return nil
}

// checkIdentity never repeats what was typed: it may be a seed.
func checkIdentity(value string) error {
	switch {
	case value == "":
		return core.Errorf(core.KindInvalid, "no identity is named").WithNext("make one with `unibusd keygen operator --out FILE`")
	case strings.HasPrefix(value, "agent:"):
		return nil
	case core.Redact(value) != value:
		return core.Errorf(core.KindInvalid, "this is a seed, and a file is wanted").WithNext("write the seed into a file of mode 0600 and name that")
	}
	if _, err := os.Stat(expandHome(value)); err != nil {
		return core.Errorf(core.KindInvalid, "the file cannot be found").WithNext("check the path, or make a seed with `unibusd keygen operator --out FILE`")
	}
	return nil
}

// saveContext writes the context in the form of the nats CLI, so that this and unibusd know it, too.
func saveContext(a setup.Answers) (string, error) {
	return keys.WriteContext(a.Name, keys.Context{Servers: a.ServerList(), Seed: absolute(a.Identity), CA: absolute(a.CA), TLSFirst: a.TLSFirst})
}
