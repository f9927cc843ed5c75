// Package clientflags declares the flags of the examples: the nodes to connect to,
// and the users to connect as. A program of your own would fill in client.Config
// from its configuration instead.
package clientflags

import (
	"flag"
	"log"
	"path/filepath"
	"strings"

	"unibus/core"
	"unibus/core/client"
	"unibus/core/demo"
	"unibus/core/keys"
)

// Flags are the values of the flags.
type Flags struct{ demo, servers, seeds, ca string }

// Declare declares the flags; the caller parses them.
func Declare() *Flags {
	f := &Flags{}
	flag.StringVar(&f.demo, "demo", "", "the `DIR` of a running demo: nodes, users and certificate are those of the demo")
	flag.StringVar(&f.servers, "servers", "nats://127.0.0.1:4222", "the `URL[,URL]` of every node")
	flag.StringVar(&f.seeds, "seeds", "ann.nk,bob.nk", "the seed `FILE,FILE` of two users")
	flag.StringVar(&f.ca, "ca", "", "the `FILE` with the certificate of the authority, for tls:// servers")
	return f
}

// Users returns the configuration of each user's client, and the users' ids. It
// ends the program if a user cannot be read.
func (f *Flags) Users() ([]client.Config, []core.UserID) {
	cfg := client.Config{Servers: strings.Split(f.servers, ","), CA: f.ca}
	seeds := strings.Split(f.seeds, ",")
	if f.demo != "" {
		d, err := demo.Load(f.demo)
		Check(err)
		cfg = client.Config{Servers: d.URLs(), CA: d.CA, ClusterKey: d.ClusterKey}
		seeds = d.Identities.Users
	}
	if len(seeds) < 2 {
		Check(core.Errorf(core.KindInvalid, "the examples need two users").WithNext("name two seed files: -seeds ann.nk,bob.nk"))
	}
	var configs []client.Config
	var ids []core.UserID
	for _, seed := range seeds {
		id, err := keys.ReadSeed(seed)
		Check(err)
		cfg.Seed, cfg.Dir = seed, filepath.Dir(seed)
		configs, ids = append(configs, cfg), append(ids, core.UserID(id.Public()))
	}
	return configs, ids
}

// Check ends the program with the error and its next step, if there is one.
func Check(err error) {
	if err == nil {
		return
	}
	e := core.AsError(err)
	if e.Next != "" {
		log.Fatalf("%s\nNext: %s", e.Text, e.Next)
	}
	log.Fatal(e.Text)
}
