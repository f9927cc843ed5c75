package cli

import (
	"context"
	"crypto/tls"

	"github.com/spf13/pflag"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
)

// Connection is which cluster to talk to and as whom.
type Connection struct {
	Context  string   // the name of a NATS CLI context
	Servers  []string // URLs, all of them: nodes tell clients no further address
	Identity string   // the operator's seed file
	CA       string   // the authority that signed the nodes' certificates
	TLSFirst bool     // begin with TLS, as nodes with tls-first want it

	fromNATS keys.Identity // what the context holds itself, in the place of a file
}

// Flags adds --server, --identity, --tls-ca and --context; --nats-url and --ca are aliases.
func (c *Connection) Flags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&c.Servers, "server", nil, "URLs of the nodes, `URL[,URL]` (--nats-url)")
	fs.StringVar(&c.Identity, "identity", "", "the operator's seed `FILE`")
	fs.StringVar(&c.CA, "tls-ca", "", "the authority's certificate `FILE` (--ca)")
	fs.BoolVar(&c.TLSFirst, "tls-first", false, "begin with TLS, as nodes want it that were started with --tls-first")
	fs.StringVar(&c.Context, "context", "", "take server, identity and authority from the NATS context `NAME`")
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
	return c.Context != "" || len(c.Servers) > 0 || c.Identity != "" || c.CA != ""
}

// Dial connects. KindInvalid names the flag that is missing.
func (c *Connection) Dial(ctx context.Context, name string) (*admin.Client, error) {
	cfg, err := c.Config(name)
	if err != nil {
		return nil, err
	}
	cl := admin.NewClient(cfg)
	if err := cl.Open(ctx); err != nil {
		return nil, err
	}
	return cl, nil
}

// Config reads the files that the flags name and returns what a client needs.
func (c *Connection) Config(name string) (admin.ClientConfig, error) {
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
	id, err := c.identity()
	if err != nil {
		return admin.ClientConfig{}, err
	}
	cfg := admin.ClientConfig{Servers: c.Servers, Identity: id, Name: name, TLSFirst: c.TLSFirst}
	if c.CA != "" {
		pool, err := keys.LoadPool(c.CA)
		if err != nil {
			return admin.ClientConfig{}, err
		}
		cfg.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	}
	return cfg, nil
}

// identity is the one that the flags name, or the context's.
func (c *Connection) identity() (keys.Identity, error) {
	switch {
	case c.Identity != "":
		return keys.ReadSeed(c.Identity)
	case c.fromNATS.Public() != "":
		return c.fromNATS, nil
	}
	return keys.Identity{}, core.Errorf(core.KindInvalid, "no identity is given").
		WithNext("give --identity FILE, a seed made by `unibusd keygen operator --out FILE`")
}

// fromContext fills in what the flags leave open from a context of the NATS CLI.
func (c *Connection) fromContext() error {
	if c.Context == "" {
		return nil
	}
	found, err := keys.ReadContext(c.Context)
	if err != nil {
		return err
	}
	if len(c.Servers) == 0 {
		c.Servers = found.Servers
	}
	if c.Identity == "" {
		c.Identity, c.fromNATS = found.Seed, found.Identity
	}
	if c.CA == "" {
		c.CA = found.CA
	}
	c.TLSFirst = c.TLSFirst || found.TLSFirst
	return nil
}
