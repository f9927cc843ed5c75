package client

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/keys"
)

// Config says where the bus is, as whom to use it, and where to keep secrets.
// Servers and Seed, or a Context that has them, are required.
type Config struct {
	Servers []string // nats:// or tls:// URLs; nodes tell clients no further address, so name all of them
	Seed    string   // the user's seed file, which only its owner may read
	CA      string   // the certificate file of the authority that signed the nodes' certificates; "": the system's
	Context string   // a context of the NATS CLI, for what is left open above

	TLSFirst bool // begin with TLS, as nodes with tls-first want it

	// Dir is where keys and what is known of rooms are kept, below it a directory
	// for each user: 0700, one process at a time. A user has one of them: from a
	// second one, on another machine say, another encryption key is published, and
	// each has the rooms' keys made anew for itself. What is lost with it is the access to
	// encrypted rooms, until a member gives the key again. "": unibus below the
	// user's directory for configuration.
	Dir string

	Name string // shown in the nodes' lists of connections; "": unibus-client

	// ClusterKey is the public key that the cluster must prove. "": the context's
	// unibus_cluster_key; without one the pinned key, or the first one proven, which is pinned then.
	ClusterKey string

	NoEcho bool // do not deliver to this process what it has sent

	Connect time.Duration // how long Open tries to connect; 0: 10 s
	Timeout time.Duration // how long any other call tries, where its ctx does not end it sooner; 0: 30 s

	Pending      int // messages of one reader that wait to be read; 0: 65,536
	PendingBytes int // and their bytes; 0: 64 MiB

	// Admit is asked before a room's key is sealed to a member; an error leaves
	// them without a key. Members are those whom the nodes name: nil takes their
	// word. It must not call the client, whose keys wait for it.
	Admit func(room core.RoomID, m control.Member) error

	Log *slog.Logger // nil: nothing is logged

	fromNATS keys.Identity // what the context holds itself, in the place of a seed file
}

// Defaults of Config.
const (
	defaultConnect      = 10 * time.Second
	defaultTimeout      = 30 * time.Second
	defaultPending      = 1 << 16
	defaultPendingBytes = 64 << 20
)

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "unibus-client"
	}
	if c.Connect <= 0 {
		c.Connect = defaultConnect
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Pending <= 0 {
		c.Pending = defaultPending
	}
	if c.PendingBytes <= 0 {
		c.PendingBytes = defaultPendingBytes
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// resolved fills in what the NATS context has, and checks what is left.
func (c Config) resolved() (Config, error) {
	if c.Context != "" {
		found, err := keys.ReadContext(c.Context)
		if err != nil {
			return c, err
		}
		if len(c.Servers) == 0 {
			c.Servers = found.Servers
		}
		if c.Seed == "" {
			c.Seed, c.fromNATS = found.Seed, found.Identity
		}
		if c.CA == "" {
			c.CA = found.CA
		}
		if c.ClusterKey == "" {
			c.ClusterKey = found.ClusterKey
		}
		c.TLSFirst = c.TLSFirst || found.TLSFirst
	}
	if len(c.Servers) == 0 {
		return c, core.Errorf(core.KindInvalid, "no node is named").WithNext("set Servers, all of them, or Context")
	}
	if err := keys.CheckServers("Servers", c.Servers); err != nil {
		return c, err
	}
	if c.ClusterKey != "" {
		if err := keys.CheckClusterKey(c.ClusterKey); err != nil {
			return c, err
		}
	}
	if c.Seed == "" && c.fromNATS.Public() == "" {
		return c, core.Errorf(core.KindInvalid, "no identity is given").WithNext("set Seed, a file made by `unibusd keygen user --out FILE`")
	}
	if c.Dir == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return c, core.Errorf(core.KindInvalid, "there is no place for this user's keys: %w", err).WithNext("set Dir")
		}
		c.Dir = filepath.Join(dir, "unibus")
	}
	return c, nil
}

// identity is the one of the seed file, or the context's own.
func (c Config) identity() (keys.Identity, error) {
	if c.Seed == "" {
		return c.fromNATS, nil
	}
	return keys.ReadSeed(c.Seed)
}

// tls is nil where the URLs and the system's authorities decide.
func (c Config) tls() (*tls.Config, error) {
	if c.CA == "" {
		return nil, nil
	}
	pool, err := keys.LoadPool(c.CA)
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}, nil
}
