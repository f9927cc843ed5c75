package client

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/keys"
)

// Config names the servers, the user, and the directory for keys. Servers and Seed
// are required, or a Context that has them.
type Config struct {
	Servers []string // nats:// or tls:// URLs of all nodes; nodes announce no addresses to clients
	Seed    string   // the user's seed file, which only its owner may read
	CA      string   // the certificate file of the authority that signed the nodes' certificates; "": the system's
	Context string   // a context of the NATS CLI, for fields that are empty here

	TLSFirst bool // begin with TLS, for nodes with tls-first

	// Dir holds keys and the state of rooms, in a directory for each user: mode
	// 0700, one process at a time. A user has one Dir. A second one, on another
	// machine say, publishes another encryption key, and each of the two then has
	// new room keys made for itself. A lost Dir loses the access to encrypted
	// rooms until a member gives the key again. "": unibus in the user's
	// configuration directory.
	Dir string

	Name string // of the connection, for the nodes' lists; "": unibus-client

	// ClusterKey is the public key that the cluster must prove. "": the context's
	// unibus_cluster_key; without one the pinned key, or the first one proven, which is pinned then.
	ClusterKey string

	NoEcho bool // do not deliver this process's own messages to it

	Connect time.Duration // Open tries to connect for so long; 0: 10 s
	Timeout time.Duration // any other call tries for so long, unless its ctx ends sooner; 0: 30 s

	Pending      int // unread messages of one reader; 0: 65,536
	PendingBytes int // and their bytes; 0: 64 MiB

	// EncryptedOnly treats every room as encrypted. A node could otherwise show a plain room to a
	// program that has nothing saved of it, on a new device or in a fresh container, and it would
	// send in the clear. Opening a plain room, accepting an invitation to one and creating one are
	// refused then.
	EncryptedOnly bool

	// Admit decides before a room's key is sealed to a member; an error leaves
	// them without a key. nil gives it to all of them: to those whom members invited. Admit
	// must not call the client: the room's keys wait for it, and closing does too.
	Admit func(room core.RoomID, m control.Member) error

	Log *slog.Logger // nil: nothing is logged

	fromNATS keys.Identity // the nkey itself, where the context holds it in place of a seed file
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

// resolved takes empty fields from the NATS context, and checks the result.
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
			return c, core.Errorf(core.KindInvalid, "this user has no configuration directory for keys: %w", err).WithNext("set Dir")
		}
		c.Dir = filepath.Join(dir, "unibus")
	}
	return c, nil
}

// identity reads the seed file, or takes the context's own nkey.
func (c Config) identity() (keys.Identity, error) {
	if c.Seed == "" {
		return c.fromNATS, nil
	}
	return keys.ReadSeed(c.Seed)
}

// tls returns the options for TLS; none if the URLs and the system's authorities decide.
// The CA file is read again for each connection.
func (c Config) tls() ([]nats.Option, error) {
	if c.CA == "" {
		return nil, nil
	}
	authorities, err := keys.OpenAuthorities(c.CA, func(err error) {
		c.Log.Error("the CA file cannot be used; the last good one stays in use", "file", c.CA, "reason", err)
	})
	if err != nil {
		return nil, err
	}
	return []nats.Option{
		nats.Secure(&tls.Config{MinVersion: tls.VersionTLS13}),
		func(o *nats.Options) error { o.RootCAsCB = authorities.Pool; return nil },
	}, nil
}
