package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/binding"
	"unibus/core/keys"
	"unibus/tui/settings"
)

// Connection is which cluster to talk to and as whom.
type Connection struct {
	Context  string   // the name of a NATS CLI context
	Servers  []string // URLs, all of them: nodes tell clients no further address
	Identity string   // the operator's seed file, or "agent:NKEY" for a key in the SSH agent
	CA       string   // the authority that signed the nodes' certificates

	ClusterKey string // the public key that the cluster must prove; "": the one that is pinned
	Plaintext  bool   // speak without TLS to other machines too
	TLSFirst   bool   // begin with TLS, as nodes with tls-first want it

	Passphrase Passphrase // of the seed file, where it is protected by one

	fromNATS keys.Identity // what the context holds itself, in the place of a file
	given    *Connection   // as the flags were, before a context filled in the rest; nil until Config
}

// CommandFlags are the flags that were given, as words of a shell command: a command with them acts on
// the same cluster as the same operator. They are without --passphrase-fd, because each command reads its own.
func (c *Connection) CommandFlags() string {
	if c.given != nil {
		c = c.given
	}
	var words []string
	for _, f := range []struct{ flag, value string }{
		{"context", c.Context}, {"server", strings.Join(c.Servers, ",")}, {"identity", c.Identity}, {"tls-ca", c.CA}, {"cluster-key", c.ClusterKey},
	} {
		if f.value != "" {
			words = append(words, "--"+f.flag, core.ShellQuote(f.value))
		}
	}
	if c.Plaintext {
		words = append(words, "--insecure-plaintext")
	}
	if c.TLSFirst {
		words = append(words, "--tls-first")
	}
	return strings.Join(words, " ")
}

// Flags adds the flags of a connection. --nats-url and --ca are aliases of --server and --tls-ca.
func (c *Connection) Flags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&c.Servers, "server", nil, "all nodes: URL[,URL] (alias: --nats-url)")
	fs.StringVar(&c.Identity, "identity", "", "the operator's seed FILE, or agent:NKEY for a key in the SSH agent")
	fs.IntVar(&c.Passphrase.FD, passphraseFlag, 0, "read the seed file's passphrase from this file descriptor N (default: ask on the terminal)")
	fs.StringVar(&c.CA, "tls-ca", "", "certificate FILE of the CA that signed the nodes' certificates (alias: --ca)")
	fs.BoolVar(&c.TLSFirst, "tls-first", false, "begin with TLS, for nodes that run with --tls-first")
	fs.StringVar(&c.Context, "context", "", "take server, identity and CA from the context NAME of the settings file or the nats CLI")
	fs.StringVar(&c.ClusterKey, "cluster-key", "", "the public KEY that the cluster must prove (default: the one it proved first)")
	fs.BoolVar(&c.Plaintext, "insecure-plaintext", false, "connect to other machines without TLS: a relay can read the traffic")
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "nats-url":
			name = "server"
		case "ca":
			name = "tls-ca"
		}
		return pflag.NormalizedName(name)
	})
}

// Given is true where any of the flags was set.
func (c *Connection) Given() bool {
	return c.Context != "" || len(c.Servers) > 0 || c.Identity != "" || c.CA != "" ||
		c.ClusterKey != "" || c.Plaintext || c.TLSFirst || c.Passphrase.FD != 0
}

// Dial connects. KindInvalid names the flag that is missing.
func (c *Connection) Dial(ctx context.Context, name string) (*admin.Client, error) {
	cfg, err := c.Config(ctx, name)
	if err != nil {
		return nil, err
	}
	return c.Open(ctx, cfg)
}

// Open connects with what Config returned, and remembers the cluster's key where
// it was not known. A cluster that proves another key is refused in words.
func (c *Connection) Open(ctx context.Context, cfg admin.ClientConfig) (*admin.Client, error) {
	cl, err := c.Try(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if said := c.remember(cl, cfg); said != "" {
		fmt.Fprintln(os.Stderr, said)
	}
	return cl, nil
}

// Try connects with what Config returned, and remembers nothing.
func (c *Connection) Try(ctx context.Context, cfg admin.ClientConfig) (*admin.Client, error) {
	cl := admin.NewClient(cfg)
	if err := cl.Open(ctx); err != nil {
		return nil, c.explain(err)
	}
	return cl, nil
}

// firstTry is how long DialInTime waits before it goes on without a connection.
const firstTry = 150 * time.Millisecond

// DialInTime is Dial for what goes on without a connection: where no node answers at once it
// returns a client that tries every server until ctx ends. See admin.Client.Attempts. What Dial
// prints is given to say, perhaps from another goroutine: the terminal may show a console.
func (c *Connection) DialInTime(ctx context.Context, name string, say func(string)) (*admin.Client, error) {
	cfg, err := c.Config(ctx, name)
	if err != nil {
		return nil, err
	}
	first := cfg
	first.Connect = firstTry
	cl, err := c.Try(ctx, first)
	switch {
	case err == nil:
		if said := c.remember(cl, first); said != "" {
			say(said)
		}
		return cl, nil
	case core.KindOf(err) != core.KindUnavailable:
		return nil, err
	}
	cl = admin.NewClient(cfg)
	go func() {
		if cl.OpenUntilDone(ctx, c.explain) {
			say(c.remember(cl, cfg))
		}
	}()
	return cl, nil
}

// explain is a cluster that proves another key, in words, and any other error as it is.
func (c *Connection) explain(err error) error {
	if changed := new(binding.Changed); errors.As(err, &changed) {
		return c.refuse(changed)
	}
	return err
}

// remember keeps the key that the cluster proved for the next time, and returns what there
// is to say of it. Where that is not possible the work goes on: it is proven for this connection.
func (c *Connection) remember(cl *admin.Client, cfg admin.ClientConfig) string {
	key := cl.ClusterKey()
	if c.ClusterKey != "" || key == "" || !cl.Proven() {
		return ""
	}
	known, err := keys.DefaultKnownClusters()
	if err == nil {
		err = known.Pin(c.Servers, key)
	}
	switch {
	case err != nil:
		return fmt.Sprintf("The cluster's key %s cannot be remembered: %v", key, err)
	case cfg.ClusterKey == "" && known.Path != os.DevNull:
		return fmt.Sprintf("First contact with %s. The cluster proves the key %s, which is remembered in %s.", strings.Join(c.Servers, ", "), key, known.Path)
	}
	return ""
}

// refuse says where the key comes from that the cluster does not prove.
func (c *Connection) refuse(changed *binding.Changed) error {
	e := core.Errorf(core.KindRefused, "%s: %v", strings.Join(c.Servers, ", "), changed)
	e.Err = changed
	if c.ClusterKey != "" {
		return e.WithNext("look at --cluster-key and --server; on a node, this prints the right key: `unibusd cluster-key show --data DIR`")
	}
	return e.WithNext("ask the operators of the cluster whether its key was replaced; only if it was: unibusd cluster-key forget %s", changed.Pinned)
}

// Config reads the files that the flags name and returns what a client needs.
func (c *Connection) Config(ctx context.Context, name string) (admin.ClientConfig, error) {
	if c.given == nil {
		given := *c
		c.given = &given
	}
	if err := c.fromContext(); err != nil {
		return admin.ClientConfig{}, err
	}
	if len(c.Servers) == 0 {
		return admin.ClientConfig{}, core.Errorf(core.KindInvalid, "no node is named").
			WithNext("give --server URL[,URL] and --identity FILE, or --context NAME")
	}
	if err := keys.CheckServers("--server", c.Servers); err != nil {
		return admin.ClientConfig{}, err
	}
	if err := c.checkPlaintext(); err != nil {
		return admin.ClientConfig{}, err
	}
	id, err := c.identity(ctx)
	if err != nil {
		return admin.ClientConfig{}, err
	}
	cfg := admin.ClientConfig{Servers: c.Servers, Identity: id, Name: name, TLSFirst: c.TLSFirst}
	if cfg.ClusterKey, err = c.expectedKey(); err != nil {
		return admin.ClientConfig{}, err
	}
	if c.CA != "" {
		authorities, err := keys.OpenAuthorities(c.CA, nil) // a console runs for long: it reads the file again
		if err != nil {
			return admin.ClientConfig{}, err
		}
		cfg.TLS, cfg.Roots, cfg.CA = &tls.Config{MinVersion: tls.VersionTLS13}, authorities.Pool, c.CA
	}
	return cfg, nil
}

// expectedKey is the key that the cluster must prove; "" on first contact.
func (c *Connection) expectedKey() (string, error) {
	if c.ClusterKey != "" {
		return c.ClusterKey, keys.CheckClusterKey(c.ClusterKey)
	}
	known, err := keys.DefaultKnownClusters()
	if err != nil {
		return "", nil //nolint:nilerr // without a place nothing is known; that it cannot be remembered is said then
	}
	return known.Key(c.Servers)
}

// checkPlaintext refuses operators' work over a network that others may be in.
func (c *Connection) checkPlaintext() error {
	for _, s := range c.Servers {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "nats" || c.CA != "" || c.Plaintext || core.IsLoopbackHost(u.Hostname()) {
			continue
		}
		return core.Errorf(core.KindRefused, "%s is on another machine, and nats:// has no TLS: a relay on the way can read the traffic and act as you", u.Host).
			WithNext("use tls:// with --tls-ca; or --insecure-plaintext, if no relay can be on the way")
	}
	return nil
}

// identity is the one that the flags name, or the context's.
func (c *Connection) identity(ctx context.Context) (keys.Identity, error) {
	switch {
	case c.Identity != "":
		return openIdentity(ctx, c.Identity, &c.Passphrase)
	case c.fromNATS.Public() != "":
		return c.fromNATS, nil
	}
	return keys.Identity{}, core.Errorf(core.KindInvalid, "no identity is given").
		WithNext("give --identity FILE, a seed made by `unibusd keygen operator --out FILE`, or --identity agent:NKEY")
}

// fromContext fills in what the flags leave open from a context of the settings file, else of the NATS CLI.
func (c *Connection) fromContext() error {
	if c.Context == "" {
		return nil
	}
	own, err := settings.Read()
	if err != nil {
		return err
	}
	if found, ok := own.Contexts[c.Context]; ok {
		c.fill(keys.Context{Servers: found.Servers, Seed: found.Identity, CA: found.CA, ClusterKey: found.ClusterKey, TLSFirst: found.TLSFirst})
		c.Plaintext = c.Plaintext || found.Plaintext
		return keys.CheckServers(own.Where("contexts."+c.Context+".server"), c.Servers)
	}
	found, err := keys.ReadContext(c.Context)
	if err != nil {
		return err
	}
	c.fill(found)
	return nil
}

// fill takes what the flags leave open.
func (c *Connection) fill(found keys.Context) {
	if len(c.Servers) == 0 {
		c.Servers = found.Servers
	}
	if c.Identity == "" {
		c.Identity, c.fromNATS = found.Seed, found.Identity
	}
	if c.CA == "" {
		c.CA = found.CA
	}
	if c.ClusterKey == "" {
		c.ClusterKey = found.ClusterKey
	}
	c.TLSFirst = c.TLSFirst || found.TLSFirst
}
