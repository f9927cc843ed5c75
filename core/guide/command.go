package guide

import (
	"slices"
	"strings"

	"unibus/core"
)

// command is how a text names a guide.
const command = "unibusd guide "

// Command is the command that fills a guide in.
func Command(words ...string) string { return command + strings.Join(words, " ") }

// Parse reads a guide's name and its arguments, such as "disk-wiped n3". KindNotFound and KindInvalid.
func Parse(words []string) (Guide, []string, error) {
	g, err := Named(words[0])
	if err != nil {
		return Guide{}, nil, err
	}
	if len(words)-1 != len(g.Args) {
		takes := "no arguments"
		if len(g.Args) > 0 {
			takes = strings.Join(g.Args, " ")
		}
		return Guide{}, nil, core.Errorf(core.KindInvalid, "the guide %s takes %s, and %d were given", g.Name, takes, len(words)-1).
			WithNext("for example: %s", Command(append(words[:1:1], g.Args...)...))
	}
	args := slices.Clone(words[1:])
	if key := g.NeedsUserKey(args); key != "" {
		id, err := core.ParseUserID(key)
		if err != nil { // it may be the seed, which no output may have
			return Guide{}, nil, core.Errorf(core.KindInvalid, "the guide %s takes a user's public nkey: 56 characters, beginning with U", g.Name).
				WithNext("for example: %s", Command(g.Name, "NKEY"))
		}
		args[0] = string(id)
	}
	return g, args, nil
}

// NamedIn finds the guide that a next step names last, with its arguments; nil without one.
func NamedIn(next string) []string {
	at := strings.LastIndex(next, command)
	if at < 0 {
		return nil
	}
	words := strings.Fields(next[at+len(command):])
	if len(words) == 0 {
		return nil
	}
	for i := range words {
		words[i] = strings.TrimRight(words[i], ".,;:`")
	}
	g, err := Named(words[0])
	if err != nil || len(words) < 1+len(g.Args) {
		return nil
	}
	return words[:1+len(g.Args)]
}

// NeedsConnection is true of a command that asks a node, and so takes --server and --identity.
func NeedsConnection(line string) bool {
	words := strings.Fields(line)
	switch {
	case len(words) == 0:
		return false
	case words[0] == "unibus-tui":
		return true
	}
	local := []string{"cert", "keygen", "restore", "serve"}
	return words[0] == "unibusd" && len(words) > 1 && !slices.Contains(local, words[1])
}
