package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
)

// Values are what the shell offers for the value of a flag or for an argument.
type Values = cobra.CompletionFunc

// OneOf offers words.
func OneOf(words ...string) Values {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completionTime bounds how long the shell waits for a node.
const completionTime = 2 * time.Second

// Asked offers what a node answers. It offers nothing without flags that select the
// cluster, with a seed that a passphrase protects, or before the cluster's key is known. A
// shell that completes a word asks the person nothing, and trusts no cluster for the first
// time.
func Asked(ask func(ctx context.Context, cl *admin.Client) ([]string, error)) Values {
	return func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		conn := connectionOf(c.Flags())
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		cfg, err := conn.Config(ctx, "completion")
		if err != nil || cfg.ClusterKey == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		cfg.Connect, cfg.Timeout = completionTime, completionTime
		cl := admin.NewClient(cfg)
		if err := cl.Open(ctx); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer cl.Close()
		words, _ := ask(ctx, cl) // a node that does not answer offers nothing
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// connectionOf reads the flags of a command line that is not complete yet. A passphrase is
// read from no descriptor and asked for on no terminal.
func connectionOf(fs *pflag.FlagSet) *Connection {
	c := &Connection{Passphrase: Passphrase{FD: -1}}
	c.Servers, _ = fs.GetStringSlice("server") // the flags exist where Flags added them; else there is no server
	c.Context, _ = fs.GetString("context")
	c.Identity, _ = fs.GetString("identity")
	c.CA, _ = fs.GetString("tls-ca")
	c.ClusterKey, _ = fs.GetString("cluster-key")
	c.TLSFirst, _ = fs.GetBool("tls-first")
	c.Plaintext, _ = fs.GetBool("insecure-plaintext")
	return c
}

// Described is a word that the shell offers with a text for people, who may not have chosen it.
func Described(word, text string) string {
	if text = core.VisibleText(strings.Join(strings.Fields(text), " ")); text == "" {
		return word
	}
	return word + "\t" + text
}

// Complete gives every flag and argument of a program its values: flags by their names
// ("command flag" before "flag"), arguments by the word in the command's use line. A flag
// that names a FILE or a DIR in its usage offers these, and every other one offers nothing.
func Complete(root *cobra.Command, values map[string]Values) {
	for _, c := range root.Commands() {
		Complete(c, values)
	}
	c := root
	c.Flags().VisitAll(func(f *pflag.Flag) {
		offered := values["--"+f.Name]
		if own := values[c.CommandPath()+" --"+f.Name]; own != nil {
			offered = own
		}
		switch usage := " " + f.Usage + " "; {
		case f.NoOptDefVal != "": // a switch
		case offered != nil:
			_ = c.RegisterFlagCompletionFunc(f.Name, offered) // fails for an unknown or a second registration alone
		case strings.Contains(usage, " DIR"):
			_ = c.MarkFlagDirname(f.Name)
		case strings.Contains(usage, " FILE"):
		default:
			_ = c.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
	})
	use := strings.Fields(c.Use)
	if c.ValidArgsFunction != nil || len(use) == 0 {
		return
	}
	c.ValidArgsFunction = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args)+1 >= len(use) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		word := use[len(args)+1]
		for _, name := range []string{c.CommandPath() + " " + word, word} {
			if offer := values[name]; offer != nil {
				return offer(c, args, typed)
			}
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// ConnectionValues are those of the flags that Connection has.
func ConnectionValues() map[string]Values {
	return map[string]Values{
		"--context":     contexts,
		"--identity":    files,
		"--tls-ca":      files,
		"--cluster-key": knownKeys,
	}
}

func files(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func contexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return keys.Contexts(), cobra.ShellCompDirectiveNoFileComp
}

func knownKeys(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	known, err := keys.DefaultKnownClusters()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, _ := known.All() // a file that cannot be read offers nothing
	return slices.Compact(slices.Sorted(maps.Values(all))), cobra.ShellCompDirectiveNoFileComp
}
